import type { Architecture } from "./family.js";

/** Numbers that are equal but for their rounding to float32. */
const TOLERANCE = 1e-6;

/** Whether two models of the same sizes compute the same of the same weights. */
export function isSameComputation(a: Architecture, b: Architecture): boolean {
  return isAlike(description(a), description(b));
}

/** All that a model's programs are built from. */
function description(a: Architecture): unknown {
  const layers = Array.from({ length: a.layers }, (_, layer) => parts(a.block(layer).key));
  return [
    a.hiddenSize,
    a.layers,
    a.vocabularySize,
    a.maxTokens,
    a.tied,
    parts(a.opening?.key ?? ""),
    layers,
    parts(a.head.key),
  ];
}

/** A program's key in words and numbers, without the name of its family and without factors of 1. */
function parts(key: string): (string | number)[] {
  const unnamed = key.replace(/\w+ (block|head) /g, "$1 ").replaceAll(',"amplitude":1}', "}");
  return (unnamed.match(/-?\d+(?:\.\d+)?(?:e[+-]?\d+)?|[^\d-]+|-/g) ?? []).map((part) => {
    const number = Number(part);
    return part.trim() === "" || Number.isNaN(number) ? part : number;
  });
}

function isAlike(a: unknown, b: unknown): boolean {
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, i) => isAlike(item, b[i]));
  if (typeof a === "number" && typeof b === "number") return Math.abs(a - b) <= TOLERANCE * Math.abs(a);
  return a === b;
}
