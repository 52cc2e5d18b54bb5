import { gzipSync } from "node:zlib";

/** A value as a page opens it late: gzip of its JSON, in base64. */
export function chunk(value: unknown): string {
  return gzipSync(JSON.stringify(value)).toString("base64");
}

/** As many of `items`, from the first on, as give a chunk of at most `limit` characters. */
export function fitChunk<T>(
  items: readonly T[],
  limit: number,
  value: (kept: readonly T[]) => unknown,
): { readonly kept: readonly T[]; readonly chunk: string } {
  let kept = items;
  for (;;) {
    const made = chunk(value(kept));
    if (made.length <= limit || kept.length === 0) return { kept, chunk: made };
    kept = kept.slice(0, Math.floor(kept.length * Math.min(0.9, limit / made.length)));
  }
}
