import { z } from "zod";
import { InputError } from "../errors.js";

/** A whole number above zero, small enough that products of two stay exact. */
export const count = z
  .number()
  .int()
  .positive()
  .max(2 ** 31);

/** Checks config.json against what a family reads of it. Throws InputError that names the first wrong key. */
export function readConfig<T>(schema: z.ZodType<T>, config: unknown, where: string): T {
  const result = schema.safeParse(config);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  throw new InputError(`${where}: ${issue.path.join(".") || "the file"}: ${issue.message}`);
}
