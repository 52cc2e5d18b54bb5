// A lane's thread: computes one run after the other.
import { parentPort, workerData } from "node:worker_threads";
import { sendable } from "../../errors.js";
import type { Session } from "../onnxruntime/session.js";
import { openArena } from "./arena.js";
import type { LaneAnswer, LaneFeed, LaneSettings, LaneTask } from "./lanes.js";
import { openLibrary } from "./library.js";
import { asTensor, type TensorData } from "./rooms.js";
import { openStages } from "./session.js";
import { openProducts } from "./widened.js";

const { precision, threads } = workerData as LaneSettings;
const products = openProducts(openLibrary(), precision, threads);
const arena = openArena(products.operands);
const sessions = new Map<number, Promise<Session>>();
const rooms = new Map<number, { numbers: TensorData; version: number }>();

async function run({ id, graph, kept, gone, feeds, fetches }: LaneTask): Promise<LaneAnswer> {
  for (const [room, numbers] of kept) rooms.set(room, { numbers, version: -1 });
  for (const room of gone) rooms.delete(room);
  if (graph) {
    sessions.set(
      id,
      openStages(graph, products, arena, () => {
        throw new Error("a lane was given a graph that needs onnxruntime");
      }),
    );
  }
  const session = await sessions.get(id)!;
  const given = Object.entries(feeds).map(([name, feed]) => [name, asTensor(numbersOf(feed), feed.dims)] as const);
  const inPlace = Object.entries(fetches).map(
    ([name, tensor]) => [name, tensor && asTensor(tensor.data, tensor.dims)] as const,
  );
  const made = await session.run(Object.fromEntries(given), Object.fromEntries(inPlace));
  const others = Object.entries(made).filter(([name]) => !fetches[name]);
  return {
    made: Object.fromEntries(others.map(([name, { data, dims }]) => [name, { data: data as TensorData, dims }])),
  };
}

function numbersOf(feed: LaneFeed): TensorData {
  if ("data" in feed) return feed.data;
  const held = rooms.get(feed.room)!;
  if (held.version === feed.version) return held.numbers;
  // Others in the same memory are another array, so that nobody takes them for those that were there.
  const numbers = held.numbers.subarray();
  rooms.set(feed.room, { numbers, version: feed.version });
  return numbers;
}

parentPort?.on("message", async (task: LaneTask) => {
  parentPort?.postMessage(await run(task).catch(sendable));
});
