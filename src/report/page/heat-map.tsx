import { useState } from "preact/hooks";
import { CONTROL, codePoint, percent, plain, short } from "../format.js";
import type { BaseSampleChunk, ReportCell, SampleChunk } from "../report-data.js";
import { Literal, literalParts } from "./literal.js";
import { Select } from "./select.js";
import { useChunks } from "./use-chunks.js";

const LEVELS = 8;

/** Text coloured by the divergence at every token; the token under pointer or focus shows what both models expected. */
export function HeatMap({ cell }: { readonly cell: ReportCell }) {
  const [number, setNumber] = useState(0);
  const sample = cell.samples[number] ?? cell.samples[0];
  const opened = useChunks<BaseSampleChunk, SampleChunk>(sample?.base, sample?.chunk);
  const [at, setAt] = useState(1);
  if (!sample) return <p class="note">This study kept no text of {plain(cell.name)} token by token.</p>;
  const windows = cell.samples.map(({ source, window }, i) => [String(i), `${source}, window ${window}`] as const);
  return (
    <div class="heat-map">
      <div class="controls">
        <Select label="Text" value={String(number)} options={windows} onChange={(value) => setNumber(Number(value))} />
        <Legend />
      </div>
      {opened.chunks ? (
        <Tokens
          base={opened.chunks[0]}
          own={opened.chunks[1]}
          count={sample.tokens}
          at={Math.min(at, sample.tokens - 1)}
          onMove={setAt}
        />
      ) : (
        <p class="note">{opened.note}</p>
      )}
      {sample.tokens < sample.of && (
        <p class="note">
          {sample.tokens} of the window's {sample.of} tokens, to keep this page small; all are in cells/{cell.id}.json.
        </p>
      )}
    </div>
  );
}

interface TokensProps {
  readonly base: BaseSampleChunk;
  readonly own: SampleChunk;
  readonly count: number;
  readonly at: number;
  readonly onMove: (token: number) => void;
}

const STEPS: Readonly<Record<string, number>> = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 10, ArrowUp: -10 };

function Tokens({ base, own, count, at, onMove }: TokensProps) {
  const textOf = (token: number) => base.strings[base.tokens[token]!] ?? "";
  const move = (event: { readonly target: EventTarget | null }) => {
    const token = (event.target as HTMLElement | null)?.dataset["token"];
    if (token !== undefined) onMove(Number(token));
  };
  const step = (event: preact.TargetedKeyboardEvent<HTMLElement>) => {
    const places: Readonly<Record<string, number>> = { Home: 0, End: count - 1 };
    const to = places[event.key] ?? at + (STEPS[event.key] ?? 0);
    if (!(event.key in STEPS) && !(event.key in places)) return;
    event.preventDefault();
    const next = Math.max(0, Math.min(count - 1, to));
    event.currentTarget.querySelector<HTMLElement>(`[data-token="${next}"]`)?.focus();
  };
  return (
    <div class="tokens-and-detail">
      <div
        class="tokens"
        role="listbox"
        aria-label="Tokens, coloured by divergence; arrow keys move"
        onPointerOver={move}
        onFocusIn={move}
        onKeyDown={step}
      >
        {Array.from({ length: count }, (_, token) => {
          const jsd = own.jsd[token] ?? null;
          return (
            <span
              key={token}
              role="option"
              aria-selected={token === at}
              tabIndex={token === at ? 0 : -1}
              data-token={token}
              class={`token heat-${levelOf(jsd)}`}
              aria-label={`${spoken(textOf(token))}, JSD ${jsd === null ? "none" : short(jsd)}`}
            >
              {literalParts(textOf(token))}
            </span>
          );
        })}
      </div>
      <Detail base={base} own={own} at={at} text={textOf(at)} />
    </div>
  );
}

function Detail({
  base,
  own,
  at,
  text,
}: {
  readonly base: BaseSampleChunk;
  readonly own: SampleChunk;
  readonly at: number;
  readonly text: string;
}) {
  const jsd = own.jsd[at] ?? null;
  return (
    <section class="token-detail" aria-live="polite" aria-label="Token under the pointer">
      <p>
        Token {at}:{" "}
        <code class="shown">
          <Literal text={visible(text)} />
        </code>{" "}
        JSD <strong>{jsd === null ? "–" : `${short(jsd)} nats`}</strong>
      </p>
      <div class="tops">
        <TopTable title="Base" strings={base.strings} top={base.top[at] ?? []} actual={text} />
        <TopTable title="Compressed" strings={own.strings} top={own.top[at] ?? []} actual={text} />
      </div>
    </section>
  );
}

interface TopProps {
  readonly title: string;
  readonly strings: readonly string[];
  readonly top: readonly number[];
  readonly actual: string;
}

/** The likeliest tokens with their probabilities; the one that came is set bold. */
function TopTable({ title, strings, top, actual }: TopProps) {
  const likely = Array.from({ length: top.length / 2 }, (_, i) => ({
    text: strings[top[2 * i]!] ?? "",
    probability: top[2 * i + 1]! / 1000,
  }));
  return (
    <table>
      <caption>{title} expected</caption>
      <tbody>
        {likely.map(({ text, probability }, i) => (
          <tr key={i} class={text === actual ? "actual" : undefined}>
            <td>
              <code class="shown">
                <Literal text={visible(text)} />
              </code>
            </td>
            <td class="number">{percent(probability)}</td>
            <td>
              <svg class="sparkbar" width="60" height="8" aria-hidden="true">
                <rect class="bar" width={60 * Math.min(1, probability)} height="8" />
              </svg>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Legend() {
  return (
    <p class="heat-legend">
      JSD (nats) 0
      {Array.from({ length: LEVELS + 1 }, (_, level) => (
        <span key={level} class={`heat-${level}`} aria-hidden="true" />
      ))}
      ln 2
    </p>
  );
}

/** The square root spreads the many small divergences over more colours. */
function levelOf(jsd: number | null): number {
  return jsd === null ? 0 : Math.min(LEVELS, Math.round(LEVELS * Math.sqrt(Math.max(0, jsd) / Math.LN2)));
}

/** White space as signs, where a token stands by itself. */
function visible(text: string): string {
  return text.replaceAll("\n", "⏎").replaceAll("\t", "⇥").replaceAll(" ", "␣");
}

function spoken(text: string): string {
  return text.trim() === "" ? "white space" : text.trim().replace(CONTROL, codePoint);
}
