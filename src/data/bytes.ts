import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { pipeline } from "node:stream";
import { createGunzip } from "node:zlib";
import { InputError, throwIfAborted } from "../errors.js";

/** One of C4's 1,024 training files is 0.8 GB unpacked; beyond this a file is no sample any more. */
const MAX_DATA_BYTES = 4 * 1024 ** 3;
/** The longest string of V8 has 2²⁹ characters. */
const MAX_WHOLE_BYTES = 400 * 1024 ** 2;
const MAX_LINE_BYTES = 64 * 1024 ** 2;
const NEWLINE = 0x0a;

/** A data file that is read once from beginning to end, unpacked where its name ends in .gz. */
export interface ByteReader {
  /** The whole content. */
  whole(): Promise<Buffer>;
  /** One line after the other, without line ends; Unicode's other line separators do not end a line. */
  lines(): AsyncGenerator<Buffer>;
  /** Nothing but the hash: the content is read in another way. */
  skim(): Promise<void>;
  /** SHA-256 of the bytes on disk; after one of the above has come to its end. */
  sha256(): string;
}

/** Throws InputError where the file cannot be read or unpacked, or passes a limit; AbortError when stopped. */
export function readBytes(path: string, signal?: AbortSignal): ByteReader {
  const hash = createHash("sha256");

  async function* hashed(): AsyncGenerator<Buffer> {
    for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) {
      hash.update(chunk);
      yield chunk;
    }
  }

  async function* chunks(): AsyncGenerator<Buffer> {
    // pipeline carries the errors of either stream to the last one, which the loop reads.
    const stream = /\.gz$/i.test(path) ? pipeline(hashed(), createGunzip(), () => {}) : hashed();
    let size = 0;
    try {
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        throwIfAborted(signal);
        size += chunk.length;
        if (size > MAX_DATA_BYTES) throw tooLarge(path, "file", MAX_DATA_BYTES);
        yield chunk;
      }
    } catch (error) {
      if (error instanceof Error && "code" in error) {
        throw new InputError(`${path}: cannot be read: ${error.message}`, { cause: error });
      }
      throw error;
    }
  }

  return {
    async whole() {
      const parts: Buffer[] = [];
      let size = 0;
      for await (const chunk of chunks()) {
        size += chunk.length;
        if (size > MAX_WHOLE_BYTES) throw tooLarge(path, "file of this kind", MAX_WHOLE_BYTES);
        parts.push(chunk);
      }
      return Buffer.concat(parts);
    },
    async *lines() {
      let begun: Buffer[] = [];
      let length = 0;
      for await (const chunk of chunks()) {
        let start = 0;
        for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
          begun.push(chunk.subarray(start, end));
          yield begun.length === 1 ? begun[0]! : Buffer.concat(begun);
          begun = [];
          length = 0;
          start = end + 1;
        }
        if (start < chunk.length) {
          begun.push(chunk.subarray(start));
          length += chunk.length - start;
          if (length > MAX_LINE_BYTES) throw tooLarge(path, "line", MAX_LINE_BYTES);
        }
      }
      if (begun.length > 0) yield Buffer.concat(begun);
    },
    async skim() {
      for await (const _ of chunks());
    },
    sha256: () => hash.digest("hex"),
  };
}

const tooLarge = (path: string, what: string, limit: number): InputError =>
  new InputError(`${path}: more than ${limit} bytes, the most that a ${what} may have; give a part of it`);

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** UTF-8 to text, nothing left out and nothing replaced. Throws InputError naming `where` for bytes that are none. */
export function decodeUtf8(bytes: Uint8Array, where: string): string {
  try {
    return utf8.decode(bytes);
  } catch (error) {
    throw new InputError(`${where}: not UTF-8 text; convert it first`, { cause: error });
  }
}
