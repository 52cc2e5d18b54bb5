/** Begins work when all that it was given before has ended, however that ended. */
export type InTurn = <T>(work: () => Promise<T>) => Promise<T>;

export function createTurns(): InTurn {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const result = last.then(work);
    last = result.catch(() => {});
    return result;
  };
}

/**
 * Does work for all items, for so many at once, each with the number of its place among those; in order, so far as they begin. Where
 * one fails nothing more begins, and the first failure is thrown when all that had begun has ended.
 */
export async function atOnce<T>(
  items: Iterable<T>,
  count: number,
  work: (item: T, place: number) => Promise<void>,
): Promise<void> {
  const waiting = items[Symbol.iterator]();
  const failures: unknown[] = [];
  await Promise.all(
    Array.from({ length: count }, async (_, place) => {
      try {
        for (let next = waiting.next(); !next.done && failures.length === 0; next = waiting.next()) {
          await work(next.value, place);
        }
      } catch (error) {
        failures.push(error);
      }
    }),
  );
  if (failures.length > 0) throw failures[0];
}
