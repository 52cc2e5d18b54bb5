import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { errorCode } from "./folder.js";

/** The process that holds a lock file. */
export interface Owner {
  readonly pid: number;
  readonly host: string;
  /** The process's start as the system counts it, where it tells: process ids are used again. */
  readonly birth?: string | undefined;
}

export async function thisProcess(): Promise<Owner> {
  return { pid: process.pid, host: hostname(), birth: await birthOf(process.pid) };
}

export function isOwner(value: Readonly<Record<string, unknown>>): value is Readonly<Record<string, unknown>> & Owner {
  const { pid, host, birth } = value;
  return (
    Number.isSafeInteger(pid) &&
    (pid as number) > 0 &&
    typeof host === "string" &&
    (birth === undefined || typeof birth === "string")
  );
}

/** Whether the process still runs; undefined for one on another machine, which cannot be asked. */
export async function isAlive(owner: Owner): Promise<boolean | undefined> {
  if (owner.host !== hostname()) return undefined;
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    return errorCode(error) !== "ESRCH";
  }
  const birth = await birthOf(owner.pid);
  return birth === undefined || owner.birth === undefined || birth === owner.birth;
}

/** A process's start time on Linux, in ticks since the system's: field 22 of /proc/PID/stat; elsewhere undefined. */
async function birthOf(pid: number): Promise<string | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, "utf8");
    // The second field, the program's name in parentheses, may hold anything.
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
  }
}
