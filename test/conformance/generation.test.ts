import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openCheckpoint } from "../../src/checkpoint/open.js";
import type { Engine } from "../../src/engine/engine.js";
import { type Generated, type GenerateOptions, generate, type Prompt } from "../../src/generation/generate.js";
import { createWeightStore } from "../../src/generation/weights.js";
import { type Model, openModel } from "../../src/model/model.js";
import { engineCases } from "../support/engines.js";
import { tinyModel, tinyModels } from "../support/models.js";
import { readSafetensors } from "../support/safetensors.js";

const OPTIONS: GenerateOptions = { endIds: new Set(), decode: (ids) => ids.join(" "), batch: 8, cacheBytes: 2 ** 30 };

async function continued(
  model: Model,
  engine: Engine,
  prompts: readonly Prompt[],
  { weightBytes = 2 ** 30, ...options }: Partial<GenerateOptions> & { weightBytes?: number } = {},
): Promise<Generated[]> {
  const results: Generated[] = [];
  await generate(
    createWeightStore(model, engine, weightBytes),
    engine,
    prompts,
    { ...OPTIONS, ...options },
    (prompt, generated) => {
      expect(results[prompt]).toBeUndefined();
      results[prompt] = generated;
    },
  );
  expect(Object.keys(results)).toHaveLength(prompts.length);
  return results;
}

const idsOf = (results: readonly Generated[]) => results.map(({ ids }) => ids);

for (const { title, isSkipped, precision, device, create } of engineCases) {
  describe.skipIf(isSkipped)(`generation by ${title}`, () => {
    const withModel = async (folder: string, test: (model: Model, engine: Engine) => Promise<void>) => {
      const engine = create();
      const checkpoint = await openCheckpoint(tinyModel(folder));
      try {
        await test(openModel(checkpoint), engine);
      } finally {
        await checkpoint.close();
        await engine.dispose();
      }
    };

    it.each(device === "cpu" ? tinyModels : ["llama"])(
      "%s: transformers' greedy ids, also among other prompts and layer by layer",
      (folder) =>
        withModel(folder, async (model, engine) => {
          const expected = readSafetensors(join(tinyModel(folder), "expected.safetensors"));
          const tokens = expected.get("input_ids")!.shape[1]!;
          const ids = [...expected.get("input_ids")!.data.slice(0, tokens)];
          const greedy = [...expected.get("greedy")!.data];
          const prompt = { ids, maxNewTokens: greedy.length };
          // Shorter and longer ones, some with the same beginning, more of them than a batch takes.
          const others = [3, 7, 20, 1, 12].map((length, i) => ({
            ids: [...ids.slice(0, i), ...Array.from({ length }, (_, j) => (j * j + i) % 100)],
            maxNewTokens: 4 + 3 * i,
          }));
          const all = [...others, prompt, ...others];
          const alone = idsOf([
            ...(await continued(model, engine, others, { batch: 1 })),
            ...(await continued(model, engine, [prompt])),
          ]);
          if (precision !== "bfloat16") expect(alone[5]).toEqual(greedy);
          for (const options of [{ batch: 3 }, { batch: 16 }, { batch: 4, cacheBytes: 0 }, { weightBytes: 0 }]) {
            expect(idsOf(await continued(model, engine, all, options))).toEqual([...alone, ...alone.slice(0, 5)]);
          }
        }),
    );

    const folder = "llama";

    it("computes a common beginning once, to the same end", () =>
      withModel(folder, async (model, engine) => {
        const beginning = Array.from({ length: 30 }, (_, i) => (7 * i) % 90);
        const prompts = [[1, 2, 3], [4], [5, 6]].map((end) => ({ ids: [...beginning, ...end], maxNewTokens: 6 }));
        const alone: Generated[] = [];
        for (const prompt of prompts) alone.push(...(await continued(model, engine, [prompt])));
        expect(await continued(model, engine, prompts, { batch: 2 })).toEqual(alone);
        // A prompt that is another's beginning keeps a token for itself.
        const nested = [{ ids: beginning, maxNewTokens: 6 }, prompts[0]!];
        expect((await continued(model, engine, nested))[1]).toEqual(alone[0]);
      }));

    it("stops at end tokens, stop strings and the length, and says which", () =>
      withModel(folder, async (model, engine) => {
        const prompt = { ids: [5, 17, 40], maxNewTokens: 8 };
        const [free] = await continued(model, engine, [prompt]);
        expect(free).toMatchObject({ stop: "length", truncated: 0, text: free!.ids.join(" ") });
        expect(free!.ids).toHaveLength(8);
        const end = free!.ids.find((id, i) => i > 0 && !free!.ids.slice(0, i).includes(id))!;
        const until = free!.ids.slice(0, free!.ids.indexOf(end));
        const [ended] = await continued(model, engine, [prompt], { endIds: new Set([end]) });
        expect(ended).toEqual({ ids: [...until, end], text: until.join(" "), stop: "end", truncated: 0 });
        const [cut] = await continued(model, engine, [{ ...prompt, stopStrings: ["nowhere", ` ${end}`] }]);
        expect(cut).toMatchObject({ ids: [...until, end], text: until.join(" "), stop: "stop-string" });
      }));

    it("cuts a prompt that leaves no room from the left, and says by how much", () =>
      withModel(folder, async (model, engine) => {
        const { maxTokens } = model.architecture;
        const long = Array.from({ length: maxTokens + 5 }, (_, i) => (i * 3) % 100);
        const [cut] = await continued(model, engine, [{ ids: long, maxNewTokens: 4 }]);
        const [short] = await continued(model, engine, [{ ids: long.slice(9), maxNewTokens: 4 }]);
        expect(cut).toEqual({ ...short, truncated: 9 });
      }));

    it("draws by a seed of each prompt's own, and from the likeliest alone it takes that", () =>
      withModel(folder, async (model, engine) => {
        const prompts = [[3, 4], [9], [11, 2, 6], [3, 4]].map((ids) => ({ ids, maxNewTokens: 12 }));
        const sampling = { temperature: 2, topK: 50, topP: 0.95, seed: 3 };
        const drawn = idsOf(await continued(model, engine, prompts, { sampling }));
        expect(idsOf(await continued(model, engine, prompts, { sampling, batch: 1 }))).toEqual(drawn);
        expect(idsOf(await continued(model, engine, prompts, { sampling: { ...sampling, seed: 4 } }))).not.toEqual(
          drawn,
        );
        expect(drawn[3]).not.toEqual(drawn[0]);
        const one = await continued(model, engine, prompts, { sampling: { ...sampling, topK: 1 } });
        expect(idsOf(one)).toEqual(idsOf(await continued(model, engine, prompts)));
      }));
  });
}
