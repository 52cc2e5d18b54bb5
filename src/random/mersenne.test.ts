import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { createMersenneTwister } from "./mersenne.js";

/** Made by Python 3.11's random: see make.py beside it. */
const { numbers } = JSON.parse(
  readFileSync(new URL("../../test/fixtures/tokenizer/sampling.json", import.meta.url), "utf8"),
) as {
  numbers: {
    seed: number;
    random: number[];
    bits: [number, number][];
    randint: [number, number][];
    shuffled: number[];
    draw2000: number;
  }[];
};

it.each(numbers)("draws what Python draws after random.seed($seed)", (python) => {
  const generator = createMersenneTwister(python.seed);
  expect(python.random.map(() => generator.random())).toEqual(python.random);
  expect(python.bits.map(([count]) => [count, generator.bits(count)])).toEqual(python.bits);
  expect(python.randint.map(([limit]) => [limit, generator.below(limit)])).toEqual(python.randint);
  const items = Array.from({ length: 20 }, (_, i) => i);
  generator.shuffle(items);
  expect(items).toEqual(python.shuffled);
});

it.each(numbers)("goes on doing so past its first 624 numbers, seed $seed", (python) => {
  const generator = createMersenneTwister(python.seed);
  for (let i = 1; i < 2000; i++) generator.bits(32);
  expect(generator.bits(32)).toBe(python.draw2000);
});
