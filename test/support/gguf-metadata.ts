import { readFileSync } from "node:fs";

/** The metadata of a small GGUF file, version 3: arrays as arrays, 64-bit numbers as numbers. */
export function readGgufMetadata(path: string): Map<string, unknown> {
  const bytes = readFileSync(path);
  let at = 8; // after "GGUF" and the version
  const number = (size: number, value: number): number => {
    at += size;
    return value;
  };
  const long = (): number => number(8, Number(bytes.readBigUInt64LE(at)));
  const string = (): string => {
    const length = long();
    at += length;
    return bytes.toString("utf8", at - length, at);
  };
  const readers: (() => unknown)[] = [
    () => number(1, bytes.readUInt8(at)),
    () => number(1, bytes.readInt8(at)),
    () => number(2, bytes.readUInt16LE(at)),
    () => number(2, bytes.readInt16LE(at)),
    () => number(4, bytes.readUInt32LE(at)),
    () => number(4, bytes.readInt32LE(at)),
    () => number(4, bytes.readFloatLE(at)),
    () => number(1, bytes.readUInt8(at)) !== 0,
    string,
    () => {
      const type = number(4, bytes.readUInt32LE(at));
      return Array.from({ length: long() }, () => readers[type]!());
    },
    long,
    () => number(8, Number(bytes.readBigInt64LE(at))),
    () => number(8, bytes.readDoubleLE(at)),
  ];
  long(); // tensors
  const pairs = long();
  return new Map(
    Array.from({ length: pairs }, () => {
      const key = string();
      return [key, readers[number(4, bytes.readUInt32LE(at))]!()];
    }),
  );
}
