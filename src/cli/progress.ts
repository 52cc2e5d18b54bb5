import type { WriteStream } from "node:tty";
import { SingleBar } from "cli-progress";
import type { OnProgress, ProgressEvent } from "../progress.js";
import { bytes, duration } from "./format.js";

/** Between the lines of long work that has nothing to say of its steps, where there is no terminal to draw a bar on. */
const QUIET_SECONDS = 30;

/** Draws progress; `stop` takes the bar away, so that other lines can follow. */
export interface ProgressView {
  readonly onProgress: OnProgress;
  stop(): void;
}

/** A bar on a terminal; elsewhere (a log file) a line for every step that says what was finished. */
export function createProgress(stream: WriteStream): ProgressView {
  return stream.isTTY ? createBar(stream) : createLines(stream);
}

function createBar(stream: WriteStream): ProgressView {
  let bar: SingleBar | undefined;
  let begin = 0;
  let note = "";
  let rateOf = stepsRate;
  const stop = () => {
    bar?.stop();
    bar = undefined;
  };
  const onProgress = (event: ProgressEvent) => {
    switch (event.kind) {
      case "start": {
        stop();
        begin = performance.now();
        note = "";
        rateOf = event.unit === "bytes" ? (rate) => `${bytes(Math.round(rate))}/s` : stepsRate;
        const format = "{what} {bar} {percentage}%  {note}  {rate}  {eta_formatted} left";
        bar = new SingleBar({ format, stream, barsize: 24, clearOnComplete: true, stopOnComplete: false });
        bar.start(event.total, 0, { what: event.what, note, rate: "-" });
        break;
      }
      case "step": {
        note = event.note ?? note;
        const rate = event.done / Math.max(1e-3, (performance.now() - begin) / 1000);
        bar?.update(event.done, { note, rate: rateOf(rate) });
        break;
      }
      case "note":
      case "warning":
        stream.write(`${bar ? "\r\u001b[K" : ""}${lineOf(event)}\n`);
        break;
    }
  };
  return { onProgress, stop };
}

function stepsRate(rate: number): string {
  return `${rate.toFixed(rate < 10 ? 1 : 0)} steps/s`;
}

function createLines(stream: NodeJS.WritableStream): ProgressView {
  let what = "";
  let total = 0;
  let begin = 0;
  let last = 0;
  const onProgress = (event: ProgressEvent) => {
    switch (event.kind) {
      case "start":
        ({ what, total } = event);
        begin = last = performance.now();
        break;
      case "step": {
        const now = performance.now();
        if (event.note === undefined && now - last < 1000 * QUIET_SECONDS) break;
        last = now;
        const elapsed = (now - begin) / 1000;
        const left = event.done > 0 ? (elapsed * (total - event.done)) / event.done : 0;
        const place = event.note ?? `${Math.floor((100 * event.done) / total)}%`;
        stream.write(`${what}: ${place}, ${duration(elapsed)} elapsed, about ${duration(left)} left\n`);
        break;
      }
      case "note":
      case "warning":
        stream.write(`${lineOf(event)}\n`);
        break;
    }
  };
  return { onProgress, stop: () => {} };
}

function lineOf({ kind, message }: Extract<ProgressEvent, { readonly message: string }>): string {
  return kind === "warning" ? `warning: ${message}` : message;
}
