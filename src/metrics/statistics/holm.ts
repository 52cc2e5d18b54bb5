/**
 * p values adjusted for being several, in the order given: the i-th smallest of m times m - i + 1, at least the one
 * before it, at most 1. Holm 1979; statsmodels' multipletests(method="holm"). Throws RangeError for a p outside [0, 1].
 */
export function holm(p: readonly number[]): number[] {
  const wrong = p.find((value) => !(value >= 0 && value <= 1));
  if (wrong !== undefined) throw new RangeError(`p value ${wrong} is outside [0, 1]`);
  const adjusted = [...p];
  let largest = 0;
  [...p.keys()]
    .sort((a, b) => p[a]! - p[b]!)
    .forEach((index, rank) => {
      largest = Math.max(largest, Math.min(1, p[index]! * (p.length - rank)));
      adjusted[index] = largest;
    });
  return adjusted;
}
