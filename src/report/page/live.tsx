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
    const events = new EventSource(live.events);
    events.addEventListener("progress", (event: MessageEvent<string>) =>
      setProgress(JSON.parse(event.data) as Progress),
    );
    events.addEventListener("changed", () => {
      void fetch(live.document)
        .then((response) => response.json() as Promise<ReportDocument>)
        .then(({ data, chunks }) => {
          updateChunks(chunks);
          onData(data);
        });
    });
    return () => events.close();
  }, []);
  if (!progress) return null;
  return (
    <output class="live" aria-live="polite">
      <progress value={progress.done} max={progress.total} aria-label="Progress of the study" /> {plain(progress.text)}
    </output>
  );
}
