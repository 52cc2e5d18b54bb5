import type { Finding } from "../../analysis/analysis.js";
import { Literal } from "./literal.js";

const NAMES = { finding: "", warning: "Caution: ", serious: "Warning: " } as const;

/** Read only by who wants to know more. */
const FURTHER: readonly Finding["kind"][] = ["method", "first-moved", "blocks", "seeds"];

/** What the study says, in sentences; what is a detail opens on demand. */
export function Findings({ findings }: { readonly findings: readonly Finding[] }) {
  const isFurther = ({ kind, severity }: Finding) => severity === "finding" && FURTHER.includes(kind);
  const further = findings.filter(isFurther);
  return (
    <>
      <List findings={findings.filter((finding) => !isFurther(finding))} />
      {further.length > 0 && (
        <details class="further">
          <summary>{further.length} more: by sparsity, what moved first, blocks, seeds</summary>
          <List findings={further} />
        </details>
      )}
    </>
  );
}

function List({ findings }: { readonly findings: readonly Finding[] }) {
  return (
    <ul class="findings">
      {findings.map((finding) => (
        <li key={finding.text} class={`finding ${finding.severity}`}>
          <strong>{NAMES[finding.severity]}</strong>
          <Literal text={finding.text} />
        </li>
      ))}
    </ul>
  );
}
