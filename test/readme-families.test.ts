import { readFileSync, writeFileSync } from "node:fs";
import { expect, it } from "vitest";
import { families } from "../src/model/families/registry.js";

const README = new URL("../README.md", import.meta.url);
const [BEGIN, END] = ["<!-- families: made from the registry -->", "<!-- /families -->"];

it("README.md's table of families is the registry's", ({ task }) => {
  const text = readFileSync(README, "utf8");
  const [before, rest] = text.split(BEGIN) as [string, string];
  const after = rest.slice(rest.indexOf(END));
  const rows = families.map(({ modelTypes, models }) => `| ${modelTypes.map((type) => `\`${type}\``).join(", ")} | ${models} |`);
  const table = ["", "| `model_type` | models |", "|---|---|", ...rows, ""].join("\n");
  const expected = `${before}${BEGIN}${table}${after}`;
  if (task.file && process.argv.includes("-u")) writeFileSync(README, expected);
  expect(readFileSync(README, "utf8")).toBe(expected);
});
