/** Chunks that came with a live update, which stand in no element. */
let updated: Readonly<Record<string, string>> = {};
const opened = new Map<string, Promise<unknown>>();

/** The JSON that stands in the page under an id. */
export function readIsland<T>(id: string): T | undefined {
  const text = document.getElementById(id)?.textContent;
  return text ? (JSON.parse(text) as T) : undefined;
}

/** Takes the chunks of a newer document. */
export function updateChunks(chunks: Readonly<Record<string, string>>): void {
  updated = chunks;
  opened.clear();
}

/** Opens a chunk: base64 of gzip of JSON. The second time it is there already. */
export function openChunk<T>(name: string): Promise<T> {
  const known = opened.get(name) ?? inflate(updated[name] ?? readIsland<string>(`chunk-${name}`) ?? "");
  opened.set(name, known);
  return known as Promise<T>;
}

async function inflate(base64: string): Promise<unknown> {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}
