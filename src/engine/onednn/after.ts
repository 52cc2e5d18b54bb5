/**
 * What is done to a product's numbers before they are written: added to those that are there, x · sigmoid(x), times other numbers, or
 * plus them. T is what stands for those others: a value's name, its numbers, their type or description.
 */
export type After<T> = "add" | "silu" | { readonly times: T } | { readonly plus: T };

/** What is needed beside the product: nothing, or one. */
export function othersOf<T>(after: After<T> | undefined): T[] {
  if (after === undefined || typeof after === "string") return [];
  return ["times" in after ? after.times : after.plus];
}

/** The same, with what `change` makes of the others. */
export function mapOthers<T, U>(after: After<T> | undefined, change: (other: T) => U): After<U> | undefined {
  if (after === undefined || typeof after === "string") return after;
  return "times" in after ? { times: change(after.times) } : { plus: change(after.plus) };
}
