import { InvalidArgumentError, Option } from "commander";

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

export function engineOption(): Option {
  return new Option("--engine <name>", "who computes: pare list engines");
}

export function threadsOption(): Option {
  return new Option("--threads <n>", "threads of the engine; every core where left out").argParser(wholeNumber(1));
}

export function dataDirOption(): Option {
  return new Option("--data-dir <folder>", "folder with data sets; PARE_DATA where left out");
}

/** The folder of data sets under the library's name. PARE_DATA is read here and nowhere else. */
export function dataDirectoryOf({ dataDir }: { readonly dataDir?: string }): { readonly dataDirectory?: string } {
  const dataDirectory = dataDir ?? process.env["PARE_DATA"];
  return dataDirectory ? { dataDirectory } : {};
}
