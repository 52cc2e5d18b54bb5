import { InputError } from "../errors.js";

/** The `model` part of a tokenizer.json of type BPE, as far as encoding needs it. */
export interface BpeModel {
  readonly vocab: ReadonlyMap<string, number>;
  /** In order of rank: the first is merged first. */
  readonly merges: readonly (readonly [string, string])[];
  readonly unknownToken: string | undefined;
  /** One unknown token for a run of unknown characters. */
  readonly fuseUnknown: boolean;
  /** Unknown characters become tokens `<0x00>` to `<0xFF>` of their UTF-8 bytes. */
  readonly byteFallback: boolean;
  /** A piece that is itself a token is not merged up but taken whole. */
  readonly ignoreMerges: boolean;
  readonly continuingSubwordPrefix: string;
  readonly endOfWordSuffix: string;
}

/** Puts the token ids of one pre-tokenized piece at the end of `ids`. */
export type EncodePiece = (piece: string, ids: number[]) => void;

/** Pieces that long are rarely seen twice. */
const MAX_CACHED_PIECE = 256;
const MAX_CACHED_PIECES = 100_000;

/**
 * Byte-pair encoding of pieces of any length in O(n log n) time and a few bytes a character, so that a whole text may be
 * one piece (LLaMA 2, Gemma). Follows `models/bpe` of huggingface/tokenizers step for step, stale queue entries
 * included: where two pairs merge into the same token that decides which of them comes first.
 */
export function createBpe(model: BpeModel, where: string): EncodePiece {
  const { vocab, byteFallback, continuingSubwordPrefix: prefix, endOfWordSuffix: suffix } = model;
  const { rankOfPair, mergedOfRank, pairKey } = indexMerges(model, where);
  const unknownId = model.unknownToken === undefined ? undefined : vocab.get(model.unknownToken);
  const byteIds = Array.from({ length: 256 }, (_, byte) =>
    vocab.get(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`),
  );
  const utf8 = new TextEncoder();
  const cache = new Map<string, readonly number[]>();

  /** The ids of the single characters; what BPE starts from. */
  function symbolsOf(piece: string): number[] {
    const symbols: number[] = [];
    let unknownPending = false;
    let index = 0;
    for (const character of piece) {
      let symbol = character;
      if (index > 0) symbol = prefix + symbol;
      index += character.length;
      if (index === piece.length) symbol += suffix;
      const id = vocab.get(symbol);
      if (id !== undefined) {
        if (unknownPending) symbols.push(unknownId!);
        unknownPending = false;
        symbols.push(id);
        continue;
      }
      if (byteFallback) {
        const bytes = Array.from(utf8.encode(symbol), (byte) => byteIds[byte]);
        if (bytes.every((byte) => byte !== undefined)) {
          symbols.push(...bytes);
          continue;
        }
      }
      if (unknownId === undefined) continue;
      if (unknownPending && !model.fuseUnknown) symbols.push(unknownId);
      unknownPending = true;
    }
    if (unknownPending) symbols.push(unknownId!);
    return symbols;
  }

  /** Merges adjacent symbols, lowest rank first and leftmost first among equals, until no pair is left. */
  function merge(symbols: readonly number[], ids: number[]): void {
    const length = symbols.length;
    const token = Int32Array.from(symbols);
    const next = Int32Array.from(symbols, (_, i) => i + 1);
    const previous = Int32Array.from(symbols, (_, i) => i - 1);
    const gone = new Uint8Array(length);
    // One number orders the queue by rank and then by position: rank · length + position < 2^53.
    const queue: number[] = [];
    for (let i = 0; i + 1 < length; i++) {
      const rank = rankOfPair.get(pairKey(token[i]!, token[i + 1]!));
      if (rank !== undefined) queue.push(rank * length + i);
    }
    heapify(queue);
    const enqueue = (left: number, right: number): void => {
      const rank = rankOfPair.get(pairKey(token[left]!, token[right]!));
      if (rank !== undefined) pushHeap(queue, rank * length + left);
    };
    while (queue.length > 0) {
      const key = popHeap(queue);
      const position = key % length;
      const merged = mergedOfRank[(key - position) / length]!;
      if (gone[position]) continue;
      const right = next[position]!;
      if (right >= length) continue;
      const rank = rankOfPair.get(pairKey(token[position]!, token[right]!));
      if (rank === undefined || mergedOfRank[rank] !== merged) continue;
      token[position] = merged;
      gone[right] = 1;
      const after = next[right]!;
      next[position] = after;
      if (after < length) previous[after] = position;
      const before = previous[position]!;
      if (before >= 0) enqueue(before, position);
      if (after < length) enqueue(position, after);
    }
    for (let i = 0; i < length; i = next[i]!) ids.push(token[i]!);
  }

  return (piece, ids) => {
    if (piece.length === 0) return;
    if (model.ignoreMerges) {
      const id = vocab.get(piece);
      if (id !== undefined) {
        ids.push(id);
        return;
      }
    }
    if (piece.length > MAX_CACHED_PIECE) {
      merge(symbolsOf(piece), ids);
      return;
    }
    let merged = cache.get(piece);
    if (merged === undefined) {
      const fresh: number[] = [];
      merge(symbolsOf(piece), fresh);
      if (cache.size >= MAX_CACHED_PIECES) cache.clear();
      cache.set(piece, fresh);
      merged = fresh;
    }
    for (const id of merged) ids.push(id);
  };
}

function indexMerges(model: BpeModel, where: string) {
  const { vocab } = model;
  let size = 0;
  for (const id of vocab.values()) size = Math.max(size, id + 1);
  const pairKey = (left: number, right: number): number => left * size + right;
  const rankOfPair = new Map<number, number>();
  const mergedOfRank = new Int32Array(model.merges.length);
  model.merges.forEach(([left, right], rank) => {
    const merged = left + right.slice(model.continuingSubwordPrefix.length);
    const ids = [left, right, merged].map((token) => {
      const id = vocab.get(token);
      if (id !== undefined) return id;
      throw new InputError(
        `${where}: merge ${rank} needs the token ${JSON.stringify(token)}, which is not in the vocabulary`,
      );
    });
    rankOfPair.set(pairKey(ids[0]!, ids[1]!), rank);
    mergedOfRank[rank] = ids[2]!;
  });
  return { rankOfPair, mergedOfRank, pairKey };
}

/** Binary min-heaps of numbers, in place. */
function heapify(heap: number[]): void {
  for (let i = (heap.length >> 1) - 1; i >= 0; i--) siftDown(heap, i);
}

function pushHeap(heap: number[], value: number): void {
  let i = heap.push(value) - 1;
  while (i > 0) {
    const parent = (i - 1) >> 1;
    if (heap[parent]! <= value) break;
    heap[i] = heap[parent]!;
    i = parent;
  }
  heap[i] = value;
}

function popHeap(heap: number[]): number {
  const top = heap[0]!;
  const last = heap.pop()!;
  if (heap.length > 0) {
    heap[0] = last;
    siftDown(heap, 0);
  }
  return top;
}

function siftDown(heap: number[], start: number): void {
  const value = heap[start]!;
  let i = start;
  for (;;) {
    let child = 2 * i + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && heap[child + 1]! < heap[child]!) child++;
    if (heap[child]! >= value) break;
    heap[i] = heap[child]!;
    i = child;
  }
  heap[i] = value;
}
