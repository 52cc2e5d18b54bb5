import type { Engine } from "../engine/engine.js";
import { endTokens } from "../generation/end-tokens.js";
import { type Generated, generate, type Prompt } from "../generation/generate.js";
import type { Sampling } from "../generation/sampling.js";
import type { Model } from "../model/model.js";
import { type Journal, journalKey } from "../results/journal.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";

export interface AnswerOptions {
  readonly tokenizer: Tokenizer;
  readonly sampling: Sampling | undefined;
  readonly batch: number;
  readonly memory: number;
  readonly signal: AbortSignal | undefined;
  readonly onAnswers: (answers: number) => void;
}

/** A model, and the hash by which the journal knows it. */
export interface Contestant {
  readonly model: Model;
  readonly sha256: string;
}

/** What a model writes after each prompt; what the journal knows is not generated again. */
export async function answers(
  { model, sha256 }: Contestant,
  engine: Engine,
  prompts: readonly Prompt[],
  journal: Journal,
  { tokenizer, sampling, onAnswers, ...rest }: AnswerOptions,
): Promise<Generated[]> {
  const endIds = await endTokens(model, tokenizer);
  const how = [engine.name, engine.precision, sampling ?? "greedy", [...endIds]];
  // A sampled answer depends on the prompt's number too: it has random numbers of its own.
  const keys = prompts.map(({ ids, maxNewTokens, stopStrings = [] }, index) =>
    journalKey("answer", sha256, how, [...ids], maxNewTokens, stopStrings, sampling ? index : 0),
  );
  const known = keys.map((key) => journal.get(key) as Generated | undefined);
  const missing = [...prompts.keys()].filter((i) => known[i] === undefined);
  onAnswers(prompts.length - missing.length);
  await generate(
    model,
    engine,
    missing.map((i) => ({ ...prompts[i]!, stream: i })),
    { endIds, decode: (ids) => tokenizer.decode(ids, { skipSpecialTokens: true }), sampling, ...rest },
    (i, generated) => {
      const prompt = missing[i]!;
      journal.put(keys[prompt]!, generated);
      known[prompt] = generated;
      onAnswers(1);
    },
  );
  return known as Generated[];
}
