import { expect, it } from "vitest";
import { tinyModel } from "../../test/support/models.js";
import { openCheckpoint } from "../checkpoint/open.js";
import { createReferenceEngine } from "../engine/reference/reference.js";
import { InputError } from "../errors.js";
import { openModel } from "../model/model.js";
import { type GenerateOptions, generate } from "./generate.js";
import { createWeightStore } from "./weights.js";

const OPTIONS: GenerateOptions = { endIds: new Set(), decode: (ids) => ids.join(" "), batch: 4, cacheBytes: 0 };

it("a prompt that alone passes a limit is refused, and goes with as much more as the refusal asks for", async () => {
  const checkpoint = await openCheckpoint(tinyModel("llama"));
  const engine = createReferenceEngine();
  const weights = createWeightStore(openModel(checkpoint), engine, 2 ** 30);
  const prompts = [
    { ids: Array.from({ length: 24 }, (_, i) => i + 1), maxNewTokens: 2 },
    { ids: [5, 6, 7], maxNewTokens: 2 },
  ];
  const continued = async (options: Partial<GenerateOptions>) => {
    const ids: (readonly number[])[] = [];
    await generate(weights, engine, prompts, { ...OPTIONS, ...options }, (prompt, generated) => {
      ids[prompt] = generated.ids;
    });
    return ids;
  };
  try {
    const refused = await continued({ isLimit: true }).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(InputError);
    const message = (refused as Error).message;
    expect(message).toMatch(/^--memory: a prompt and its answer, 26 tokens, take \dMiB .* 0MiB are left for them; /);
    // Half of what is given more is for keys and values.
    const more = Number(/give (\d+)MiB more/.exec(message)![1]) * 2 ** 20;
    const expected = await continued({ cacheBytes: 2 ** 30 });
    expect(await continued({ isLimit: true, cacheBytes: more / 2 })).toEqual(expected);
    // What is no limit is passed where it must be.
    expect(await continued({})).toEqual(expected);
  } finally {
    await checkpoint.close();
  }
});
