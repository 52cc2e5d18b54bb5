import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { families } from "../src/model/families/registry.js";

const [BEGIN, END] = ["<!-- families: made from the registry -->", "<!-- /families -->"];

it("README.md's table of families is the registry's (-u writes it)", async () => {
  const text = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
  expect([begin > 0, end > begin]).toEqual([true, true]);
  const rows = families.map(
    ({ modelTypes, models }) => `| ${modelTypes.map((type) => `\`${type}\``).join(", ")} | ${models} |`,
  );
  const table = ["", "", "| `model_type` | models |", "|---|---|", ...rows, "", ""].join("\n");
  await expect(text.slice(0, begin + BEGIN.length) + table + text.slice(end)).toMatchFileSnapshot("../README.md");
});
