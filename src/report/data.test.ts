import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { HOSTILE, SMALL, syntheticStudy } from "../../test/support/synthetic-study.js";
import { analyseStudy } from "../analysis/analyse.js";
import { fitChunk } from "./chunks.js";
import { reportDocument } from "./data.js";
import { layerSparsity } from "./layers.js";
import type { BaseItemsChunk, BaseSampleChunk, ItemsChunk, SampleChunk } from "./report-data.js";
import { reportJson, reportPage } from "./write.js";

const OPTIONS = { ...SMALL, sparsities: [0.3, 0.5], layers: 3, items: 20, hostile: true };
const { record, cells, itemsOf } = syntheticStudy(OPTIONS);
const document = await reportDocument({ record, cells, itemsOf, analysis: analyseStudy(record, cells) });
const open = <T>(name: string) => JSON.parse(gunzipSync(Buffer.from(document.chunks[name]!, "base64")).toString()) as T;

describe("the report's data", () => {
  it("has every cell with its figures, in the order of the study", () => {
    expect(document.data.cells.map(({ id }) => id)).toEqual(cells.map(({ id }) => id));
    for (const [i, cell] of document.data.cells.entries()) {
      expect(cell.values["jsd:wikitext2"]!.value).toBe(cells[i]!.text["wikitext2"]!.jsd.mean);
      expect(cell.sparsity).toBe(cells[i]!.compression.sparsity);
    }
  });

  it("gives every item back as it was answered", async () => {
    for (const cell of document.data.cells) {
      const items = await itemsOf(cell.id);
      for (const { task, base, chunk, shown, of } of cell.items) {
        const own = items.filter((item) => item.task === task);
        expect([shown, of]).toEqual([own.length, own.length]);
        const shared = open<BaseItemsChunk>(base);
        const found = open<ItemsChunk>(chunk).map(({ at, answer, scores }) => {
          const item = shared[at]!;
          return [
            item.id,
            { prompt: item.prompt, base: item.answer, compressed: answer ?? item.answer, scores },
          ] as const;
        });
        const said = (answer: (typeof items)[number]["compressed"]) =>
          answer.kind === "generate" ? { text: answer.text, prediction: null } : { chosen: answer.chosen };
        expect(Object.fromEntries(found)).toEqual(
          Object.fromEntries(
            own.map((item) => [
              item.id,
              {
                prompt: item.prompt,
                base: said(item.base!),
                compressed: said(item.compressed),
                scores: Object.fromEntries(
                  Object.entries(item.scores).map(([metric, score]) => [metric, score.compressed]),
                ),
              },
            ]),
          ),
        );
      }
    }
  });

  it("gives every token back with both models' likeliest", () => {
    const [cell] = document.data.cells;
    for (const [w, sample] of cell!.samples.entries()) {
      const { tokens } = cells[0]!.sample![w]!;
      const base = open<BaseSampleChunk>(sample.base);
      const own = open<SampleChunk>(sample.chunk);
      expect(base.tokens.map((at) => base.strings[at])).toEqual(tokens.map(({ text }) => text));
      expect(own.jsd).toEqual(tokens.map(({ jsd }) => (jsd === null ? null : expect.closeTo(jsd, 2))));
      expect(own.top.map(([at, probability]) => [own.strings[at!], probability])).toEqual(
        tokens.map(({ compressed }) => [compressed[0]![0], Math.round(1000 * compressed[0]![1])]),
      );
    }
  });

  it("names all that the figures depend on", () => {
    const text = JSON.stringify(document.data.provenance);
    for (const cell of cells) {
      const { calibration } = cell.compression;
      if (calibration) expect(text).toContain(calibration.idsSha256);
      expect(text).toContain(cell.compression.sha256);
      for (const { data } of Object.values(cell.text)) expect(text).toContain(data.idsSha256);
    }
    for (const model of record.models) expect(text).toContain(model.sha256);
  });

  it("keeps unfinished cells out, and says which they are", async () => {
    const finished = cells.slice(2);
    const { data } = await reportDocument({
      record,
      cells: finished,
      itemsOf,
      analysis: analyseStudy(record, finished),
    });
    expect(data.cells).toHaveLength(finished.length);
    expect(data.missing).toEqual(["magnitude 30%", "magnitude 50%"]);
  });
});

describe("fitChunk", () => {
  it("keeps the first items, as many as fit", () => {
    const items = Array.from({ length: 500 }, (_, i) => String((i * 2654435761) % 2 ** 32));
    const { kept, chunk } = fitChunk(items, 1000, (some) => some);
    expect(chunk.length).toBeLessThanOrEqual(1000);
    expect(kept.length).toBeGreaterThan(20);
    expect(kept).toEqual(items.slice(0, kept.length));
  });
});

describe("layerSparsity", () => {
  it("has layers in their order, and null where one has no such site", () => {
    const { layers, kinds } = layerSparsity({
      "model.layers.10.mlp.up_proj": { zeros: 30, size: 100 },
      "model.layers.2.mlp.up_proj": { zeros: 10, size: 100 },
      "model.layers.2.self_attn.q_proj": { zeros: 40, size: 50 },
      lm_head: { zeros: 5, size: 10 },
    });
    expect(layers).toEqual([2, 10]);
    expect(kinds).toEqual({ "mlp.up_proj": [0.1, 0.3], "self_attn.q_proj": [0.8, null] });
  });
});

describe("the page's text", () => {
  const template = '<script type="module">1</script><style>a{}</style><!-- report:policy --><!-- report:data -->';

  it("holds hostile data that end no element, and gives them back", () => {
    const page = reportPage(template, document);
    const islands = [...page.matchAll(/<script type="application\/json" id="([^"]+)">([^<]*)<\/script>/g)];
    expect(islands).toHaveLength(1 + Object.keys(document.chunks).length);
    expect(page.match(/<\/?script/g)).toHaveLength(2 * islands.length + 2);
    expect(page).not.toMatch(/[\u2028\u2029]|<img|<!--/);
    expect((JSON.parse(islands[0]![2]!) as typeof document.data).study.name).toBe(`Study ${HOSTILE.join(" ")}`);
  });

  it("allows its own script and style by their hashes, and no network", () => {
    const [, policy] = /http-equiv="Content-Security-Policy" content="([^"]+)"/.exec(reportPage(template, document))!;
    // printf 1 | openssl dgst -sha256 -binary | base64, and of a{}
    expect(policy).toContain("script-src 'sha256-a4ayc/80/OGda4BO/1o/V0etpOqiLx1JwB5S3beHW0s=';");
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("connect-src 'none'");
    expect(policy).not.toContain("unsafe");
  });

  it("writes numbers to six digits", () => {
    expect(reportJson([1 / 3, 123456789, 1e-9 / 3])).toBe("[0.333333,123456789,3.33333e-10]");
  });
});
