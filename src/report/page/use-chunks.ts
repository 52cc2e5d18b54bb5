import { useEffect, useState } from "preact/hooks";
import { openChunk } from "./island.js";

/** Two chunks that belong together; undefined while they are being opened. */
export function useChunks<A, B>(first: string | undefined, second: string | undefined): readonly [A, B] | undefined {
  const [opened, setOpened] = useState<{ readonly key: string; readonly chunks: readonly [A, B] }>();
  const key = `${first} ${second}`;
  useEffect(() => {
    if (first === undefined || second === undefined) return;
    let isWanted = true;
    void Promise.all([openChunk<A>(first), openChunk<B>(second)]).then((chunks) => {
      if (isWanted) setOpened({ key, chunks });
    });
    return () => {
      isWanted = false;
    };
  }, [key]);
  return opened?.key === key ? opened.chunks : undefined;
}
