import { clusteredMean, clustersOf, exponential, type MeanSummary } from "./statistics/clustered-mean.js";

/** Losses of a continuation's tokens, nats; null where a logit was not finite. */
type Column = readonly (number | null)[];

/** Base against compressed on the tokens of one item's continuation. */
export interface ContinuationColumns {
  readonly lossBase: Column;
  readonly loss: Column;
  readonly jsd: Column;
  readonly kl: Column;
  readonly sameTop1: readonly boolean[];
}

/** Base against compressed over the tokens of all items' continuations; standard errors are clustered by item. */
export interface ContinuationSummary {
  readonly tokens: number;
  readonly perplexity: {
    readonly base: number | null;
    readonly compressed: number | null;
    readonly ratio: number | null;
    readonly ratioStandardError: number | null;
  };
  readonly jsd: MeanSummary & { readonly meanBits: number | null };
  /** KL(base‖compressed), nats. */
  readonly kl: MeanSummary;
  readonly sameTop1: MeanSummary;
}

/** Sums up continuations of items; tokens with a logit that is not finite are left out. */
export function summariseContinuations(items: readonly ContinuationColumns[]): ContinuationSummary {
  const item: number[] = [];
  const columns = { lossBase: [] as number[], loss: [] as number[], jsd: [] as number[], kl: [] as number[] };
  const sameTop1: number[] = [];
  for (const [i, { lossBase, loss, jsd, kl, sameTop1: same }] of items.entries()) {
    for (const [t, nats] of loss.entries()) {
      const [base, divergence, information] = [lossBase[t], jsd[t], kl[t]];
      if (nats === null || base == null || divergence == null || information == null) continue;
      item.push(i);
      columns.lossBase.push(base);
      columns.loss.push(nats);
      columns.jsd.push(divergence);
      columns.kl.push(information);
      sameTop1.push(same[t] ? 1 : 0);
    }
  }
  const clusters = clustersOf(Int32Array.from(item));
  const summary = (values: readonly number[]) => clusteredMean(Float64Array.from(values), clusters);
  const ratio = exponential(summary(columns.loss.map((nats, i) => nats - columns.lossBase[i]!)));
  const jsd = summary(columns.jsd);
  return {
    tokens: item.length,
    perplexity: {
      base: exponential(summary(columns.lossBase)).value,
      compressed: exponential(summary(columns.loss)).value,
      ratio: ratio.value,
      ratioStandardError: ratio.standardError,
    },
    jsd: { ...jsd, meanBits: jsd.mean === null ? null : jsd.mean / Math.LN2 },
    kl: summary(columns.kl),
    sameTop1: summary(sameTop1),
  };
}
