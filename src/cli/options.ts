import { InvalidArgumentError } from "commander";

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
