import { InputError } from "../../errors.js";
import type { Checkpoint } from "../checkpoint.js";
import { isObject, quote } from "../json.js";
import type { GgufArchitecture } from "./architecture.js";
import { llama3Factors } from "./rope.js";
import { ROTARY_TENSORS } from "./views.js";

/** How a model rotates, as GGUF says it. */
export interface Rotation {
  /** Metadata, without the architecture. */
  readonly entries: readonly (readonly [string, number | string])[];
  /** Tensors of factors. */
  readonly factors: Readonly<Record<string, readonly number[]>>;
}

type Values = Readonly<Record<string, unknown>>;

/** The rotary part of config.json, in transformers' old or new spelling, as metadata and tensors. Throws InputError. */
export function findRotation(base: Checkpoint, architecture: GgufArchitecture, headSize: number): Rotation {
  const { config, configFile } = base;
  const { theta: thetaName, share: shareName } = architecture.rope!;
  const whole = objectOf(config["rope_parameters"]) ?? objectOf(config["rope_scaling"]) ?? {};
  const given = objectOf(whole["full_attention"]) ?? whole;
  const local = objectOf(whole["sliding_attention"])?.["rope_theta"];
  const number = (...values: unknown[]) => values.find((value): value is number => typeof value === "number");
  const theta = number(given["rope_theta"], config[thetaName], config["rope_theta"]) ?? 10_000;
  const share = number(given["partial_rotary_factor"], shareName && config[shareName], config["partial_rotary_factor"]);
  const rotated = Math.floor(headSize * (share ?? defaultShare(architecture)));
  const plain: Rotation["entries"] = [
    ["rope.freq_base", theta],
    ["rope.dimension_count", rotated],
    ...(typeof local === "number" ? [["rope.freq_base_swa", local] as const] : []),
  ];
  const kind = given["rope_type"] ?? given["type"] ?? "default";
  const need = (name: string): number => {
    const value = number(given[name], config[name]);
    if (value !== undefined) return value;
    throw new InputError(`${configFile}: its rotary embedding has no ${name}`);
  };
  switch (kind) {
    case "default":
    case "dynamic": // the same as long as windows are no longer than the model was made for
      return { entries: plain, factors: {} };
    case "linear":
      return {
        entries: [...plain, ["rope.scaling.type", "linear"], ["rope.scaling.factor", need("factor")]],
        factors: {},
      };
    case "yarn": {
      const entries: (readonly [string, number | string])[] = [
        ...plain,
        ["rope.scaling.type", "yarn"],
        ["rope.scaling.factor", need("factor")],
        ["rope.scaling.original_context_length", need("original_max_position_embeddings")],
      ];
      for (const end of ["fast", "slow"]) {
        const beta = number(given[`beta_${end}`]);
        if (beta !== undefined) entries.push([`rope.scaling.yarn_beta_${end}`, beta]);
      }
      return { entries, factors: {} };
    }
    case "llama3": {
      const factors = llama3Factors(
        {
          theta,
          factor: need("factor"),
          low_freq_factor: need("low_freq_factor"),
          high_freq_factor: need("high_freq_factor"),
          original_max_position_embeddings: need("original_max_position_embeddings"),
        },
        rotated / 2,
      );
      return { entries: plain, factors: { [ROTARY_TENSORS.all]: factors } };
    }
    case "longrope":
    case "su":
      if (architecture.modelType !== "phi3") {
        throw new InputError(
          `${configFile}: llama.cpp knows rope type "longrope" of Phi 3 alone; it cannot be written`,
        );
      }
      return longrope(
        plain,
        given,
        need("original_max_position_embeddings"),
        need("max_position_embeddings"),
        configFile,
      );
    default:
      throw new InputError(`${configFile}: rope type ${quote(String(kind))} cannot be written as GGUF`);
  }
}

function longrope(plain: Rotation["entries"], given: Values, original: number, whole: number, where: string): Rotation {
  const scale = whole / original;
  const usual = scale <= 1 ? 1 : Math.sqrt(1 + Math.log(scale) / Math.log(original));
  const amplitude = typeof given["attention_factor"] === "number" ? given["attention_factor"] : usual;
  const list = (name: string): number[] => {
    const values = given[name];
    if (Array.isArray(values) && values.every((value) => typeof value === "number")) return values;
    throw new InputError(`${where}: its rotary embedding has no list ${name}`);
  };
  return {
    entries: [...plain, ["rope.scaling.attn_factor", amplitude], ["rope.scaling.original_context_length", original]],
    factors: { [ROTARY_TENSORS.long]: list("long_factor"), [ROTARY_TENSORS.short]: list("short_factor") },
  };
}

/** What transformers takes where a config does not say which share of a head is rotated. */
function defaultShare({ modelType }: GgufArchitecture): number {
  return { gpt_neox: 0.25, stablelm: 0.25, phi: 0.5, nemotron: 0.5, glm4: 0.5 }[modelType] ?? 1;
}

function objectOf(value: unknown): Values | undefined {
  return isObject(value) ? value : undefined;
}
