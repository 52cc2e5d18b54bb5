import type { BaseItem, CellItem, ReportAnswer } from "../report-data.js";
import { Literal, literalParts } from "./literal.js";
import { wordDiff } from "./word-diff.js";

/** One item in full: prompt, target, both answers with what changed between them, and every score. */
export function ItemDetails({ base, own }: { readonly base: BaseItem; readonly own: CellItem }) {
  const compressed = own.answer ?? base.answer;
  return (
    <div class="item-details">
      <h3>Prompt</h3>
      <pre class="literal">
        <Literal text={base.prompt} />
      </pre>
      <h3>{base.references.length > 1 ? "Targets (any)" : "Target"}</h3>
      <ul class="targets">
        {[...new Set(base.references)].map((reference) => (
          <li key={reference} class="literal">
            <Literal text={reference} />
          </li>
        ))}
      </ul>
      {base.choices ? (
        <Choices base={base} compressed={compressed} />
      ) : (
        <Answers base={base.answer} compressed={compressed} isSame={own.answer === null} />
      )}
      <p class="note">
        {Object.entries(own.scores)
          .map(([metric, score]) => `${metric}: ${scoreText(base.scores[metric])} → ${scoreText(score)}`)
          .join(", ")}
        {own.firstDivergentToken !== null && `; the answers part at token ${own.firstDivergentToken}`}
      </p>
    </div>
  );
}

export function scoreText(score: number | null | undefined): string {
  return score === null || score === undefined ? "–" : String(Number(score.toFixed(3)));
}

/** What an answer says, in one line. */
export function answerText(answer: ReportAnswer | null, choices: readonly string[] | null): string {
  if (!answer) return "";
  if ("text" in answer) return answer.text;
  return answer.chosen === null ? "" : (choices?.[answer.chosen] ?? `choice ${answer.chosen}`);
}

function Answers({
  base,
  compressed,
  isSame,
}: {
  readonly base: ReportAnswer | null;
  readonly compressed: ReportAnswer | null;
  readonly isSame: boolean;
}) {
  const [before, after] = [answerText(base, null), answerText(compressed, null)];
  const pieces = wordDiff(before, after);
  const side = (own: "removed" | "added") =>
    pieces
      .filter(({ kind }) => kind === "same" || kind === own)
      .map(({ kind, text }, i) =>
        kind === "same" ? (
          <span key={i}>{literalParts(text)}</span>
        ) : kind === "added" ? (
          <ins key={i}>{literalParts(text)}</ins>
        ) : (
          <del key={i}>{literalParts(text)}</del>
        ),
      );
  return (
    <div class="answers">
      <div>
        <h3>Base</h3>
        <pre class="literal" dir="auto">
          {side("removed")}
        </pre>
        <Prediction answer={base} />
      </div>
      <div>
        <h3>Compressed{isSame && " (the same, word for word)"}</h3>
        <pre class="literal" dir="auto">
          {side("added")}
        </pre>
        <Prediction answer={compressed} />
      </div>
    </div>
  );
}

/** What the metrics see of an answer, where it is not the whole. */
function Prediction({ answer }: { readonly answer: ReportAnswer | null }) {
  if (!answer || !("text" in answer) || answer.prediction === null) return null;
  return (
    <p class="note">
      scored:{" "}
      <span class="literal">
        <Literal text={answer.prediction} />
      </span>
    </p>
  );
}

function Choices({ base, compressed }: { readonly base: BaseItem; readonly compressed: ReportAnswer | null }) {
  const chosen = (answer: ReportAnswer | null) => (answer && "chosen" in answer ? answer.chosen : null);
  return (
    <table class="choices">
      <thead>
        <tr>
          <th scope="col">Choice</th>
          <th scope="col">Target</th>
          <th scope="col">Base</th>
          <th scope="col">Compressed</th>
        </tr>
      </thead>
      <tbody>
        {(base.choices ?? []).map((choice, i) => (
          <tr key={i}>
            <td class="literal">
              {base.contexts?.[i] !== undefined && (
                <span class="muted">
                  <Literal text={base.contexts[i]} />
                </span>
              )}
              <Literal text={choice} />
            </td>
            <td>{base.gold === i ? "✓" : ""}</td>
            <td>{chosen(base.answer) === i ? "●" : ""}</td>
            <td>{chosen(compressed) === i ? "●" : ""}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
