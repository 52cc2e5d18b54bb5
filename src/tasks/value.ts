import { isObject, quote } from "../checkpoint/json.js";
import { InputError } from "../errors.js";
import { nearest } from "../text/nearest.js";
import { compileTemplate } from "../text/template.js";
import type { Value } from "./schema.js";

type Fields = Readonly<Record<string, unknown>>;

/** Nothing but a field: `{{ answers.text }}`, `{{ instances[0].input }}`. */
const FIELD = /^\{\{\s*((?!(?:true|false|none)\b)[a-z_]\w*(?:\.[a-z_]\w*|\[\d+\])*)\s*\}\}$/i;
/** Names that an error lists. */
const MAX_NAMES = 20;

/**
 * A function of a record that gives a field's own value for a template that is nothing but this field, a text for any other
 * template, and for a list of templates the list of their values, lists among them opened. Throws InputError that begins
 * with `where`: at once for what is no template, later for a field that a record lacks.
 */
export function compileValue(value: Value, where: string): (record: Fields) => unknown {
  if (typeof value !== "string") {
    const parts = value.map((part) => compileValue(part, where));
    return (record) => parts.flatMap((part) => part(record));
  }
  const field = FIELD.exec(value)?.[1];
  if (field === undefined) {
    const template = compileTemplate(value, where);
    return (record) => template.render(record);
  }
  const keys = field.match(/\w+/g) ?? [];
  return (record) => keys.reduce<unknown>((found, key) => fieldOf(found, key, field, where), record);
}

function fieldOf(value: unknown, key: string, field: string, where: string): unknown {
  if (Array.isArray(value) && Number(key) < value.length) return value[Number(key)];
  if (isObject(value) && Object.hasOwn(value, key)) return value[key];
  const names = isObject(value) ? Object.keys(value) : [];
  const close = nearest(key, names);
  throw new InputError(
    `${where}: there is no ${field}${close === undefined ? "" : ` (did you mean ${short(close)}?)`}` +
      (names.length === 0 ? "" : `; there are: ${names.slice(0, MAX_NAMES).map(short).join(", ")}`),
  );
}

/** A column's name as it is where it looks like one. */
const short = (name: string): string => (/^\w{1,64}$/.test(name) ? name : quote(name));

/** A value as the text that a template would print. Throws InputError for null, lists and records. */
export function textOf(value: unknown, where: string): string {
  if (typeof value === "string") return value;
  if (typeof value === "number") return String(value);
  if (typeof value === "boolean") return value ? "True" : "False";
  throw new InputError(`${where}: ${quote(JSON.stringify(value) ?? "undefined")} is no text`);
}

/** A value as a list of texts; anything but a list is a list of one. */
export function textsOf(value: unknown, where: string): string[] {
  return Array.isArray(value) ? value.map((part) => textOf(part, where)) : [textOf(value, where)];
}
