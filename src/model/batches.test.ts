import { describe, expect, it } from "vitest";
import { type Batch, type Batches, eachBatch } from "./batches.js";

const batches = (count: number): Batch[] =>
  Array.from({ length: count }, (_, i) => ({
    ids: Int32Array.of(i),
    windows: 1,
    tokens: 1,
    hidden: new Float32Array(1),
  }));
const wait = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Which batch began in which lane, and how many were busy at once at the most. */
async function watch(of: Batches, lanes: number) {
  const begun: (readonly [batch: number, lane: number | undefined])[] = [];
  let busy = 0;
  let most = 0;
  await eachBatch(of, lanes, async ({ ids }, lane) => {
    begun.push([ids[0]!, lane]);
    most = Math.max(most, ++busy);
    await wait(1);
    busy--;
  });
  return { begun, most };
}

describe("batches in lanes", () => {
  it("as many at once as there are lanes, in order, and what is left over with all threads", async () => {
    const { begun, most } = await watch(batches(8), 3);
    expect(most).toBe(3);
    expect(begun.map(([batch]) => batch)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(begun.slice(0, 3).map(([, lane]) => lane)).toEqual([0, 1, 2]);
    expect(begun.slice(6).map(([, lane]) => lane)).toEqual([undefined, undefined]);
    expect(begun.slice(0, 6).every(([, lane]) => lane !== undefined)).toBe(true);
  });

  it.each([
    [2, 3],
    [5, 1],
    [0, 2],
  ])("%i batches and %i lanes go one after the other", async (count, lanes) => {
    const { begun, most } = await watch(batches(count), lanes);
    expect(most).toBeLessThanOrEqual(1);
    expect(begun).toEqual(Array.from({ length: count }, (_, i) => [i, undefined]));
  });

  it("those that lie elsewhere go one after the other, for the next may come where the last one was", async () => {
    async function* elsewhere() {
      yield* batches(4);
    }
    const { begun, most } = await watch(elsewhere(), 2);
    expect(most).toBe(1);
    expect(begun.map(([, lane]) => lane)).toEqual(new Array(4).fill(undefined));
  });

  it("where one fails nothing more begins, and those that are busy end first", async () => {
    const begun: number[] = [];
    let ended = 0;
    const run = eachBatch(batches(8), 2, async ({ ids }) => {
      begun.push(ids[0]!);
      await wait(ids[0] === 1 ? 20 : 1);
      if (ids[0] === 2) throw new Error("two");
      ended++;
    });
    await expect(run).rejects.toThrow("two");
    expect(begun).toEqual([0, 1, 2]);
    expect(ended).toBe(2);
  });
});
