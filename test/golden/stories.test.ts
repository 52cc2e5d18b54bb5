import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { openCheckpoint } from "../../src/checkpoint/open.js";
import { openModel } from "../../src/model/model.js";
import { loadTokenizer } from "../../src/tokenizer/tokenizer.js";
import { engineCases } from "../support/engines.js";
import { greedy } from "../support/forward.js";

/** What llama2.c's own tests expect of stories260K at temperature 0 from an empty prompt (test_all.py). */
const GOLDEN = "Once upon a time, there was a little girl named Lily. She loved to play outside in the park";

const folder = join(fileURLToPath(new URL("../..", import.meta.url)), "assets/models/stories260K");

describe("stories260K tells llama2.c's story", () => {
  for (const { title, isSkipped, create } of engineCases) {
    it.skipIf(isSkipped)(title, async () => {
      const engine = create();
      const checkpoint = await openCheckpoint(folder);
      try {
        const tokenizer = (await loadTokenizer(folder))!;
        const start = tokenizer.encode("", { specialTokens: true }); // BOS alone
        expect([...start]).toEqual([1]);
        const count = tokenizer.encode(GOLDEN, { specialTokens: false }).length;
        const ids = await greedy(openModel(checkpoint), engine, start, count);
        expect(tokenizer.decode(ids, { skipSpecialTokens: true }).trim()).toBe(GOLDEN);
      } finally {
        await checkpoint.close();
        await engine.dispose();
      }
    });
  }
});
