import { type Document, isAlias, isMap, isNode, isScalar, isSeq, LineCounter, parseDocument, visit } from "yaml";
import { InputError } from "../errors.js";
import { oneLine } from "./one-line.js";

/** A YAML file's content, and where its keys stand. */
export interface YamlFile {
  readonly content: unknown;
  /** 1-based line of the key at that path, or of the nearest one above it that is there. */
  lineOf(path: readonly PropertyKey[]): number;
}

/**
 * Reads YAML 1.2 strictly: one document, no key twice, no tags of its own, and no aliases, by which a few lines could stand
 * for gigabytes. Throws InputError with file and line.
 */
export function parseYaml(text: string, path: string): YamlFile {
  const lines = new LineCounter();
  const fail = (position: number | undefined, what: string): InputError =>
    new InputError(`${path}: ${position === undefined ? "" : `line ${lines.linePos(position).line}: `}${what}`);
  let document: Document.Parsed;
  try {
    document = parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: true });
  } catch (error) {
    throw fail(undefined, `not readable YAML: ${oneLine(error)}`); // nested so deep that the parser gave up
  }
  const [problem] = [...document.errors, ...document.warnings];
  if (problem) throw fail(problem.pos[0], `not valid YAML: ${oneLine(problem)}`);
  visit(document, (_, node) => {
    if (isAlias(node)) throw fail(node.range?.[0], "aliases (*name) are not allowed here; write the value out");
  });
  return {
    content: document.toJS(),
    lineOf: (keys) => lines.linePos(positionOf(document, keys)).line,
  };
}

function positionOf(document: Document.Parsed, keys: readonly PropertyKey[]): number {
  let node: unknown = document.contents;
  let position = document.contents?.range[0] ?? 0;
  for (const key of keys) {
    const pair = isMap(node) ? node.items.find((item) => isScalar(item.key) && item.key.value === key) : undefined;
    const found = pair?.key ?? (isSeq(node) ? node.items[Number(key)] : undefined);
    if (!isNode(found)) break;
    position = found.range?.[0] ?? position;
    node = pair ? pair.value : found;
  }
  return position;
}
