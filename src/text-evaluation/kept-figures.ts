import { sha256OfIds } from "../data/windows.js";
import { columnsOf, type LossFigures, type PositionFigures } from "../metrics/distribution.js";
import { type Journal, journalKey } from "../results/journal.js";
import { bytesOf } from "../tensor/matrix.js";

type Columns = LossFigures | PositionFigures;

/** Figures of batches of windows, kept in a journal so that a run that was stopped goes on from there. */
export interface KeptFigures {
  /** Whether there is something, which may yet turn out to be wrong. */
  has(windows: readonly Int32Array[]): boolean;
  /** Fills rows [from, to) of the columns with what was kept of these windows; false where nothing was, or not all. */
  take(windows: readonly Int32Array[], figures: readonly Columns[], from: number, to: number): boolean;
  keep(windows: readonly Int32Array[], figures: readonly Columns[], from: number, to: number): void;
}

/** Raised whenever the same models give other figures. */
const VERSION = 1;

/** `how` is what determines the figures beside the windows: models, engine, what is compared. */
export function keepFigures(journal: Journal, how: readonly unknown[]): KeptFigures {
  const keyOf = (windows: readonly Int32Array[]) => {
    const lengths = windows.map(({ length }) => length);
    return journalKey("text", VERSION, how, lengths, sha256OfIds(windows));
  };
  return {
    has: (windows) => journal.get(keyOf(windows)) !== undefined,
    take(windows, figures, from, to) {
      const entry = journal.get(keyOf(windows));
      const rows = figures.map((columns, i) => unpack(columns, Array.isArray(entry) ? entry[i] : undefined, to - from));
      if (!rows.every((parts) => parts !== undefined)) return false; // not there, or wrong: it may be a stranger's
      for (const [i, parts] of rows.entries()) {
        for (const [name, column] of columnsOf(figures[i]!)) bytesOf(column.subarray(from, to)).set(parts[name]!);
      }
      return true;
    },
    keep: (windows, figures, from, to) =>
      journal.write(
        keyOf(windows),
        figures.map((columns) =>
          Object.fromEntries(
            columnsOf(columns).map(([name, column]) => [
              name,
              Buffer.from(bytesOf(column.subarray(from, to))).toString("base64"),
            ]),
          ),
        ),
      ),
  };
}

/** Every column's bytes, as a journal has them; undefined where one is missing or is not of so many rows. */
function unpack(columns: Columns, entry: unknown, rows: number): Readonly<Record<string, Uint8Array>> | undefined {
  if (typeof entry !== "object" || entry === null) return undefined;
  const packed = new Map<string, unknown>(Object.entries(entry));
  const parts: Record<string, Uint8Array> = {};
  for (const [name, column] of columnsOf(columns)) {
    const text = packed.get(name);
    const bytes = typeof text === "string" ? Buffer.from(text, "base64") : undefined;
    if (bytes?.length !== rows * column.BYTES_PER_ELEMENT) return undefined;
    parts[name] = bytes;
  }
  return parts;
}
