import { InputError } from "../errors.js";
import { nearest } from "../text/nearest.js";
import { magnitude } from "./magnitude.js";
import type { Method } from "./method.js";
import { sparsegpt } from "./sparsegpt.js";
import { wanda } from "./wanda.js";

/** Every compression method; a new one is a file beside this and a line here. */
export const methods: readonly Method[] = [magnitude, wanda, sparsegpt];

/** The method of that name. Throws InputError for an unknown one. */
export function findMethod(name: string): Method {
  const method = methods.find((candidate) => candidate.name === name);
  if (method) return method;
  const names = methods.map((candidate) => candidate.name);
  const close = nearest(name, names);
  throw new InputError(
    `--method ${name}: there is no such method${close ? ` (did you mean ${close}?)` : ""}; there are: ${names.join(", ")}`,
  );
}

/** A method's options with its defaults filled in. Throws InputError naming the first option that is unknown or wrong. */
export function parseMethodOptions(method: Method, given: Readonly<Record<string, unknown>>): unknown {
  const parsed = method.options.safeParse(given);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  if (issue.code === "unrecognized_keys") {
    throw new InputError(`method ${method.name} has no option ${issue.keys[0]}; leave it out`);
  }
  const where = issue.path.length > 0 ? ` ${issue.path.join(".")}` : "";
  throw new InputError(`method ${method.name}, option${where}: ${issue.message}`);
}
