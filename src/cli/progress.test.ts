import { PassThrough } from "node:stream";
import type { WriteStream } from "node:tty";
import { afterEach, expect, test, vi } from "vitest";
import { createProgress } from "./progress.js";

afterEach(() => void vi.useRealTimers());

function logged() {
  vi.useFakeTimers({ toFake: ["performance"] });
  const stream = new PassThrough();
  const view = createProgress(stream as unknown as WriteStream);
  return { ...view, text: () => String(stream.read() ?? "") };
}

test("in a log, a line for every step that says what was finished", () => {
  const { onProgress, text } = logged();
  onProgress({ kind: "start", what: "wanda", total: 10 });
  vi.advanceTimersByTime(2000);
  onProgress({ kind: "step", done: 1 });
  vi.advanceTimersByTime(2000);
  onProgress({ kind: "step", done: 2, note: "layer 1/5" });
  expect(text()).toBe("wanda: layer 1/5, 4.0 s elapsed, about 16 s left\n");
});

test("in a log, long work without such steps is heard of now and then", () => {
  const { onProgress, text } = logged();
  onProgress({ kind: "start", what: "evaluate", total: 100 });
  for (let done = 1; done <= 10; done++) {
    vi.advanceTimersByTime(7000);
    onProgress({ kind: "step", done });
  }
  expect(text()).toBe(
    "evaluate: 5%, 35 s elapsed, about 11 min 5 s left\nevaluate: 10%, 1 min 10 s elapsed, about 10 min 30 s left\n",
  );
});

test("warnings are lines", () => {
  const { onProgress, text } = logged();
  onProgress({ kind: "warning", message: "damping raised" });
  expect(text()).toBe("warning: damping raised\n");
});
