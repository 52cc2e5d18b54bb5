import { expect, it } from "vitest";
import { createSampler, likeliest } from "./sampling.js";

const logits = Float32Array.from([9, 9, 0, 1, 2, 3, 3, -5]); // two of another row first
const probabilities = [0, 1, 2, 3, 4, 5].map((i) => Math.exp(logits[i + 2]!));
const total = probabilities.reduce((sum, p) => sum + p, 0);

function shares(options: { temperature: number; topK?: number; topP?: number }): number[] {
  const draws = 20_000;
  const counts = new Array<number>(6).fill(0);
  const choose = createSampler({ seed: 1, ...options }, 0);
  for (let i = 0; i < draws; i++) counts[choose(logits, 2, 6)]!++;
  return counts.map((count) => count / draws);
}

const expectShares = (ours: readonly number[], expected: readonly number[]) => {
  for (const [i, share] of expected.entries()) expect(Math.abs(ours[i]! - share)).toBeLessThan(0.02); // 5 standard errors
};

it("takes the likeliest, the first among equals", () => {
  expect(likeliest(logits, 2, 6)).toBe(3);
});

it("draws by the probabilities at temperature 1", () => {
  expectShares(
    shares({ temperature: 1 }),
    probabilities.map((p) => p / total),
  );
});

it("flattens by the temperature", () => {
  const flat = probabilities.map(Math.sqrt);
  const sum = flat.reduce((a, b) => a + b, 0);
  expectShares(
    shares({ temperature: 2 }),
    flat.map((p) => p / sum),
  );
});

it("keeps the k likeliest, and what equals the last of them", () => {
  expectShares(shares({ temperature: 1, topK: 1 }), [0, 0, 0, 0.5, 0.5, 0]);
});

it("keeps the fewest that reach the probability asked for", () => {
  const [, , c, d, e] = probabilities as [number, number, number, number, number];
  const two = (d + e) / total;
  expectShares(shares({ temperature: 1, topP: two - 0.01 }), [0, 0, 0, d / (d + e), e / (d + e), 0]);
  const three = c + d + e;
  expectShares(shares({ temperature: 1, topP: two + 0.01 }), [0, 0, c / three, d / three, e / three, 0]);
});
