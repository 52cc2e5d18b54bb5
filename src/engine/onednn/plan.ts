import type { Graph } from "../onnxruntime/onnx.js";
import { othersOf } from "./after.js";
import { readBy, type Stage, type Step } from "./stages.js";

/** What is known of a graph's values before it runs. A value that is another one under a second name counts as that. */
export interface Plan {
  /** The first name of a value. */
  root(name: string): string;
  /** Values that somebody reads as float32, and those that a product reads in its own precision. */
  readonly floats: ReadonlySet<string>;
  readonly operands: ReadonlySet<string>;
  /** Outputs of the graph, by their values. */
  readonly outputs: ReadonlyMap<string, string>;
  /** Tables that steps read, and masks. */
  readonly tables: readonly string[];
  readonly masks: readonly string[];
  /** For every step of every stage, in order, the values that nobody reads after it. */
  readonly ends: readonly (readonly string[])[];
}

export function planOf(graph: Graph, stages: readonly Stage[]): Plan {
  const steps = stages.flatMap((stage) => stage.steps);
  const roots = new Map<string, string>();
  const root = (name: string) => roots.get(name) ?? name;
  for (const step of steps) if (step.kind === "alias") roots.set(step.y, root(step.x));
  const floats = new Set<string>();
  const operands = new Set<string>();
  const last = new Map<string, number>();
  let done = 0;
  for (const { graph: part, steps: own } of stages) {
    for (const { name } of part?.inputs ?? []) {
      floats.add(root(name));
      last.set(root(name), done);
    }
    for (const step of own) {
      for (const name of readBy(step)) last.set(root(name), done);
      for (const name of readAsOperands(step)) operands.add(root(name));
      for (const name of readAsFloats(step)) floats.add(root(name));
      done++;
    }
  }
  const outputs = new Map(graph.outputs.map(({ name }) => [root(name), name]));
  for (const name of outputs.keys()) floats.add(name);
  const tables = steps.flatMap((step) => (step.kind === "rope" ? [step.cos, step.sin] : []));
  const masks = steps.flatMap((step) => (step.kind === "attention" ? step.chunks.map(({ mask }) => mask) : []));
  const ends: string[][] = steps.map(() => []);
  for (const [name, step] of last) if (!outputs.has(name)) ends[step]?.push(name);
  return { root, floats, operands, outputs, tables, masks, ends };
}

function readAsOperands(step: Step): string[] {
  if (step.kind === "attention") return [step.k, step.v];
  return step.kind === "linear" || step.kind === "gram" || step.kind === "squares" ? [step.x] : [];
}

function readAsFloats(step: Step): string[] {
  if (step.kind === "attention") return [step.q];
  if (step.kind === "linear") return othersOf(step.after);
  return step.kind === "alias" || readAsOperands(step).length > 0 ? [] : readBy(step);
}
