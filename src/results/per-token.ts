import { access, constants, open } from "node:fs/promises";
import { dirname, extname } from "node:path";
import { parquetWriteFile } from "hyparquet-writer";
import { errorCode } from "../checkpoint/folder.js";
import { InputError } from "../errors.js";
import { checkReplaceable, replaceBy } from "../files.js";
import type { PositionFigures } from "../metrics/distribution.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";

/** Lines put together before they are written. */
const CHUNK_LINES = 4096;

/** One scored position, as written: the token at `position` of its window, predicted from the tokens before it. */
interface TokenRow {
  readonly window: number;
  readonly position: number;
  readonly token: number;
  readonly text: string | null;
  readonly lossBase: number | null;
  readonly loss: number | null;
  readonly jsd: number | null;
  readonly kl: number | null;
  readonly klReverse: number | null;
  readonly totalVariation: number | null;
  readonly sameTop1: boolean;
  readonly top5Overlap: number;
  readonly topConfidence: number | null;
  readonly top1Base: number;
  readonly top1: number;
  readonly finite: boolean;
}

const INTEGERS = ["window", "position", "token", "top5Overlap", "top1Base", "top1"] as const;
const NUMBERS = ["lossBase", "loss", "jsd", "kl", "klReverse", "totalVariation", "topConfidence"] as const;
const FLAGS = ["sameTop1", "finite"] as const;

/** Throws InputError for a file of no known format, or one that cannot be written, so that the mistake shows before the work. */
export async function checkPerTokenFile(file: string): Promise<void> {
  if (![".jsonl", ".parquet"].includes(extname(file))) {
    throw new InputError(`--per-token ${file}: name a file that ends in .jsonl or .parquet`);
  }
  await checkReplaceable(file, extname(file) === ".parquet" ? "PAR1" : '{"window":', "table of tokens");
  const folder = dirname(file);
  await access(folder, constants.W_OK).catch((cause: unknown) => {
    const isGone = errorCode(cause) === "ENOENT" || errorCode(cause) === "ENOTDIR";
    const what = isGone
      ? `there is no folder ${folder}; make it first`
      : `${folder} cannot be written to; name another folder`;
    throw new InputError(`--per-token ${file}: ${what}`, { cause });
  });
}

/** Writes every position's figures (nats) to a .jsonl or .parquet file; the file appears whole or not at all. */
export async function writePerToken(
  file: string,
  figures: PositionFigures,
  windows: readonly Int32Array[],
  tokenizer: Tokenizer | undefined,
): Promise<void> {
  const rows = tokenRows(figures, windows, tokenizer);
  await replaceBy(file, async (partial) => {
    if (extname(file) === ".parquet") writeParquet(partial, [...rows]);
    else await writeLines(partial, rows);
  });
}

function* tokenRows(
  figures: PositionFigures,
  windows: readonly Int32Array[],
  tokenizer: Tokenizer | undefined,
): Generator<TokenRow> {
  const number = (value: number | undefined) => (Number.isFinite(value) ? value! : null); // JSON has no NaN
  let row = 0;
  for (const [window, ids] of windows.entries()) {
    for (let position = 1; position < ids.length; position++, row++) {
      const token = ids[position]!;
      yield {
        window,
        position,
        token,
        text: tokenizer?.tokenText(token) ?? null,
        lossBase: number(figures.lossBase[row]),
        loss: number(figures.loss[row]),
        jsd: number(figures.jsd[row]),
        kl: number(figures.kl[row]),
        klReverse: number(figures.klReverse[row]),
        totalVariation: number(figures.totalVariation[row]),
        sameTop1: figures.sameTop1[row] === 1,
        top5Overlap: figures.top5Overlap[row]!,
        topConfidence: number(figures.topConfidence[row]),
        top1Base: figures.top1Base[row]!,
        top1: figures.top1[row]!,
        finite: figures.finite[row] === 1,
      };
    }
  }
}

async function writeLines(file: string, rows: Iterable<TokenRow>): Promise<void> {
  const handle = await open(file, "w");
  try {
    let lines: string[] = [];
    const flush = async () => {
      await handle.appendFile(lines.join(""));
      lines = [];
    };
    for (const row of rows) {
      lines.push(`${JSON.stringify(row)}\n`);
      if (lines.length === CHUNK_LINES) await flush();
    }
    await flush();
  } finally {
    await handle.close();
  }
}

function writeParquet(filename: string, rows: readonly TokenRow[]): void {
  parquetWriteFile({
    filename,
    columnData: [
      ...INTEGERS.map((name) => ({
        name,
        type: "INT32" as const,
        nullable: false,
        data: rows.map((row) => row[name]),
      })),
      { name: "text", type: "STRING" as const, data: rows.map((row) => row.text) },
      ...NUMBERS.map((name) => ({ name, type: "DOUBLE" as const, data: rows.map((row) => row[name]) })),
      ...FLAGS.map((name) => ({ name, type: "BOOLEAN" as const, nullable: false, data: rows.map((row) => row[name]) })),
    ],
  });
}
