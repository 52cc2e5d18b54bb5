import { expect, it } from "vitest";
import { SMALL, syntheticStudy } from "../../test/support/synthetic-study.js";
import { analyseStudy } from "../analysis/analyse.js";
import { reportDocument } from "./data.js";
import { reportMarkdown } from "./markdown.js";
import { terminalReport } from "./terminal.js";

async function dataOf(hostile: boolean) {
  const { record, cells, itemsOf } = syntheticStudy({ ...SMALL, sparsities: [0.3, 0.5], layers: 2, items: 5, hostile });
  return (await reportDocument({ record, cells, itemsOf, analysis: analyseStudy(record, cells) })).data;
}

it("says in Markdown what every model costs, with intervals", async () => {
  const data = await dataOf(false);
  const lines = reportMarkdown(data).split("\n");
  const table = lines.filter((line) => line.startsWith("|"));
  expect(table).toHaveLength(2 + data.cells.length);
  expect(new Set(table.map((line) => line.split(/(?<!\\)\|/).length)).size).toBe(1);
  const jsd = data.cells[0]!.values["jsd:wikitext2"]!;
  expect(table[2]).toContain(
    `${jsd.value.toPrecision(3)} (${jsd.interval![0].toPrecision(3)} to ${jsd.interval![1].toPrecision(3)})`,
  );
});

it("keeps hostile names from being Markdown", async () => {
  const markdown = reportMarkdown(await dataOf(true));
  expect(markdown).not.toMatch(/(?<!\\)</);
  expect(markdown.split("\n")[0]).toMatch(/^### Study \\<script\\>/);
  for (const control of "\u2028\u2029\u202e\u0000\u0007\u001b\u009b") expect(markdown).not.toContain(control);
});

it("ends in the terminal with a table, bars and warnings", async () => {
  const data = await dataOf(false);
  const lines = terminalReport(data).split("\n");
  for (const { name } of data.cells) expect(lines.some((line) => line.startsWith(name))).toBe(true);
  const bars = lines.filter((line) => line.includes("█"));
  const most = data.curves.flatMap((curve) => curve.points.map(({ values }) => values["jsd:wikitext2"]!.value));
  expect(Math.max(...bars.map((line) => line.split("█").length - 1))).toBe(40);
  expect(lines.find((line) => line.split("█").length - 1 === 40)).toContain(Math.max(...most).toPrecision(3));
});
