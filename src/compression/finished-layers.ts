import { z } from "zod";
import type { CheckpointWriter } from "../checkpoint/checkpoint.js";
import { InputError } from "../errors.js";
import type { SiteResult } from "../results/compression-record.js";

const count = z.int().nonnegative();
const siteResult: z.ZodType<SiteResult> = z
  .strictObject({ zeros: count, size: count, tokens: count.optional() })
  .transform(({ tokens, ...counts }) => (tokens === undefined ? counts : { ...counts, tokens }));

/** What the writer is told when a layer's weights are written, and when a run goes on where another stopped. */
const commit = z.union([
  z.strictObject({ sites: z.record(z.string(), siteResult), seconds: z.record(z.string(), z.number()) }),
  z.strictObject({ resumedAt: count }),
]);
type Commit = z.infer<typeof commit>;

/** How far a run had come when it was stopped. */
export interface FinishedLayers {
  /** The first so many layers are compressed and on the disk. */
  readonly layers: number;
  readonly sites: Readonly<Record<string, SiteResult>>;
  /** Seconds by stage, of all runs until the last layer that was finished. */
  readonly seconds: Readonly<Record<string, number>>;
  /** After how many layers it was gone on with, each time that it was. */
  readonly resumedAt: readonly number[];
}

/** Reads what earlier runs committed. Throws InputError where it makes no sense. */
export function finishedLayers({ done, output }: CheckpointWriter): FinishedLayers {
  const sites: Record<string, SiteResult> = {};
  const resumedAt: number[] = [];
  let seconds: Readonly<Record<string, number>> = {};
  let layers = 0;
  for (const value of done) {
    const { data } = commit.safeParse(value);
    if (!data) throw new InputError(`${output}.partial: is damaged; remove it`);
    if ("resumedAt" in data) {
      resumedAt.push(data.resumedAt);
      continue;
    }
    Object.assign(sites, data.sites);
    ({ seconds } = data);
    layers++;
  }
  return { layers, sites, seconds, resumedAt };
}

/** Remembers something for a run that goes on from here; all layers before this one were committed. */
export function commitTo(writer: CheckpointWriter, what: Commit): Promise<void> {
  return writer.commit(what);
}
