import { join } from "node:path";
import { measureSpeed } from "../engine/speed.js";
import { isFile } from "../files.js";
import type { Method } from "../methods/method.js";
import type { Model } from "../model/model.js";
import { readStudy } from "../results/study-folder.js";
import type { CellLabel, CellResult } from "../results/study-results.js";
import { type AssembleContext, isAssembled } from "./assemble.js";
import type { Cell } from "./cells.js";
import { COMPRESSION } from "./measure.js";
import type { BaseModel } from "./prepare.js";
import { type OpenStudy, openStudy, type StudyOptions } from "./run.js";
import { createStore } from "./store.js";

/** Of Parquet, for a scored position; of JSON and Parquet, for an item; of JSON, for a cell. Measured on real studies. */
const POSITION_BYTES = 80;
const ITEM_BYTES = 8_000;
const CELL_BYTES = 200_000;
/** Blocks and the engine's overhead reach about this share of a large matrix product's speed. */
const EFFICIENCY = 0.5;

/** What a study would do: its cells, and about how long they take. */
export interface StudyPlan {
  readonly output: string;
  readonly cells: readonly PlannedCell[];
  /** Seconds of all cells that are to be done. */
  readonly seconds: number;
  /** Bytes that the results take, with what is there. */
  readonly bytes: number;
  /** Bytes that are needed besides while a cell is computed: its checkpoint, where that is not kept. */
  readonly workBytes: number;
  /** What seconds are estimated from. */
  readonly basis: EstimateBasis;
}

export type EstimateBasis =
  /** This folder's finished cells: how long they took for the operations that they need. */
  | { readonly kind: "cells"; readonly cells: number }
  /** A matrix product on this machine, just measured: right within a factor of some three. */
  | { readonly kind: "speed"; readonly gigaflops: number };

interface PlannedCell {
  readonly id: string;
  readonly label: CellLabel;
  readonly state: "done" | "begun" | "to do";
  /** Estimated; 0 where it is done. */
  readonly seconds: number;
  readonly bytes: number;
}

/** Lists the cells of this shard with what they will take. Writes nothing. Throws InputError. */
export async function planStudy(options: StudyOptions): Promise<StudyPlan> {
  const open = await openStudy(options);
  try {
    return await plan(open);
  } finally {
    await open.close();
  }
}

async function plan({ definition, output, engine, own, models }: OpenStudy): Promise<StudyPlan> {
  const { noiseFloor, perToken, keep } = definition;
  const store = createStore(join(output, "parts"));
  const context: AssembleContext = { directory: output, store, noiseFloor, perToken, createdAt: "" };
  const finished = (await isFile(join(output, "study.json"))) ? (await readStudy(output)).cells : [];
  const known = finished.flatMap((result) => {
    const cell = own.find(({ id }) => id === result.id);
    return cell ? [{ cell, result }] : [];
  });
  const speed = known.length > 0 ? undefined : await measureSpeed(engine);
  const cells: PlannedCell[] = [];
  for (const cell of own) {
    const isDone = await isAssembled(cell, context);
    const seconds = speed === undefined ? scaled(cell, known) : operations(cell) / (speed * 1e9 * EFFICIENCY);
    cells.push({
      id: cell.id,
      label: cell.label,
      state: isDone ? "done" : (await store.has(cell.id, COMPRESSION)) ? "begun" : "to do",
      seconds: isDone ? 0 : seconds,
      bytes: bytesOf(cell.base, perToken) + (keep === "all" ? cell.base.bytes : 0),
    });
  }
  return {
    output,
    cells,
    seconds: cells.reduce((sum, cell) => sum + cell.seconds, 0),
    bytes: cells.reduce((sum, cell) => sum + cell.bytes, 0),
    workBytes: keep === "all" ? 0 : Math.max(0, ...models.map(({ bytes }) => bytes)),
    basis: speed === undefined ? { kind: "cells", cells: known.length } : { kind: "speed", gigaflops: speed },
  };
}

interface KnownCell {
  readonly cell: Cell;
  readonly result: CellResult;
}

/** Seconds by those of finished cells, of the same model and method where there are some. */
function scaled(cell: Cell, known: readonly KnownCell[]): number {
  const sameModel = known.filter((other) => other.cell.base === cell.base);
  const sameMethod = sameModel.filter((other) => other.cell.method === cell.method);
  const alike = [sameMethod, sameModel, known].find((some) => some.length > 0)!;
  const seconds = sum(alike.flatMap(({ result }) => Object.values(result.seconds)));
  return (operations(cell) * seconds) / sum(alike.map((other) => operations(other.cell)));
}

/**
 * About how many floating-point operations a cell takes: two for each weight and token. The base goes through its blocks for
 * the first cell alone, and through its head for every one.
 */
function operations({ base, method, calibrationTokens }: Cell): number {
  const { model } = base;
  const blocks = weightsOfBlocks(model);
  const head = model.architecture.vocabularySize * model.architecture.hiddenSize;
  const whole = blocks + head;
  const textTokens = sum(base.texts.map(({ record }) => record.tokens));
  const text = 2 * (blocks + 2 * head) * textTokens;
  const taskTokens = sum(
    base.tasks.flatMap(({ prepared, options }) =>
      prepared.tasks.flatMap(({ task, encoded }) =>
        encoded.map(({ ids }) => {
          if (task.kind !== "generate") return ids.length;
          // An answer is written, and the reference and the base's answer are read after the prompt.
          return 2 * ids.length + 3 * (options.maxNewTokens ?? task.max_new_tokens);
        }),
      ),
    ),
  );
  const blockTokens = sum(base.blocks?.windows.map(({ length }) => length) ?? []);
  const alone =
    2 * blockTokens * (blocks * ((model.layers.length + 3) / 2) + (model.layers.length + 1) * (whole - blocks));
  return text + 2 * whole * taskTokens + alone + compressing(method, model, blocks, calibrationTokens);
}

function compressing(method: Method, model: Model, blocks: number, tokens: number): number {
  if (method.needs === "nothing") return blocks;
  const passes = 2 * 2 * blocks * tokens;
  if (method.needs === "squaredNorms") return passes;
  const grams = sum(
    model.layers.flatMap(({ sites }) => [
      ...new Map(sites.map((site) => [site.input, 2 * site.in ** 2 * tokens + 2 * site.in ** 3])).values(),
      ...sites.map((site) => 2 * site.out * site.in ** 2),
    ]),
  );
  return passes + grams;
}

function weightsOfBlocks({ layers }: Model): number {
  return sum(layers.flatMap(({ sites }) => sites.map((site) => site.out * site.in)));
}

function bytesOf({ texts, tasks }: BaseModel, perToken: boolean): number {
  const positions = perToken ? sum(texts.map(({ record }) => record.tokens - record.windows)) : 0;
  const items = sum(tasks.flatMap(({ prepared }) => prepared.tasks.map(({ loaded }) => loaded.items.length)));
  return CELL_BYTES + POSITION_BYTES * positions + ITEM_BYTES * items;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
