import { InvalidArgumentError, Option } from "commander";
import { devices, precisions } from "../engine/engine.js";

/** Options that every command takes. */
export interface GlobalFlags {
  readonly json?: boolean;
  readonly debug?: boolean;
}

/** Parses a whole number of at least `least`; commander's message names the option. */
export function wholeNumber(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== "" && Number.isSafeInteger(value) && value >= least) return value;
    throw new InvalidArgumentError(`Give a whole number of at least ${least}.`);
  };
}

/** Parses a finite number of at least `least`. */
export function number(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== "" && Number.isFinite(value) && value >= least) return value;
    throw new InvalidArgumentError(`Give a number of at least ${least}.`);
  };
}

/** Adds up the values of an option that may be repeated. */
export function repeated(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}

const UNITS: Readonly<Record<string, number>> = { k: 10, m: 20, g: 30, t: 40 };

/** Parses `4GiB`, `4G`, `512MB` or a number of bytes; units are binary. */
export function byteSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(?:([kmgt])(?:i?b)?|b)?$/i.exec(text.trim());
  if (!match) throw new InvalidArgumentError("Give a size, such as 4GiB or 512MiB.");
  const unit = (match[2] ?? "").toLowerCase();
  return Math.round(Number(match[1]) * (unit === "" ? 1 : 2 ** UNITS[unit]!));
}

export const MODEL_HELP = "folder or GGUF file of the model, or org/name[@revision] of the Hugging Face hub";

export function revisionOption(): Option {
  return new Option("--revision <revision>", "of a model of the hub: a branch, a tag or a commit; main where left out");
}

export function engineOption(): Option {
  return new Option("--engine <name>", "who computes: pare list engines; auto where left out: the fastest that can");
}

export function deviceOption(): Option {
  return new Option("--device <name>", "what the engine onnxruntime computes on; cpu where left out").choices(devices);
}

export function precisionOption(): Option {
  return new Option("--precision <name>", "of matrix products; the engine's own where left out").choices(precisions);
}

export function threadsOption(): Option {
  return new Option("--threads <n>", "threads of the engine; every core where left out").argParser(wholeNumber(1));
}

export function profileOption(): Option {
  return new Option("--profile", "also say where the time went: by stage, beside what this machine can do");
}

export function dataDirOption(): Option {
  return new Option("--data-dir <folder>", "folder with data sets; PARE_DATA where left out");
}

/** The folder of data sets under the library's name. PARE_DATA is read here and nowhere else. */
export function dataDirectoryOf({ dataDir }: { readonly dataDir?: string }): { readonly dataDirectory?: string } {
  const dataDirectory = dataDir ?? process.env["PARE_DATA"];
  return dataDirectory ? { dataDirectory } : {};
}
