import { writeFile } from "node:fs/promises";

/** Writes windows of token ids, all of one length, as --data and --calibration read them; gives the file. */
export async function writeWindows(file: string, count: number, length: number): Promise<string> {
  const windows = Array.from({ length: count }, (_, w) =>
    Array.from({ length }, (_, i) => 3 + ((w * 131 + i * i * 7) % 500)),
  );
  await writeFile(file, JSON.stringify({ windows }));
  return file;
}
