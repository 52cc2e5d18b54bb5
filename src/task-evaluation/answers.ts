import { z } from "zod";
import { type Engine, howComputed } from "../engine/engine.js";
import { endTokens } from "../generation/end-tokens.js";
import { type Generated, generate, type Prompt } from "../generation/generate.js";
import type { Sampling } from "../generation/sampling.js";
import type { WeightStore } from "../generation/weights.js";
import type { Model } from "../model/model.js";
import type { Stream } from "../model/score.js";
import { type Journal, journalKey } from "../results/journal.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";

export interface AnswerOptions {
  readonly tokenizer: Tokenizer;
  readonly sampling: Sampling | undefined;
  readonly batch: number;
  readonly cacheBytes: number;
  readonly isLimit: boolean;
  readonly signal: AbortSignal | undefined;
  readonly onAnswers: (answers: number) => void;
}

/** A model, and the hash by which the journal knows it. */
export interface Contestant extends Stream {
  readonly sha256: string;
}

/** An answer as the journal has it. */
const generatedSchema = z.object({
  ids: z.array(z.int().min(0)).min(1),
  text: z.string(),
  stop: z.enum(["end", "stop-string", "length"]),
  truncated: z.int().min(0),
}) satisfies z.ZodType<Generated>;

/** What a model writes after each prompt; what the journal knows is not generated again. */
export async function answers(
  { model, sha256 }: Contestant,
  weights: WeightStore,
  engine: Engine,
  prompts: readonly Prompt[],
  journal: Journal,
  { tokenizer, sampling, onAnswers, ...rest }: AnswerOptions,
): Promise<Generated[]> {
  const endIds = await endTokens(model, tokenizer);
  const how = [...howComputed(engine), sampling ?? "greedy", [...endIds]];
  // A sampled answer depends on the prompt's number too: it has random numbers of its own.
  const keys = prompts.map(({ ids, maxNewTokens, stopStrings = [] }, index) =>
    journalKey("answer", sha256, how, [...ids], maxNewTokens, stopStrings, sampling ? index : 0),
  );
  const known = new Map<string, Generated>();
  const missing = new Map<string, Prompt>();
  for (const [index, prompt] of prompts.entries()) {
    const key = keys[index]!;
    if (known.has(key) || missing.has(key)) continue;
    const answer = checkedAnswer(journal.get(key), prompt, model);
    if (answer) known.set(key, answer);
    else missing.set(key, { ...prompt, stream: index });
  }
  onAnswers(prompts.length - missing.size);
  const order = [...missing.keys()];
  await generate(
    weights,
    engine,
    [...missing.values()],
    { endIds, decode: (ids) => tokenizer.decode(ids, { skipSpecialTokens: true }), sampling, ...rest },
    (i, generated) => {
      journal.put(order[i]!, generated);
      known.set(order[i]!, generated);
      onAnswers(1);
    },
  );
  return keys.map((key) => known.get(key)!);
}

/** An entry of the journal, or undefined where it can be no answer to this prompt: the file may be a stranger's. */
function checkedAnswer(value: unknown, prompt: Prompt, { architecture }: Model): Generated | undefined {
  const { data } = generatedSchema.safeParse(value);
  if (!data || data.ids.length > prompt.maxNewTokens || data.truncated >= prompt.ids.length) return undefined;
  return data.ids.every((id) => id < architecture.vocabularySize) ? data : undefined;
}
