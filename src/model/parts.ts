import type { AttentionShape, Builder, Linear, Norm, Program, Rotation, Routing } from "../engine/operations.js";
import { InputError } from "../errors.js";
import type { Architecture, Opening } from "./family.js";
import type { Storage } from "./storage.js";

/** Pieces that many families are made of. A family that needs another arrangement writes its own. */

/** Sizes of attention: [hidden] to heads and back. */
export interface Attention {
  readonly hidden: number;
  readonly shape: AttentionShape;
  /** None where positions are learned, biases, or nothing at all. */
  readonly rotation?: Rotation | undefined;
  /** Whether q, k and v have biases, and whether the output has one. */
  readonly bias: { readonly qkv: boolean; readonly out: boolean };
}

/** What the projections of attention are called inside a block. */
export interface AttentionNames {
  readonly q: string;
  readonly k: string;
  readonly v: string;
  readonly out: string;
}

export const SELF_ATTENTION: AttentionNames = {
  q: "self_attn.q_proj",
  k: "self_attn.k_proj",
  v: "self_attn.v_proj",
  out: "self_attn.o_proj",
};

/** Of a tensor that q, k and v are fused in. */
export const fusedNames = (qkv: string, out: string): AttentionNames => ({
  q: `${qkv}.q`,
  k: `${qkv}.k`,
  v: `${qkv}.v`,
  out,
});

/** Causal attention of h, [rows, hidden]. `normed` is what a family does to q and k before they are rotated. */
export function selfAttention<V>(
  g: Builder<V>,
  h: V,
  { hidden, shape, rotation, bias }: Attention,
  names: AttentionNames = SELF_ATTENTION,
  normed: (x: V, which: "q" | "k", heads: number) => V = (x) => x,
): V {
  const { heads, keyValueHeads, headSize } = shape;
  const project = (name: string, count: number) =>
    g.linear(h, { name, in: hidden, out: count * headSize, bias: bias.qkv });
  const rotate = (x: V, count: number) => (rotation ? g.rope(x, { heads: count, headSize, ...rotation }) : x);
  const q = rotate(normed(project(names.q, heads), "q", heads), heads); // [rows, heads · headSize]
  const k = rotate(normed(project(names.k, keyValueHeads), "k", keyValueHeads), keyValueHeads);
  const v = project(names.v, keyValueHeads);
  const mixed = g.attention(q, k, v, shape);
  return g.linear(mixed, { name: names.out, in: heads * headSize, out: hidden, bias: bias.out });
}

/** Sizes of a feed-forward network. */
export interface FeedForward {
  readonly hidden: number;
  readonly intermediate: number;
  readonly bias: boolean;
}

export const GATED = { gate: "mlp.gate_proj", up: "mlp.up_proj", down: "mlp.down_proj" };

/** down(activate(gate(h)) · up(h)). */
export function gatedFeedForward<V>(
  g: Builder<V>,
  h: V,
  { hidden, intermediate, bias }: FeedForward,
  activate: (x: V) => V,
  names = GATED,
): V {
  const gate = activate(g.linear(h, { name: names.gate, in: hidden, out: intermediate, bias }));
  const up = g.linear(h, { name: names.up, in: hidden, out: intermediate, bias });
  return g.linear(g.mul(gate, up), { name: names.down, in: intermediate, out: hidden, bias });
}

/** What a mixture's parts are called: `<experts>.<number>.<gate>`. */
interface MixtureNames {
  readonly router: string;
  readonly experts: string;
  readonly gate: string;
  readonly up: string;
  readonly down: string;
}

/** Gated feed-forward networks, of which each row goes to a few that the router chooses, and gets their outputs by its shares. */
export function mixture<V>(g: Builder<V>, h: V, sizes: FeedForward, routing: Routing, names: MixtureNames): V {
  const router = { name: names.router, in: sizes.hidden, out: routing.experts, bias: false, dense: true } as const;
  const routes = g.route(g.linear(h, router), routing); // [rows, experts]
  const outputs = Array.from({ length: routing.experts }, (_, expert) => {
    const of = (part: string) => `${names.experts}.${expert}.${part}`;
    const own = { gate: of(names.gate), up: of(names.up), down: of(names.down) };
    const output = gatedFeedForward(g, g.gather(h, routes, expert), sizes, g.silu, own);
    return g.scatter(output, routes, expert);
  });
  return outputs.reduce((sum, output) => g.add(sum, output));
}

/** down(activate(up(h))). */
export function feedForward<V>(
  g: Builder<V>,
  h: V,
  { hidden, intermediate, bias }: FeedForward,
  activate: (x: V) => V,
  names: { readonly up: string; readonly down: string },
): V {
  const up = activate(g.linear(h, { name: names.up, in: hidden, out: intermediate, bias }));
  return g.linear(up, { name: names.down, in: intermediate, out: hidden, bias });
}

