import type { CellLabel } from "../results/study-results.js";

/** Share of zeros that a cell asks for; n / m of a pattern n:m. */
export function sparsityOf({ sparsity, pattern }: CellLabel): number {
  if (sparsity !== null) return sparsity;
  const [n, m] = (pattern ?? "").split(":").map(Number);
  return n !== undefined && m ? n / m : 0;
}

/** Equal for labels that agree in all but the parts left out. */
export function labelKey(label: CellLabel, ...without: readonly (keyof CellLabel)[]): string {
  const entries = Object.entries(label).filter(([key]) => !without.includes(key as keyof CellLabel));
  return JSON.stringify(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Groups in the order in which their first members come. */
export function groupBy<T>(values: readonly T[], key: (value: T) => string): T[][] {
  const groups = new Map<string, T[]>();
  for (const value of values) {
    const name = key(value);
    const group = groups.get(name);
    if (group) group.push(value);
    else groups.set(name, [value]);
  }
  return [...groups.values()];
}

/** Names cells for people, by what tells a study's cells apart: `wanda 50% · c4 · seed 1`. */
export function createNames(labels: readonly CellLabel[]) {
  const varies = (part: (label: CellLabel) => unknown) =>
    new Set(labels.map((label) => JSON.stringify(part(label)))).size > 1;
  const severalModels = varies(({ model }) => model);
  const severalSeeds = varies(({ seed }) => seed ?? labels.find((label) => label.seed !== null)?.seed);
  const optionsOf = ({ method, methodOptions }: CellLabel) =>
    Object.entries(methodOptions).filter(([key, value]) =>
      labels.some((other) => other.method === method && !isEqual(other.methodOptions[key], value)),
    );
  const name = (label: CellLabel, target: string | null, seed: boolean) =>
    [
      severalModels ? label.model : null,
      [label.method, target].filter((part) => part !== null).join(" "),
      ...optionsOf(label).map(([key, value]) => `${key} ${typeof value === "string" ? value : JSON.stringify(value)}`),
      label.calibration,
      seed && severalSeeds && label.seed !== null ? `seed ${label.seed}` : null,
    ]
      .filter((part) => part !== null)
      .join(" · ");
  return {
    cell: (label: CellLabel) => name(label, targetText(label), true),
    withoutSeed: (label: CellLabel) => name(label, targetText(label), false),
    curve: (label: CellLabel) => name(label, label.pattern, false),
  };
}

/** `50%` or `2:4`. */
export function targetText({ sparsity, pattern }: CellLabel): string {
  return pattern ?? `${Number((100 * (sparsity ?? 0)).toFixed(2))}%`;
}

function isEqual(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
