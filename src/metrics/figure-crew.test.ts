import { afterEach, expect, it } from "vitest";
import { createMersenneTwister } from "../random/mersenne.js";
import type { FloatArray } from "../tensor/matrix.js";
import { comparePositions, lossFigures, lossOfPositions, positionFigures } from "./distribution.js";
import { createFigureCrew, type FigureCrew } from "./figure-crew.js";

const VOCABULARY = 30_011;
let crew: FigureCrew | undefined;
afterEach(async () => {
  await crew?.dispose();
  crew = undefined;
});

const { random } = createMersenneTwister(7);
const logitsOf = (positions: number, Type: Float32ArrayConstructor | Float64ArrayConstructor): FloatArray =>
  new Type(positions * VOCABULARY).map(() => 20 * random() - 10);
const targetsOf = (positions: number) =>
  Int32Array.from({ length: positions }, () => Math.floor(random() * VOCABULARY));

for (const Type of [Float32Array, Float64Array]) {
  // 70 positions are enough for three threads, 10 for two; 3 are not worth a helper.
  it.each([70, 10, 3, 1])(
    `${Type.name}: %i positions get the figures that one thread gives them, to the last bit`,
    async (positions) => {
      const [base, other, targets] = [logitsOf(positions, Type), logitsOf(positions, Type), targetsOf(positions)];
      other[(positions - 1) * VOCABULARY] = Number.NaN;
      const [expected, found] = [positionFigures(positions + 2), positionFigures(positions + 2)];
      comparePositions(base, other, VOCABULARY, targets, expected, 1);
      crew = createFigureCrew(3);
      await crew.compare(base, other, VOCABULARY, targets, found, 1);
      expect(found).toEqual(expected);
      const [expectedLoss, foundLoss] = [lossFigures(positions), lossFigures(positions)];
      lossOfPositions(other, VOCABULARY, targets, expectedLoss, 0);
      await crew.loss(other, VOCABULARY, targets, foundLoss, 0);
      expect(foundLoss).toEqual(expectedLoss);
    },
  );
}

it("reads shared memory where it is", async () => {
  const positions = 64;
  const [logits, targets] = [logitsOf(positions + 1, Float32Array), targetsOf(positions)];
  const shared = new Float32Array(new SharedArrayBuffer(logits.byteLength));
  shared.set(logits);
  const [expected, found] = [lossFigures(positions), lossFigures(positions)];
  lossOfPositions(logits.subarray(VOCABULARY), VOCABULARY, targets, expected, 0);
  crew = createFigureCrew(2);
  await crew.loss(shared.subarray(VOCABULARY), VOCABULARY, targets, found, 0);
  expect(found).toEqual(expected);
});

it("a helper answers as often as it is asked, whatever number of positions", async () => {
  crew = createFigureCrew(2);
  for (const positions of [20, 64, 33]) {
    const [logits, targets] = [logitsOf(positions, Float32Array), targetsOf(positions)];
    const [expected, found] = [lossFigures(positions), lossFigures(positions)];
    lossOfPositions(logits, VOCABULARY, targets, expected, 0);
    await crew.loss(logits, VOCABULARY, targets, found, 0);
    expect(found).toEqual(expected);
  }
});

it("what a helper cannot do is an error of the call", async () => {
  crew = createFigureCrew(2);
  const targets = targetsOf(64);
  targets[63] = VOCABULARY;
  const call = crew.loss(logitsOf(64, Float32Array), VOCABULARY, targets, lossFigures(64), 0);
  await expect(call).rejects.toThrow("target 30011 is outside the vocabulary of 30011");
});