/** The activations that configs name, in the spellings of transformers. */
const ACTIVATIONS = {
  silu: "silu",
  swish: "silu",
  gelu: "gelu",
  gelu_new: "geluTanh",
  gelu_fast: "geluTanh",
  gelu_pytorch_tanh: "geluTanh",
  relu: "relu",
  relu2: "relu2",
} as const;

export type Activation = (typeof ACTIVATIONS)[keyof typeof ACTIVATIONS];

/** Finds an activation by its name in a config. Throws InputError. */
export function findActivation(name: string, where: string): Activation {
  const found = Object.hasOwn(ACTIVATIONS, name) ? ACTIVATIONS[name as keyof typeof ACTIVATIONS] : undefined;
  if (found) return found;
  throw new InputError(
    `${where}: activation "${name}" is not supported (supported: ${Object.keys(ACTIVATIONS).join(", ")})`,
  );
}

export function activate<V>(g: Builder<V>, name: Activation): (x: V) => V {
  if (name !== "relu2") return g[name];
  return (x) => {
    const positive = g.relu(x);
    return g.mul(positive, positive);
  };
}

/** Heads as configs give them. */
interface Heads {
  readonly hidden_size: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads?: number | null | undefined;
  readonly head_dim?: number | null | undefined;
}

/** Checks that heads fit together; scores are divided by √headSize. Throws InputError. */
export function attentionShape(c: Heads, where: string): AttentionShape {
  const heads = c.num_attention_heads;
  const keyValueHeads = c.num_key_value_heads ?? heads;
  if (heads % keyValueHeads !== 0) {
    throw new InputError(
      `${where}: num_attention_heads ${heads} is no multiple of num_key_value_heads ${keyValueHeads}`,
    );
  }
  if (!c.head_dim && c.hidden_size % heads !== 0) {
    throw new InputError(`${where}: hidden_size ${c.hidden_size} is no multiple of num_attention_heads ${heads}`);
  }
  const headSize = c.head_dim ?? c.hidden_size / heads;
  return { heads, keyValueHeads, headSize, scale: 1 / Math.sqrt(headSize) };
}

/** Where a model's tensors are: the full names of all but the blocks'. */
export interface DecoderNames {
  /** Before a layer's number. */
  readonly layers: string;
  readonly embedding: string;
  /** The final norm. */
  readonly norm: string;
  readonly head: string;
}

export const MODEL: DecoderNames = {
  layers: "model.layers",
  embedding: "model.embed_tokens",
  norm: "model.norm",
  head: "lm_head",
};

interface DecoderSizes {
  readonly hidden_size: number;
  readonly num_hidden_layers: number;
  readonly vocab_size: number;
  readonly tie_word_embeddings: boolean;
}

/** What a decoder is made of; B describes a block and is the key of its program, so it is all that the block depends on. */
interface Decoder<B> {
  readonly family: string;
  readonly config: DecoderSizes;
  readonly maxTokens: number;
  readonly names?: DecoderNames;
  readonly kindOf: (layer: number) => B;
  readonly block: <V>(g: Builder<V>, x: V, kind: B) => V;
  readonly finalNorm: <V>(g: Builder<V>, x: V, norm: Norm) => V;
  readonly headBias?: boolean;
  /** Every number that `finalNorm` and `logits` depend on. */
  readonly headKey: unknown;
  readonly logits?: <V>(g: Builder<V>, logits: V) => V;
  readonly opening?: Opening | undefined;
  readonly storage?: Storage | undefined;
}

/** A stack of blocks between embeddings and head. */
export function decoder<B>(d: Decoder<B>): Architecture {
  const { hidden_size: hidden, vocab_size: vocabulary, num_hidden_layers: layers } = d.config;
  const names = d.names ?? MODEL;
  const head: Linear = { name: names.head, in: hidden, out: vocabulary, bias: d.headBias ?? false };
  return {
    hiddenSize: hidden,
    layers,
    vocabularySize: vocabulary,
    maxTokens: d.maxTokens,
    embedding: `${names.embedding}.weight`,
    unembedding: `${names.head}.weight`,
    tied: d.config.tie_word_embeddings,
    layerPrefix: (layer) => `${names.layers}.${layer}.`,
    block: (layer): Program => {
      const kind = d.kindOf(layer);
      return {
        key: `${d.family} block ${JSON.stringify(kind)}`,
        columns: { in: hidden, out: hidden },
        build: (g, x) => d.block(g, x, kind),
      };
    },
    opening: d.opening,
    head: {
      key: `${d.family} head ${JSON.stringify([head, d.headKey])}`,
      columns: { in: hidden, out: vocabulary },
      build(g, x) {
        const logits = g.linear(d.finalNorm(g, x, { name: names.norm, size: hidden }), head);
        return d.logits ? d.logits(g, logits) : logits;
      },
    },
    storage: d.storage,
  };
}
