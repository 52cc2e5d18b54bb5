import type { Answer, ItemResult } from "../task-evaluation/item-results.js";
import { chunk, fitChunk } from "./chunks.js";
import type { BaseItem, CellItem, ReportAnswer, ReportItems } from "./report-data.js";

/** Characters that all chunks of items may have together: prompts and base's answers, and the cells' answers. */
const MAX_BASE_CHARACTERS = 1_500_000;
const MAX_CELL_CHARACTERS = 4_000_000;
/** Prompts are cut from the left, since the question stands at their end: the first of these lengths that fits. */
const PROMPT_LENGTHS = [8000, 2000, 500];
const MAX_ANSWER_LENGTH = 4000;

/** One cell's items, as they are read. */
interface Source {
  readonly id: string;
  readonly model: string;
}

/** A task of a model: what its cells share. */
interface Group {
  readonly name: string;
  readonly items: Map<string, Shared>;
}

interface Shared {
  readonly result: ItemResult;
  /** Cells in which a score changed. */
  changes: number;
}

interface Own {
  readonly shared: Shared;
  readonly changed: number;
  readonly item: Omit<CellItem, "at">;
}

/**
 * The items of every cell as chunks. Where all would be too large, items whose scores changed come first, then those
 * whose answers did.
 */
export async function itemChunks(
  cells: readonly Source[],
  itemsOf: (cell: string) => Promise<readonly ItemResult[]>,
): Promise<{ byCell: ReadonlyMap<string, readonly ReportItems[]>; chunks: Record<string, string> }> {
  const groups = new Map<string, Group>();
  const owned: { cell: string; task: string; group: Group; items: Own[] }[] = [];
  for (const { id, model } of cells) {
    const results = await itemsOf(id);
    for (const task of new Set(results.map((result) => result.task))) {
      const key = JSON.stringify([model, task]);
      const group = groups.get(key) ?? { name: `base-items-${groups.size}`, items: new Map() };
      groups.set(key, group);
      const own = results.filter((result) => result.task === task);
      owned.push({ cell: id, task, group, items: own.map((result) => ownItem(group, result)) });
    }
  }
  const chunks: Record<string, string> = {};
  const places = new Map<Shared, number>();
  for (const { name, items } of groups.values()) {
    const made = baseChunk([...items.values()], MAX_BASE_CHARACTERS / groups.size);
    chunks[name] = made.chunk;
    for (const [at, shared] of made.kept.entries()) places.set(shared, at);
  }
  const byCell = new Map<string, ReportItems[]>();
  for (const [number, { cell, task, group, items }] of owned.entries()) {
    const name = `items-${number}`;
    const known = items.filter(({ shared }) => places.has(shared)).sort((a, b) => b.changed - a.changed);
    const made = fitChunk(known, MAX_CELL_CHARACTERS / owned.length, (kept) => cellItems(kept, places));
    chunks[name] = made.chunk;
    const entry = { task, shown: made.kept.length, of: items.length, base: group.name, chunk: name };
    byCell.set(cell, [...(byCell.get(cell) ?? []), entry]);
  }
  return { byCell, chunks };
}

function ownItem(group: Group, result: ItemResult): Own {
  const key = `${result.index} ${result.promptSha256}`;
  const shared = group.items.get(key) ?? { result, changes: 0 };
  group.items.set(key, shared);
  const scores = Object.entries(result.scores);
  const flipped = scores.some(([, { base, compressed }]) => base !== null && base !== compressed);
  if (flipped) shared.changes++;
  const answer = reportAnswer(result.compressed);
  const { base } = shared.result;
  const same = base !== null && JSON.stringify(reportAnswer(base)) === JSON.stringify(answer);
  return {
    shared,
    changed: flipped ? 2 : same ? 0 : 1,
    item: {
      answer: same ? null : answer,
      scores: Object.fromEntries(scores.map(([metric, { compressed }]) => [metric, compressed])),
      firstDivergentToken: result.firstDivergentToken,
    },
  };
}

function baseChunk(items: readonly Shared[], limit: number) {
  const ordered = items.toSorted((a, b) => b.changes - a.changes);
  for (const length of PROMPT_LENGTHS) {
    const made = chunk(ordered.map(({ result }) => baseItem(result, length)));
    if (made.length <= limit) return { kept: ordered, chunk: made };
  }
  const shortest = PROMPT_LENGTHS.at(-1)!;
  return fitChunk(ordered, limit, (kept) => kept.map(({ result }) => baseItem(result, shortest)));
}

function baseItem(result: ItemResult, promptLength: number): BaseItem {
  const cut = (text: string) => (text.length > promptLength ? `…${text.slice(-promptLength)}` : text);
  return {
    id: result.id,
    prompt: cut(result.prompt),
    contexts: result.contexts?.map(cut) ?? null,
    references: result.references.map(shorten),
    choices: result.choices?.map(shorten) ?? null,
    gold: result.gold,
    answer: result.base && reportAnswer(result.base),
    scores: Object.fromEntries(Object.entries(result.scores).map(([metric, { base }]) => [metric, base])),
  };
}

function cellItems(kept: readonly Own[], places: ReadonlyMap<Shared, number>): CellItem[] {
  return kept.map(({ shared, item }) => ({ at: places.get(shared)!, ...item })).sort((a, b) => a.at - b.at);
}

function reportAnswer(answer: Answer): ReportAnswer {
  if (answer.kind !== "generate") return { chosen: answer.chosen };
  const { text, prediction } = answer;
  return { text: shorten(text), prediction: prediction === text ? null : shorten(prediction) };
}

function shorten(text: string): string {
  return text.length > MAX_ANSWER_LENGTH ? `${text.slice(0, MAX_ANSWER_LENGTH)}…` : text;
}
