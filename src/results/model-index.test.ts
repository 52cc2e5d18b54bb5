import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { madeCell, madeEnvironment, madeMetric } from "../../test/support/study.js";
import { InputError } from "../errors.js";
import { modelCard } from "./compression-record.js";
import { withFigures } from "./model-index.js";

const cell = madeCell({
  text: { "wiki text": { ratio: 1.5, jsd: [0.125, 0.01], kl: [0.75, 0.1], sameTop1: [0.8, 0.01] } },
  tasks: { squad: { exact_match: madeMetric([1, 1, 1, 0], [1, 0, 0, 0]) } },
});
const card = modelCard({
  format: "pare.compression/1",
  method: "wanda",
  methodOptions: {},
  sparsity: 0.5,
  pattern: null,
  only: [],
  skip: [],
  calibration: null,
  base: { path: "base", sha256: "0".repeat(64) },
  environment: madeEnvironment,
  result: { sparsity: 0.5, sites: { "model.layers.0.self_attn.q_proj": { zeros: 8, size: 16 } } },
});

/** The front matter as the hub reads it. */
function metadata(text: string): Record<string, unknown> {
  return parse(/^---\n([\s\S]*?)\n---\n/.exec(text)![1]!) as Record<string, unknown>;
}

describe("a model card with figures", () => {
  const written = withFigures(card, "README.md", "tiny-wanda", cell);

  it("has a model-index, and keeps what else its front matter says", () => {
    const before = metadata(card);
    const { "model-index": index, ...others } = metadata(written);
    expect(others).toEqual(before);
    expect(index).toEqual([
      {
        name: "tiny-wanda",
        results: [
          {
            task: { type: "text-generation", name: "Language modeling" },
            dataset: { type: "wiki-text", name: "wiki text" },
            metrics: [
              { type: "perplexity", name: "Perplexity", value: 30 },
              { type: "perplexity_base", name: "Perplexity of the base model", value: 20 },
              { type: "perplexity_ratio", name: "Perplexity, compressed / base", value: 1.5 },
              { type: "jsd", name: "Jensen-Shannon divergence from the base model, nats", value: 0.125 },
              { type: "kl", name: "KL(base‖compressed), nats", value: 0.75 },
              { type: "same_top1", name: "Share of positions with the base model's likeliest token", value: 0.8 },
            ],
          },
          {
            task: { type: "text-generation", name: "Text generation" },
            dataset: { type: "squad", name: "squad" },
            metrics: [
              { type: "exact_match", name: "exact_match", value: 0.25 },
              { type: "exact_match_base", name: "exact_match of the base model", value: 0.75 },
              { type: "exact_match_difference", name: "exact_match, compressed - base", value: -0.5 },
            ],
          },
        ],
      },
    ]);
  });

  it("shows the figures to people, in place of how to measure them", () => {
    expect(card).toContain("pare evaluate THIS --base BASE");
    expect(written).not.toContain("pare evaluate THIS --base BASE");
    expect(written).toContain("| wiki text | perplexity | 20 | 30 |");
    expect(written).toMatch(/\| squad \| exact_match \| 0\.75 \| 0\.25 \(difference -0\.\d+ to 0?-?[\d.]+\) \|/);
    expect(written).toContain("# Pruned with wanda to 0.5");
    expect(written).toContain("| self_attn.q_proj | 16 | 50.00% |");
  });

  it("is the same when written twice, and new figures replace old ones", () => {
    expect(withFigures(written, "README.md", "tiny-wanda", cell)).toBe(written);
    const other = madeCell({ text: { other: { ratio: 2 } } });
    expect(withFigures(written, "README.md", "x", other)).toBe(withFigures(card, "README.md", "x", other));
  });

  it("leaves out what has no value", () => {
    const unknown = madeCell({ text: { wiki: { jsd: [null, null] } }, tasks: { squad: {} } });
    const { "model-index": index } = metadata(withFigures(card, "README.md", "x", unknown)) as {
      "model-index": { results: { dataset: { name: string }; metrics: { type: string }[] }[] }[];
    };
    expect(index[0]!.results.map(({ dataset }) => dataset.name)).toEqual(["wiki"]);
    expect(index[0]!.results[0]!.metrics.map(({ type }) => type)).not.toContain("jsd");
  });

  it("names from elsewhere stay names", () => {
    const name = 'a: "b" | <script>\n---\n# x';
    const text = withFigures(card, "README.md", name, madeCell({ text: { [name]: {} } }));
    const { "model-index": index } = metadata(text) as {
      "model-index": { name: string; results: { dataset: { name: string; type: string } }[] }[];
    };
    expect(index[0]!.name).toBe(name);
    expect(index[0]!.results[0]!.dataset.name).toBe(name);
    expect(index[0]!.results[0]!.dataset.type).toMatch(/^[\w.-]+$/);
    const table = text.slice(text.indexOf("## What it costs"));
    expect(table).toContain('| a: "b" \\| \\<script\\> --- # x | perplexity |');
  });

  it("takes a card without front matter, and refuses one that is broken", () => {
    expect(metadata(withFigures("# Mine\n", "README.md", "x", cell))).toHaveProperty("model-index");
    expect(withFigures("# Mine\n", "README.md", "x", cell)).toContain("\n# Mine\n");
    for (const broken of ["---\na: [\n---\n", "---\n- a\n---\n", "---\njust text\n---\n"])
      expect(() => withFigures(broken, "out/README.md", "x", cell)).toThrow(InputError);
  });
});
