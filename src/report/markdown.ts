import { plain } from "./format.js";
import type { ReportData } from "./report-data.js";
import { summaryTable } from "./summary-rows.js";

const SEVERITY = { finding: "", warning: "**Caution:** ", serious: "**Warning:** " } as const;

/** A study in short, for a pull request: what was found, and a line a compressed model. GitHub's Markdown. */
export function reportMarkdown(data: ReportData): string {
  const { head, rows } = summaryTable(data);
  const line = (cells: readonly string[]) => `| ${cells.map(escaped).join(" | ")} |`;
  const findings = data.findings.filter(({ kind, severity }) => severity !== "finding" || SHORT.includes(kind));
  return [
    `### ${escaped(data.study.name)}`,
    findings.map(({ severity, text }) => `- ${SEVERITY[severity]}${escaped(text)}`).join("\n"),
    [line(head), `|${head.map((_, i) => (i === 0 ? "---" : "---:")).join("|")}|`, ...rows.map(line)].join("\n"),
    `In parentheses: 95% intervals. ${missing(data)}Made with pare ${escaped(data.study.pare)}.`,
  ]
    .filter((part) => part !== "")
    .join("\n\n");
}

const SHORT: readonly string[] = ["headline", "budget", "agreement", "calibration"];

function missing({ missing: names, failed, cells }: ReportData): string {
  const errors = failed.map(({ name, error }) => `${escaped(name)} failed: ${escaped(error)}. `).join("");
  return names.length === 0
    ? ""
    : `${names.length} of ${names.length + cells.length} models are not finished. ${errors}`;
}

/** Text from a stranger's study must stay text: no links, pictures, HTML, mentions, or ends of a table's cell. */
function escaped(text: string): string {
  return plain(text)
    .replace(/[\\`*_{}[\]<>|#~!]/g, (c) => `\\${c}`)
    .replace(/&/g, "&amp;")
    .replace(/@/g, "@\u200b")
    .replace(/(https?):\/\//gi, "$1:\u200b//")
    .replace(/^([-+]|\d+[.)])(?=\s)/, "\\$1");
}
