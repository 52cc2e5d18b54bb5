import { describe, expect, it } from "vitest";
import { InputError, RunError, received, sendable } from "./errors.js";
import { startThread } from "./thread.js";

describe("a thread", () => {
  it("that fails says so to who asks, then and later", async () => {
    const thread = startThread<unknown, unknown>("nowhere.js");
    await expect(thread.ask({})).rejects.toThrow(/nowhere\.js/);
    await expect(thread.ask({})).rejects.toThrow(/nowhere\.js/);
  });

  it("that is stopped while it is asked ends the question", async () => {
    // Answers nothing that has no logits.
    const thread = startThread<unknown, unknown>("metrics/figure-crew.js");
    const asked = expect(thread.ask({})).rejects.toThrow("has ended");
    await thread.stop();
    await asked;
    await expect(thread.ask({})).rejects.toThrow("has ended");
  });
});

describe("an error that goes to another thread", () => {
  it.each([new InputError("wrong"), new RunError("full"), new Error("a defect")])("stays $name: $message", (error) => {
    const there = received(structuredClone(sendable(error))) as Error;
    expect(there.constructor).toBe(error.constructor);
    expect(there.message).toBe(error.message);
  });
});
