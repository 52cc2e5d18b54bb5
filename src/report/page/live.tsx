import { useEffect, useState } from "preact/hooks";
import { plain } from "../format.js";
import type { LiveEndpoints, ReportData, ReportDocument } from "../report-data.js";
import { updateChunks } from "./island.js";

interface Progress {
  readonly text: string;
  readonly done: number;
  readonly total: number;
}

interface Props {
  readonly live: LiveEndpoints;
  readonly onData: (data: ReportData) => void;
}

/** Progress of a study that still runs, and its newest results as they come. Only where the page is served. */
export function Live({ live, onData }: Props) {
  const [progress, setProgress] = useState<Progress>();
  useEffect(() => {
    let asked = 0;
    let shown = 0;
    const refresh = async () => {
      const turn = ++asked;
      const response = await fetch(live.document);
      if (!response.ok) return; // what is shown stays; the next event asks again
      const { data, chunks } = (await response.json()) as ReportDocument;
      if (turn < shown) return; // overtaken by an answer to a later question
      shown = turn;
      updateChunks(chunks);
      onData(data);
    };
    const events = new EventSource(live.events);
    events.addEventListener("progress", (event: MessageEvent<string>) =>
      setProgress(JSON.parse(event.data) as Progress),
    );
    // A server that has ended has nothing new.
    events.addEventListener("changed", () => void refresh().catch(() => {}));
    return () => events.close();
  }, []);
  if (!progress) return null;
  return (
    <output class="live" aria-live="polite">
      <progress value={progress.done} max={progress.total} aria-label="Progress of the study" /> {plain(progress.text)}
    </output>
  );
}
