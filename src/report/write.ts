import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { RunError } from "../errors.js";
import { checkReplaceable, replaceFile } from "../files.js";
import type { LiveEndpoints, ReportDocument } from "./report-data.js";

/** The page without data, as `npm run build:report` leaves it beside the compiled code. */
const TEMPLATE = new URL("../../dist/report/template.html", import.meta.url);
const POLICY_PLACE = "<!-- report:policy -->";
/** Near the beginning of every report. */
const TITLE = "<title>pare: report</title>";
const DATA_PLACE = "<!-- report:data -->";

/** Writes the report of a study as one HTML file; it appears whole or not at all. Throws InputError for a name that another file has. */
export async function writeReport(document: ReportDocument, file: string): Promise<void> {
  await checkReplaceable(file, TITLE, "report of pare's");
  await replaceFile(file, reportPage(await reportTemplate(), document));
}

/** The page without data. Throws RunError where it was not built. */
export async function reportTemplate(): Promise<string> {
  try {
    return await readFile(TEMPLATE, "utf8");
  } catch (cause) {
    throw new RunError("the report's page is missing from this installation; in a clone, run npm run build", { cause });
  }
}

/** The page with its data; `live` where it is served. */
export function reportPage(template: string, { data, chunks }: ReportDocument, live?: LiveEndpoints): string {
  const islands = [
    island("report-data", reportJson(data)),
    ...(live ? [island("report-live", reportJson(live))] : []),
    ...Object.entries(chunks).map(([name, text]) => island(`chunk-${name}`, JSON.stringify(text))),
  ];
  const policy = `<meta http-equiv="Content-Security-Policy" content="${reportPolicy(template, live !== undefined)}">`;
  return put(put(template, POLICY_PLACE, policy), DATA_PLACE, islands.join("\n"));
}

/** JSON for a page: nothing in it can end a script element; numbers to six digits. */
export function reportJson(value: unknown): string {
  const short = (_: string, part: unknown) =>
    typeof part === "number" && !Number.isInteger(part) ? Number(part.toPrecision(6)) : part;
  return JSON.stringify(value, short).replace(
    /[<\u2028\u2029]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** The Content-Security-Policy under which the page works: its own script and style by their hashes, and no network. */
export function reportPolicy(template: string, live: boolean): string {
  const hashes = (element: "script" | "style") =>
    [...template.matchAll(new RegExp(`<${element}[^>]*>([\\s\\S]*?)</${element}>`, "g"))]
      .map(([, text]) => `'sha256-${createHash("sha256").update(text!).digest("base64")}'`)
      .join(" ");
  return [
    "default-src 'none'",
    `script-src ${hashes("script")}`,
    `style-src ${hashes("style")}`,
    "img-src data: blob:",
    `connect-src ${live ? "'self'" : "'none'"}`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
}

function island(id: string, json: string): string {
  return `<script type="application/json" id="${id}">${json}</script>`;
}

/** Not String.replace, which would read `$&` in the text. */
function put(page: string, place: string, text: string): string {
  const at = page.indexOf(place);
  if (at < 0) throw new Error(`the report's template has no ${place}`);
  return page.slice(0, at) + text + page.slice(at + place.length);
}
