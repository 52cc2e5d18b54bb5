/** A parser's message, which may repeat a piece of an untrusted file, as one line that is safe on a terminal. */
export function oneLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.replace(/[\p{Cc}\p{Cf}\u2028\u2029\s]+/gu, " ").trim();
}
