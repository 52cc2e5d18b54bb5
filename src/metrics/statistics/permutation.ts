import { createMersenneTwister } from "../../random/mersenne.js";
import { checkResampling, type Resampling } from "./resampling.js";

/** Up to this many differences that are not 0, all their 2ⁿ signs are gone through. */
const MAX_EXACT = 20;

/** Sums this close, as a share of Σ|difference|, are equal: they differ by the order in which they were added up. */
const TIE = 1e-12;

/** Differences whose sums are looked up together; divides 32, the bits of a draw. */
const GROUP = 8;

export interface PermutationTest {
  /** Two-sided, in (0, 1]. */
  readonly p: number;
  /** Whether every assignment of signs was counted, none drawn. */
  readonly exact: boolean;
}

/**
 * Paired sign-flip permutation test of a mean difference: were both models alike, every difference would have either
 * sign. p is twice the smaller tail, at most 1; a tail is (count + 1) / (resamples + 1) of the drawn sign assignments,
 * or the share of all of them for up to 20 differences that are not 0. Fisher 1935; as
 * scipy.stats.permutation_test(permutation_type="samples").
 */
export function permutationTest(differences: Float64Array, resampling: Resampling): PermutationTest {
  checkResampling(resampling);
  const changed = differences.filter((difference) => difference !== 0); // the sign of 0 changes nothing
  const exact = changed.length <= MAX_EXACT;
  const sums = exact ? allSums(changed) : drawnSums(changed, resampling);
  const observed = add(changed, Number);
  const tolerance = TIE * add(changed, Math.abs);
  let below = 0;
  let above = 0;
  for (let i = 0; i < sums.length; i++) {
    if (sums[i]! <= observed + tolerance) below++;
    if (sums[i]! >= observed - tolerance) above++;
  }
  const fewer = Math.min(below, above);
  const tail = exact ? fewer / sums.length : (fewer + 1) / (sums.length + 1);
  return { p: Math.min(1, 2 * tail), exact };
}

function add(values: Float64Array, map: (value: number) => number): number {
  return values.reduce((sum, value) => sum + map(value), 0);
}

/** Σ ±d for all 2ⁿ assignments of signs. */
function allSums(values: Float64Array): Float64Array {
  const sums = new Float64Array(2 ** values.length);
  values.forEach((value, index) => {
    const filled = 2 ** index;
    for (let i = 0; i < filled; i++) {
      const sum = sums[i]!;
      sums[i] = sum - value;
      sums[filled + i] = sum + value;
    }
  });
  return sums;
}

/** Σ ±d for assignments drawn at random, a bit a sign; the sums of every 8 differences are made once and looked up. */
function drawnSums(values: Float64Array, { seed, resamples }: Resampling): Float64Array {
  const generator = createMersenneTwister(seed);
  const groups = Array.from({ length: Math.ceil(values.length / GROUP) }, (_, group) =>
    allSums(values.subarray(group * GROUP, (group + 1) * GROUP)),
  );
  return new Float64Array(resamples).map(() => {
    let sum = 0;
    let signs = 0;
    for (let group = 0; group < groups.length; group++) {
      const sums = groups[group]!;
      signs = (group * GROUP) % 32 === 0 ? generator.bits(32) : signs >>> GROUP;
      sum += sums[signs & (sums.length - 1)]!;
    }
    return sum;
  });
}
