/** The keys of a journal's lines, without lines that are no entries. */
export function keysOf(journal: string | Buffer): string[] {
  return journal
    .toString()
    .split("\n")
    .flatMap((line) => {
      try {
        return [JSON.parse(line).key as string];
      } catch {
        return [];
      }
    });
}
