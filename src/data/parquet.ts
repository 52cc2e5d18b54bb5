import { open } from "node:fs/promises";
import { type AsyncBuffer, parquetMetadataAsync, parquetReadObjects, parquetSchema } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { InputError } from "../errors.js";
import { readBytes } from "./bytes.js";
import type { SourceFile } from "./source.js";

const COLUMN = "text";
const MAX_ROWS = 10_000_000;

/** The column `text` of a Parquet file, a document a row. Throws InputError that lists the columns where it has none. */
export async function readParquetTexts(
  path: string,
  signal?: AbortSignal,
): Promise<{ documents: string[]; file: SourceFile }> {
  const { rows, file } = await readParquetRows(path, COLUMN, signal);
  const documents = rows.map((row, i) => {
    const text: unknown = row[COLUMN];
    if (typeof text === "string") return text;
    throw new InputError(`${path}: row ${i}: "${COLUMN}" is no string`);
  });
  return { documents, file };
}

/** All rows of a Parquet file, one column or all of them. Throws InputError that lists the columns where it lacks that one. */
export async function readParquetRows(
  path: string,
  column: string | undefined,
  signal: AbortSignal | undefined,
): Promise<{ rows: Record<string, unknown>[]; file: SourceFile }> {
  const reader = readBytes(path, signal);
  await reader.skim();
  const file = { path, sha256: reader.sha256() };
  const handle = await open(path);
  try {
    const buffer: AsyncBuffer = {
      byteLength: (await handle.stat()).size,
      async slice(start, end = buffer.byteLength) {
        const bytes = new Uint8Array(end - start);
        await handle.read(bytes, 0, bytes.length, start);
        return bytes.buffer;
      },
    };
    const metadata = await parquetMetadataAsync(buffer);
    if (metadata.num_rows > MAX_ROWS) throw new InputError(`${path}: more than ${MAX_ROWS} rows; give a part of it`);
    const columns = parquetSchema(metadata).children.map((child) => child.element.name);
    if (column !== undefined && !columns.includes(column)) {
      throw new InputError(`${path}: no column "${column}"; it has ${columns.join(", ") || "none"}`);
    }
    const wanted = column === undefined ? {} : { columns: [column] };
    return { rows: await parquetReadObjects({ file: buffer, metadata, compressors, ...wanted }), file };
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(
      `${path}: no readable Parquet file: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
  } finally {
    await handle.close();
  }
}
