import { describe, expect, it } from "vitest";
import { atOnce, createTurns } from "./turns.js";

const wait = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

describe("work in turn", () => {
  it("begins when all before it has ended, also where that failed", async () => {
    const inTurn = createTurns();
    const told: string[] = [];
    const slow = inTurn(async () => {
      await wait(5);
      told.push("slow");
      throw new Error("failed");
    });
    const next = inTurn(async () => {
      told.push("next");
      return 7;
    });
    await expect(slow).rejects.toThrow("failed");
    expect(await next).toBe(7);
    expect(told).toEqual(["slow", "next"]);
  });
});

describe("several at once", () => {
  it("throws what failed first, however many fail after it", async () => {
    const failing = atOnce([20, 1], 2, async (milliseconds) => {
      await wait(milliseconds);
      throw new Error(`after ${milliseconds}`);
    });
    await expect(failing).rejects.toThrow("after 1");
  });

  it("waits for what has begun where the items themselves fail", async () => {
    let isDone = false;
    function* items() {
      yield 5;
      throw new Error("no more");
    }
    const failing = atOnce(items(), 2, async (milliseconds) => {
      await wait(milliseconds);
      isDone = true;
    });
    await expect(failing).rejects.toThrow("no more");
    expect(isDone).toBe(true);
  });

  it("asks for items when there is a place for them, and no more than there are", async () => {
    const places: number[] = [];
    await atOnce(["a", "b"], 5, async (_, place) => void places.push(place));
    expect(places).toEqual([0, 1]);
  });
});
