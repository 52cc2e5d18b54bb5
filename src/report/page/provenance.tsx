import { useRef, useState } from "preact/hooks";
import type { ReportData } from "../report-data.js";
import { Literal } from "./literal.js";

/** Everything to make the study again: its file, the command, programs, models and data with their hashes. */
export function Provenance({ data }: { readonly data: ReportData }) {
  return (
    <div class="provenance">
      <Copyable title="Save this as study.yaml" text={data.definition} />
      <Copyable title={`and run it with pare ${data.study.pare}`} text="pare study study.yaml" />
      {data.provenance.map(({ title, facts }) => (
        <details key={`${title} ${facts.join()}`}>
          <summary>
            <Literal text={title} />
          </summary>
          <dl>
            {facts.map(([name, value]) => (
              <div key={name}>
                <dt>
                  <Literal text={name} />
                </dt>
                <dd>
                  <Literal text={value} />
                </dd>
              </div>
            ))}
          </dl>
        </details>
      ))}
    </div>
  );
}

function Copyable({ title, text }: { readonly title: string; readonly text: string }) {
  const block = useRef<HTMLPreElement>(null);
  const [state, setState] = useState("Copy");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setState("Copied");
    } catch {
      // Not every browser lets a file use the clipboard: what is selected can be copied by hand.
      if (block.current) getSelection()?.selectAllChildren(block.current);
      setState("Selected");
    }
  };
  return (
    <div class="copyable">
      <div class="copyable-head">
        <h3>{title}</h3>
        <button type="button" class="quiet" onClick={() => void copy()}>
          <span aria-live="polite">{state}</span>
        </button>
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls has to be reached by the keyboard */}
      <pre ref={block} tabIndex={0} class="code">
        <Literal text={text} />
      </pre>
    </div>
  );
}
