import type { CellResult, Likely, SampleWindow } from "../results/study-results.js";
import { fitChunk } from "./chunks.js";
import type { BaseSampleChunk, ReportSample, SampleChunk } from "./report-data.js";

/** Characters that all chunks of samples may have together. */
const MAX_CHARACTERS = 1_800_000;
/** More tokens than that are too many for a page to lay out at once. */
const MAX_TOKENS = 1024;
const MAX_WINDOWS = 4;
/** Probabilities are stored in thousandths. */
const THOUSAND = 1000;

/** Every cell's windows of text, token by token, as chunks; a window that would be too large ends early. */
export function sampleChunks(cells: readonly CellResult[]): {
  byCell: ReadonlyMap<string, readonly ReportSample[]>;
  chunks: Record<string, string>;
} {
  const all = cells.flatMap((cell) => (cell.sample ?? []).slice(0, MAX_WINDOWS).map((window) => ({ cell, window })));
  const chunks: Record<string, string> = {};
  const bases = new Map<string, { name: string; tokens: number }>();
  const byCell = new Map<string, ReportSample[]>();
  for (const [number, { cell, window }] of all.entries()) {
    const tokens = window.tokens.slice(0, MAX_TOKENS);
    const key = JSON.stringify([cell.label.model, window.source, window.window]);
    let base = bases.get(key);
    if (!base) {
      base = { name: `base-sample-${bases.size}`, tokens: 0 };
      const made = fitChunk(tokens, MAX_CHARACTERS / all.length, baseSample);
      chunks[base.name] = made.chunk;
      base.tokens = made.kept.length;
      bases.set(key, base);
    }
    const made = fitChunk(tokens.slice(0, base.tokens), MAX_CHARACTERS / all.length, ownSample);
    const name = `sample-${number}`;
    chunks[name] = made.chunk;
    const sample: ReportSample = {
      source: window.source,
      window: window.window,
      tokens: made.kept.length,
      of: window.tokens.length,
      base: base.name,
      chunk: name,
    };
    byCell.set(cell.id, [...(byCell.get(cell.id) ?? []), sample]);
  }
  return { byCell, chunks };
}

type Tokens = SampleWindow["tokens"];

function baseSample(kept: Tokens): BaseSampleChunk {
  const table = stringTable();
  const tokens = kept.map(({ text }) => table.indexOf(text));
  return { strings: table.strings, tokens, top: kept.map(({ base }) => table.top(base)) };
}

function ownSample(kept: Tokens): SampleChunk {
  const table = stringTable();
  const jsd = kept.map((token) => (token.jsd === null ? null : Number(token.jsd.toPrecision(3))));
  return { strings: table.strings, jsd, top: kept.map(({ compressed }) => table.top(compressed)) };
}

function stringTable() {
  const places = new Map<string, number>();
  const strings: string[] = [];
  const indexOf = (text: string) => {
    const known = places.get(text);
    if (known !== undefined) return known;
    places.set(text, strings.length);
    return strings.push(text) - 1;
  };
  const top = (likely: readonly Likely[]) =>
    likely.flatMap(([text, probability]) => [indexOf(text), Math.round(probability * THOUSAND)]);
  return { strings, indexOf, top };
}
