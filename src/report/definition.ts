import { stringify } from "yaml";
import { isObject } from "../checkpoint/json.js";

/** Written as the methods name them. */
const OPTIONS = "options";

/** A study's definition, as study.json has it, as a study file says it: what is left at its default out, keys as there. */
export function studyFileText(definition: unknown): string {
  return stringify(asWritten(definition));
}

function asWritten(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(asWritten);
  if (!isObject(value)) return value;
  const entries = Object.entries(value).filter(([, own]) => own !== null);
  return Object.fromEntries(
    entries.map(([key, own]) => [
      key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      key === OPTIONS ? own : asWritten(own),
    ]),
  );
}
