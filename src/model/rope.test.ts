import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { readRope } from "./rope.js";

interface Case {
  readonly rope_parameters: { readonly rope_type: string };
  readonly frequencies: readonly number[];
  readonly amplitude: number;
}

const file = new URL("../../test/fixtures/rope/transformers.json", import.meta.url);
const cases: readonly Case[] = JSON.parse(readFileSync(file, "utf8")).cases;

describe("rotations are transformers'", () => {
  it.each(cases.map((c) => [c.rope_parameters.rope_type, c] as const))("%s", (_, c) => {
    const { rotation } = readRope({ max_position_embeddings: 256, rope_parameters: c.rope_parameters }, 16, "config");
    expect(rotation.frequencies).toHaveLength(c.frequencies.length);
    for (const [i, frequency] of c.frequencies.entries()) {
      expect(rotation.frequencies[i]! / frequency).toBeCloseTo(1, 6);
    }
    expect(rotation.amplitude ?? 1).toBeCloseTo(c.amplitude, 10);
  });
});

it("reads old spellings, and rotates a share of each head where the family may", () => {
  const old = { max_position_embeddings: 64, rope_theta: 100, rope_scaling: { type: "linear", factor: 4 } };
  const now = { max_position_embeddings: 64, rope_parameters: { rope_type: "linear", factor: 4, rope_theta: 100 } };
  expect(readRope(old, 8, "config")).toEqual(readRope(now, 8, "config"));
  const half = { max_position_embeddings: 64, partial_rotary_factor: 0.5 };
  expect(readRope(half, 8, "config", { share: 1 }).rotation).toEqual(
    readRope({ max_position_embeddings: 64 }, 4, "config").rotation,
  );
  expect(() => readRope(half, 8, "config")).toThrow(/partial_rotary_factor 0\.5: this family rotates whole heads/);
});

it("runs longrope as far as its short factors hold", () => {
  const rope_parameters = {
    rope_type: "longrope",
    short_factor: [1, 1],
    long_factor: [2, 2],
    original_max_position_embeddings: 64,
  };
  expect(readRope({ max_position_embeddings: 256, rope_parameters }, 4, "config").maxTokens).toBe(64);
});
