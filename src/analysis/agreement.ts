import { type Correlation, correlateCells, kendallTauB, spearman } from "../metrics/statistics/correlation.js";
import { type Interval, percentileInterval } from "../metrics/statistics/interval.js";
import { drawItems, type Resampling } from "../metrics/statistics/resampling.js";
import { createMersenneTwister } from "../random/mersenne.js";
import type { Agreement, Measure, MeasureAgreement } from "./analysis.js";
import type { LabelledCell } from "./cells.js";
import { groupBy } from "./labels.js";
import { idOf, OVERALL } from "./measures.js";

/** Fewer cells have no ranks worth comparing. */
const MIN_CELLS = 3;
/** Resamples of a correlation: from what gives an interval's ends one digit to what gives them two. */
const MIN_RESAMPLES = 200;
const MAX_RESAMPLES = 2000;
/** Pairs of cells that all resamples of one correlation may compare. */
const MAX_PAIRS = 10_000_000;

/** How every model's measures rank its cells by the overall task loss; models of fewer than three such cells have none. */
export function agreementsOf(cells: readonly LabelledCell[], measures: readonly Measure[]): Agreement[] {
  const judged = cells.filter(({ analysis }) => OVERALL in analysis.values);
  return groupBy(judged, ({ label }) => label.model)
    .filter((group) => group.length >= MIN_CELLS)
    .map((group) => {
      const resampling = { seed: 0, resamples: resamplesOf(group.length) };
      const columns = [...columnsOf(measures), ...taskColumns(measures)];
      return {
        model: group[0]!.label.model,
        cells: group.length,
        measures: columns.flatMap((column) => agreementOf(column, group, resampling)),
        jsdAgainstPerplexity: measures
          .filter(({ kind }) => kind === "jsd")
          .flatMap(({ source }) => againstPerplexity(source!, group, resampling)),
      };
    });
}

/** As many as keep a study of hundreds of cells below seconds. */
function resamplesOf(cells: number): number {
  const pairs = (cells * (cells - 1)) / 2;
  return Math.min(MAX_RESAMPLES, Math.max(MIN_RESAMPLES, Math.floor(MAX_PAIRS / pairs)));
}

/** A figure that a cell may have. */
interface Column {
  readonly measure: string;
  readonly title: string;
  readonly of: (cell: LabelledCell) => number | undefined;
}

function columnsOf(measures: readonly Measure[]): Column[] {
  const kinds = ["perplexityRatio", "jsd", "kl", "top1Changed"];
  return measures.filter(({ kind }) => kinds.includes(kind)).map(({ id, title }) => ({ ...valueColumn(id), title }));
}

/** Divergences on tasks' text: the mean over a cell's tasks, as the loss is. */
function taskColumns(measures: readonly Measure[]): Column[] {
  const titles = { taskJsd: "JSD on the tasks' references", answerJsd: "JSD on the base's answers to the tasks" };
  return (["taskJsd", "answerJsd"] as const).map((kind) => {
    const ids = measures.filter((measure) => measure.kind === kind).map(({ id }) => id);
    const of = ({ analysis }: LabelledCell) => {
      const values = ids.flatMap((id) => analysis.values[id]?.value ?? []);
      return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0) / values.length;
    };
    return { measure: kind, title: titles[kind], of };
  });
}

function valueColumn(id: string): Column {
  return { measure: id, title: id, of: ({ analysis }) => analysis.values[id]?.value };
}

function agreementOf(
  { measure, title, of }: Column,
  cells: readonly LabelledCell[],
  resampling: Resampling,
): MeasureAgreement[] {
  const own = cells.filter((cell) => of(cell) !== undefined);
  if (own.length < MIN_CELLS) return [];
  const values = own.map((cell) => of(cell)!);
  const correlate = (correlation: Correlation) => correlateCells(values, lossesOf(own), correlation, resampling);
  return [{ measure, title, kendall: correlate(kendallTauB), spearman: correlate(spearman) }];
}

function lossesOf(cells: readonly LabelledCell[]): Float64Array {
  return Float64Array.from(cells, ({ analysis }) => analysis.values[OVERALL]!.value);
}

function againstPerplexity(source: string, cells: readonly LabelledCell[], resampling: Resampling) {
  const jsd = valueColumn(idOf("jsd", source));
  const ratio = valueColumn(idOf("perplexityRatio", source));
  const own = cells.filter((cell) => jsd.of(cell) !== undefined && ratio.of(cell) !== undefined);
  if (own.length < MIN_CELLS) return [];
  const column = ({ of }: Column) => Float64Array.from(own, (cell) => of(cell)!);
  const compared = compareCorrelations(column(jsd), column(ratio), lossesOf(own), kendallTauB, resampling);
  return compared ? [{ source, ...compared }] : [];
}

/**
 * Correlation of a with c less that of b with c, and its 95% percentile bootstrap interval: all three columns are resampled
 * together, so that what both correlations owe to the same cells falls out. Null where one of the two has no value.
 */
function compareCorrelations(
  a: Float64Array,
  b: Float64Array,
  c: Float64Array,
  correlation: Correlation,
  { seed, resamples }: Resampling,
): { readonly difference: number; readonly interval: Interval | null } | null {
  const difference = (cells: Int32Array) => {
    const drawn = (column: Float64Array) => Float64Array.from(cells, (cell) => column[cell]!);
    const target = drawn(c);
    const [first, second] = [correlation(drawn(a), target), correlation(drawn(b), target)];
    return first === null || second === null ? null : first - second;
  };
  const observed = difference(Int32Array.from(a.keys()));
  if (observed === null) return null;
  const generator = createMersenneTwister(seed);
  const cells = new Int32Array(a.length);
  const resampled: number[] = [];
  for (let resample = 0; resample < resamples; resample++) {
    drawItems(generator, cells);
    const value = difference(cells);
    if (value !== null) resampled.push(value);
  }
  return { difference: observed, interval: percentileInterval(Float64Array.from(resampled)) };
}
