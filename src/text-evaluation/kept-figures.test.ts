import { expect, test } from "vitest";
import { positionFigures } from "../metrics/distribution.js";
import { rememberIn } from "../results/journal.js";
import { keepFigures } from "./kept-figures.js";

const windows = [Int32Array.of(1, 2, 3), Int32Array.of(4, 5)];

/** Five rows, of which [1, 4) are kept. */
function filled() {
  const figures = positionFigures(5);
  for (const [c, column] of Object.values(figures).entries()) {
    for (let i = 0; i < column.length; i++) column[i] = 10 * c + i;
  }
  figures.jsd[1] = Number.NaN;
  figures.kl[2] = Number.NEGATIVE_INFINITY;
  figures.loss[3] = 1 / 3;
  return figures;
}

/** What a file gives back. */
function journal() {
  const entries = new Map<string, unknown>();
  const inner = rememberIn(entries);
  const write = (key: string, value: unknown) => inner.write(key, JSON.parse(JSON.stringify(value)));
  return { entries, ...inner, write };
}

test("figures come back to the last bit, NaN and infinities too, and to their own rows alone", () => {
  const kept = keepFigures(journal(), ["models"]);
  const figures = filled();
  kept.keep(windows, [figures], 1, 4);
  const taken = positionFigures(5);
  expect(kept.take(windows, [taken], 1, 4)).toBe(true);
  const originals = new Map<string, Iterable<number>>(Object.entries(figures));
  for (const [name, column] of Object.entries(taken)) {
    const original = Array.from(originals.get(name)!);
    expect(Array.from(column), name).toEqual([0, ...original.slice(1, 4), 0]);
  }
});

test("other windows, other cuts and other models have figures of their own", () => {
  const one = journal();
  keepFigures(one, ["models"]).keep(windows, [filled()], 1, 4);
  const take = (how: readonly unknown[], of: readonly Int32Array[]) =>
    keepFigures(one, how).take(of, [positionFigures(5)], 1, 4);
  expect(keepFigures(one, ["models"]).has(windows)).toBe(true);
  expect(keepFigures(one, ["others"]).has(windows)).toBe(false);
  expect(take(["others"], windows)).toBe(false);
  expect(take(["models"], [Int32Array.of(1, 2), Int32Array.of(3, 4, 5)])).toBe(false);
  expect(take(["models"], [Int32Array.of(1, 2, 3), Int32Array.of(4, 6)])).toBe(false);
  expect(take(["models"], windows)).toBe(true);
});

test("nor one of too few rows", () => {
  const one = journal();
  const kept = keepFigures(one, ["models"]);
  kept.keep(windows, [filled()], 1, 4);
  const [[key, value]] = [...one.entries] as [[string, [Record<string, string>]]];
  const short = { ...value[0], jsd: value[0]["jsd"]!.slice(0, -8) };
  one.entries.set(key, [short]);
  expect(kept.take(windows, [positionFigures(5)], 1, 4)).toBe(false);
  one.entries.set(key, value);
  expect(kept.take(windows, [positionFigures(5)], 1, 4)).toBe(true);
});

test.each([
  ["nothing", null],
  ["a number", 7],
  ["no columns", [{}]],
  ["too few of what is compared", []],
])("an entry that is wrong is not used: %s", (_, wrong) => {
  const one = journal();
  const kept = keepFigures(one, ["models"]);
  kept.keep(windows, [filled()], 1, 4);
  const [key] = one.entries.keys();
  one.entries.set(key!, wrong);
  const figures = positionFigures(5);
  expect(kept.take(windows, [figures], 1, 4)).toBe(false);
  expect(figures).toEqual(positionFigures(5));
});
