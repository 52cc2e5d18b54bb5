import { InputError } from "../errors.js";
import type { Target } from "./method.js";

/**
 * The target that `--sparsity` and `--pattern` name, as typed. Both may be given if they say the same (0.5 and 2:4).
 * Throws InputError for neither, for a contradiction, and for what is no sparsity in [0, 1) or no pattern n:m.
 */
export function parseTarget(given: { readonly sparsity?: string | number; readonly pattern?: string }): Target {
  const sparsity = given.sparsity === undefined ? undefined : parseSparsity(given.sparsity);
  const pattern = given.pattern === undefined ? undefined : parsePattern(given.pattern);
  if (pattern === undefined) {
    if (sparsity === undefined) throw new InputError("nothing to do: give --sparsity, say 0.5, or --pattern, say 2:4");
    return { kind: "unstructured", sparsity };
  }
  if (sparsity !== undefined && sparsity !== pattern.n / pattern.m) {
    throw new InputError(
      `--sparsity ${sparsity} contradicts --pattern ${targetName(pattern)}, which is ${pattern.n / pattern.m}: give one of them`,
    );
  }
  return pattern;
}

/** How a target is written for people: `0.5` or `2:4`. */
export function targetName(target: Target): string {
  return target.kind === "n:m" ? `${target.n}:${target.m}` : String(target.sparsity);
}

/**
 * Throws InputError when a weight of rows of `inputs` numbers cannot reach the target; `where` names it in the message.
 * Also checks the target's own numbers, which a library's caller may have written by hand.
 */
export function checkTarget(target: Target, inputs: number, where: string): void {
  if (target.kind === "unstructured") {
    checkSparsity(target.sparsity, String(target.sparsity));
    return;
  }
  checkPattern(target.n, target.m, targetName(target));
  if (inputs % target.m !== 0) {
    throw new InputError(
      `pattern ${targetName(target)} does not fit ${where}: its rows have ${inputs} inputs, no multiple of ${target.m}; ` +
        "choose another pattern or leave it out with --skip",
    );
  }
}

/** How many of the values are 0, of either sign. */
export function countZeros(values: Float32Array): number {
  const bits = new Int32Array(values.buffer, values.byteOffset, values.length);
  let zeros = 0;
  // Only of no bits at all does taking 1 leave a negative number: no branch, which would be mispredicted half the time.
  for (let i = 0; i < bits.length; i++) zeros += ((bits[i]! & 0x7fffffff) - 1) >>> 31;
  return zeros;
}

function parseSparsity(text: string | number): number {
  const sparsity = typeof text === "string" && text.trim() === "" ? Number.NaN : Number(text);
  checkSparsity(sparsity, String(text));
  return sparsity;
}

function checkSparsity(sparsity: number, text: string): void {
  if (!(sparsity >= 0 && sparsity < 1)) {
    throw new InputError(`--sparsity ${text}: give the share of zeros as a number from 0 to below 1, say 0.5`);
  }
}

function parsePattern(text: string): Target & { kind: "n:m" } {
  const parts = /^(\d+):(\d+)$/.exec(text.trim());
  if (!parts) throw new InputError(`--pattern ${text}: write it n:m in whole numbers, say 2:4 for 2 zeros of every 4`);
  const n = Number(parts[1]);
  const m = Number(parts[2]);
  checkPattern(n, m, text.trim());
  return { kind: "n:m", n, m };
}

function checkPattern(n: number, m: number, text: string): void {
  if (!Number.isSafeInteger(n) || !Number.isSafeInteger(m) || n <= 0 || n >= m) {
    throw new InputError(`--pattern ${text}: n zeros of every m need whole numbers 0 < n < m, say 2:4`);
  }
}
