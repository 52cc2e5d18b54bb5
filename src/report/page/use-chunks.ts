import { useEffect, useState } from "preact/hooks";
import { openChunk } from "./island.js";

/** Two chunks that belong together; what to say where they are not, or not yet. */
export type Chunks<A, B> =
  | { readonly chunks: readonly [A, B] }
  | { readonly chunks?: undefined; readonly note: string };

/** Opens two chunks. */
export function useChunks<A, B>(first: string | undefined, second: string | undefined): Chunks<A, B> {
  const [opened, setOpened] = useState<{ readonly key: string; readonly result: Chunks<A, B> }>();
  const key = `${first} ${second}`;
  useEffect(() => {
    if (first === undefined || second === undefined) return;
    let isWanted = true;
    const show = (result: Chunks<A, B>) => {
      if (isWanted) setOpened({ key, result });
    };
    Promise.all([openChunk<A>(first), openChunk<B>(second)]).then(
      (chunks) => show({ chunks }),
      () => show({ note: "This part of the page cannot be opened: the file is damaged, or the browser too old." }),
    );
    return () => {
      isWanted = false;
    };
  }, [key]);
  return opened?.key === key ? opened.result : { note: "Opening…" };
}
