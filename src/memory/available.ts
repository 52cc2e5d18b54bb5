import { freemem } from "node:os";

/** Bytes that this process may still take: of its container where there is a limit, else of the machine. */
export function availableMemory(): number {
  // Node 20.13 and later know the container's limit.
  return process.availableMemory?.() ?? freemem();
}
