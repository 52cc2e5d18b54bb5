// A thread of a figure crew: answers one task after the other.
import { parentPort } from "node:worker_threads";
import { type FigureTask, reduceLogits } from "./figure-crew.js";

parentPort?.on("message", (task: FigureTask) => parentPort?.postMessage(reduceLogits(task)));
