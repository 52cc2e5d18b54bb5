import { useEffect, useMemo, useState } from "preact/hooks";
import { plain } from "../format.js";
import type { BaseItem, BaseItemsChunk, CellItem, ItemsChunk, ReportCell } from "../report-data.js";
import { Fold } from "./fold.js";
import { answerText, ItemDetails, scoreText } from "./item-details.js";
import { Literal } from "./literal.js";
import { Select } from "./select.js";
import { useChunks } from "./use-chunks.js";

/** Items on a page. */
const PAGE = 25;

type Change = "worse" | "better" | "answer" | "none";
const ORDER: readonly Change[] = ["worse", "better", "answer", "none"];
const FILTERS = [
  ["all", "all items"],
  ["flips", "flips: the score changed"],
  ["worse", "right → wrong (or worse)"],
  ["better", "wrong → right (or better)"],
  ["answer", "the answer changed"],
] as const;

interface Row {
  readonly base: BaseItem;
  readonly own: CellItem;
  readonly change: Change;
  readonly haystack: string;
}

/** Every item of a task as both models answered it. */
export function ItemBrowser({
  cell,
  metrics,
}: {
  readonly cell: ReportCell;
  readonly metrics: (task: string) => string | undefined;
}) {
  const [task, setTask] = useState("");
  const entry = cell.items.find((items) => items.task === task) ?? cell.items[0];
  const [search, setSearch] = useState("");
  const [filter, setFilter] = useState("all");
  const [page, setPage] = useState(0);
  const opened = useChunks<BaseItemsChunk, ItemsChunk>(entry?.base, entry?.chunk);
  const { chunks } = opened;
  const metric = entry && metrics(entry.task);
  const rows = useMemo(
    () =>
      chunks
        ? chunks[1]
            .flatMap((own) => rowOf(chunks[0][own.at], own, metric))
            .sort((a, b) => ORDER.indexOf(a.change) - ORDER.indexOf(b.change))
        : [],
    [chunks],
  );
  useEffect(() => setPage(0), [search, filter, entry?.chunk]);
  if (!entry) return <p class="note">No task items of {plain(cell.name)} are in this study's folder.</p>;
  const words = search.toLowerCase().split(/\s+/);
  const found = rows.filter((row) => isShown(row, filter) && words.every((word) => row.haystack.includes(word)));
  const pages = Math.max(1, Math.ceil(found.length / PAGE));
  return (
    <div class="item-browser">
      <div class="controls">
        <Select
          label="Task"
          value={entry.task}
          options={cell.items.map((items) => [items.task, items.task] as const)}
          onChange={setTask}
        />
        <label class="field">
          <span>Search prompts and answers</span>
          <input type="search" value={search} onInput={(event) => setSearch(event.currentTarget.value)} />
        </label>
        <Select label="Items" value={filter} options={FILTERS} onChange={setFilter} />
        <output class="count" aria-live="polite">
          {opened.chunks ? `${found.length} of ${rows.length} items` : opened.note}
        </output>
      </div>
      <ol class="items" start={page * PAGE + 1}>
        {found.slice(page * PAGE, (page + 1) * PAGE).map((row) => (
          <li key={`${entry.chunk} ${row.own.at}`}>
            <ItemRow row={row} metric={metric} />
          </li>
        ))}
      </ol>
      {pages > 1 && (
        <nav class="pages" aria-label="Pages of items">
          <button type="button" class="quiet" disabled={page === 0} onClick={() => setPage(page - 1)}>
            Previous
          </button>
          <span>
            Page {page + 1} of {pages}
          </span>
          <button type="button" class="quiet" disabled={page >= pages - 1} onClick={() => setPage(page + 1)}>
            Next
          </button>
        </nav>
      )}
      {entry.shown < entry.of && (
        <p class="note">
          {entry.shown} of {entry.of} items, those that changed first, to keep this page small; all are in cells/
          {cell.id}.items.jsonl.
        </p>
      )}
    </div>
  );
}

const CHANGES: Readonly<Record<Change, string>> = {
  worse: "worse",
  better: "better",
  answer: "answer changed",
  none: "same",
};

function ItemRow({ row: { base, own, change }, metric }: { readonly row: Row; readonly metric: string | undefined }) {
  const score = metric && own.scores[metric];
  const summary = (
    <>
      <span class={`badge change ${change}`}>{CHANGES[change]}</span>
      {metric && (
        <span class="scores">
          {plain(metric)} {scoreText(base.scores[metric])} → {scoreText(score === "" ? undefined : score)}
        </span>
      )}
      <span class="teaser">
        <Literal text={answerText(own.answer ?? base.answer, base.choices).slice(0, 120)} />
      </span>
      <span class="id">
        <Literal text={base.id} />
      </span>
    </>
  );
  return (
    <Fold summary={summary}>
      <ItemDetails base={base} own={own} />
    </Fold>
  );
}

function rowOf(base: BaseItem | undefined, own: CellItem, metric: string | undefined): Row[] {
  if (!base) return [];
  const before = metric === undefined ? null : (base.scores[metric] ?? null);
  const after = metric === undefined ? null : (own.scores[metric] ?? null);
  const moved = before === null || after === null ? 0 : Math.sign(after - before);
  const change: Change = moved < 0 ? "worse" : moved > 0 ? "better" : own.answer ? "answer" : "none";
  const texts = [
    base.id,
    base.prompt,
    ...base.references,
    answerText(base.answer, base.choices),
    answerText(own.answer, base.choices),
  ];
  return [{ base, own, change, haystack: texts.join("\n").toLowerCase() }];
}

function isShown({ change, own }: Row, filter: string): boolean {
  if (filter === "flips") return change === "worse" || change === "better";
  if (filter === "answer") return own.answer !== null;
  return filter === "all" || change === filter;
}
