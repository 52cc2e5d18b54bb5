import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { InputError, RunError } from "../errors.js";
import { isDirectory, isFile } from "../files.js";
import { type CachedDataFile, resolveDataFile } from "../hub/data-file.js";
import { DATASET_PREFIX } from "../hub/names.js";
import type { OnProgress } from "../progress.js";
import { nearest } from "../text/nearest.js";
import { type FileContent, readDataFile } from "./documents.js";
import { type BuiltInSource, builtInSourceNames, builtInSources, type Purpose } from "./registry.js";
import type { DocumentSource, Source } from "./source.js";
import { wikitextArticles, wikitextRows } from "./wikitext.js";

/** The split of what pare carries itself. */
export const EXCERPT = "excerpt";

export interface LoadSourceOptions {
  readonly purpose: Purpose;
  /** The folder in which built-in sources are looked for. */
  readonly dataDirectory?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Of downloads. */
  readonly onProgress?: OnProgress | undefined;
}

/**
 * Data by a file's path, its address on the hub (`hf://datasets/org/name[@revision]/path`) or a built-in name (see registry.ts);
 * a file of that name comes first. Throws InputError where there is none of them, saying which file to put where, and for a
 * file that cannot be understood; RunError where a download fails.
 */
export async function loadSource(name: string, options: LoadSourceOptions): Promise<Source> {
  if (name.startsWith("hf://")) {
    const found = await resolveDataFile(name, options);
    return sourceOf(name, undefined, await readHubFile(found, options));
  }
  if (await isFile(name)) return sourceOf(name, undefined, await readDataFile(name, options.signal));
  const builtIn = builtInSources.find((source) => source.name === name);
  if (builtIn) return loadBuiltIn(builtIn, options);
  if (await isDirectory(name)) throw new InputError(`${name}: is a folder; name a file in it`);
  const close = nearest(name, builtInSourceNames);
  throw new InputError(
    `${name}: no such file, nor a built-in data source (${builtInSourceNames.join(", ")})` +
      (close ? `; did you mean ${close}?` : ""),
  );
}

/** What is wrong with the folder of data sets, in one line. */
export async function dataFolderProblem(folder: string | undefined): Promise<string | undefined> {
  if (folder === undefined || (await isDirectory(folder))) return undefined;
  return `the data folder ${folder} is not there: correct --data-dir or PARE_DATA`;
}

async function loadBuiltIn(builtIn: BuiltInSource, options: LoadSourceOptions): Promise<Source> {
  const { purpose, dataDirectory, signal } = options;
  const problem = await dataFolderProblem(dataDirectory);
  if (problem !== undefined) throw new InputError(problem);
  const candidates = builtIn.candidates[purpose];
  for (const { path, split } of dataDirectory === undefined ? [] : candidates) {
    const file = join(dataDirectory as string, path);
    if (!(await isFile(file))) continue;
    return builtInSource(builtIn, split, await readDataFile(file, signal));
  }
  if (builtIn.excerpt !== undefined) {
    const file = fileURLToPath(new URL(`../../assets/${builtIn.excerpt}`, import.meta.url));
    const source = sourceOf(builtIn.name, EXCERPT, await readDataFile(file, signal));
    if (source.kind === "windows") return source;
    // Measured on other stories than calibrated on.
    const remainder = purpose === "calibration" ? 0 : 1;
    return { ...source, documents: source.documents.filter((_, i) => i % 2 === remainder) };
  }
  const place =
    dataDirectory === undefined
      ? "no data folder; name one by --data-dir or PARE_DATA and"
      : `not in ${dataDirectory};`;
  const missing = `${builtIn.name}: ${place} put ${candidates[0]?.path} from ${builtIn.origin} there`;
  if (builtIn.hub === undefined) throw new InputError(missing);
  const { path, split } = builtIn.hub.files[purpose];
  const address = `${DATASET_PREFIX}${builtIn.hub.name}@${builtIn.hub.commit}/${path}`;
  const found = await resolveDataFile(address, options).catch((cause: unknown) => {
    // What cannot be downloaded here may be brought by hand.
    if (cause instanceof InputError) throw new InputError(`${missing} (${cause.message})`, { cause });
    if (cause instanceof RunError) throw new RunError(`${missing} (${cause.message})`, { cause });
    throw cause;
  });
  return builtInSource(builtIn, split, await readHubFile(found, options));
}

/** Named by its address on the hub, which is the same on every machine. */
async function readHubFile({ path, address }: CachedDataFile, { signal }: LoadSourceOptions): Promise<FileContent> {
  const content = await readDataFile(path, signal);
  return { ...content, file: { ...content.file, path: address } };
}

function builtInSource(builtIn: BuiltInSource, split: string | undefined, content: FileContent): Source {
  const source = sourceOf(builtIn.name, split, content);
  return builtIn.rowALine && source.kind === "documents" ? wikitextSource(source) : source;
}

/** Documents are the articles; all of them joined are the data set's rows joined by "\n\n", as perplexity is measured. */
function wikitextSource(source: DocumentSource): DocumentSource {
  const isRaw = source.files[0]?.path.endsWith(".raw");
  const rows = isRaw ? wikitextRows(source.documents.join("")) : source.documents;
  return { ...source, documents: wikitextArticles(rows), referenceText: rows.join(" ") };
}

function sourceOf(name: string, split: string | undefined, content: FileContent): Source {
  const { file, ...rest } = content;
  const origin = { name, split, files: [file] };
  return rest.kind === "windows" ? { ...origin, ...rest } : { ...origin, ...rest, separator: "\n\n" };
}
