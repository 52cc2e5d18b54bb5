import { calibrationWindows } from "../calibration/calibration.js";
import type { CompressOptions } from "../compress.js";
import { type Engine, howComputed } from "../engine/engine.js";
import { InputError } from "../errors.js";
import type { Method, Target } from "../methods/method.js";
import { findMethod, parseMethodOptions } from "../methods/registry.js";
import { checkTarget, parseTarget, targetName } from "../methods/target.js";
import type { Model } from "../model/model.js";
import { type Selection, selectSites } from "../model/select-sites.js";
import { targetRecord } from "../results/compression-record.js";
import { journalKey } from "../results/journal.js";
import { calibratedOn } from "../results/read-record.js";
import type { CellLabel } from "../results/study-results.js";
import type { CalibrationSource, StudyDefinition } from "./definition.js";
import type { BaseModel, PrepareOptions } from "./prepare.js";

/** More cells than anybody waits for. */
const MAX_CELLS = 10_000;
/** Hexadecimal digits of a cell's name. */
const ID_LENGTH = 16;

/** One compressed model of the grid. */
export interface Cell {
  /** SHA-256, shortened, of what determines the compressed weights. */
  readonly id: string;
  readonly label: CellLabel;
  readonly base: BaseModel;
  readonly method: Method;
  readonly compression: Omit<CompressOptions, "output" | "signal" | "onProgress">;
  /** Tokens that it is calibrated on. */
  readonly calibrationTokens: number;
}

interface CalibrationChoice {
  readonly source: CalibrationSource | null;
  readonly seed: number | null;
}

/**
 * The grid's cells, in the order in which they are computed: models, targets, methods, calibration sources, seeds. What
 * comes to the same weights is one cell. Throws InputError.
 */
export async function listCells(
  definition: StudyDefinition,
  models: readonly BaseModel[],
  engine: Engine,
  { dataDirectory, signal, onProgress }: PrepareOptions,
): Promise<Cell[]> {
  const targets = [
    ...definition.sparsities.map((sparsity) => parseTarget({ sparsity })),
    ...definition.patterns.map((pattern) => parseTarget({ pattern })),
  ];
  const methods = definition.methods.map(({ name, options }) => {
    const method = findMethod(name);
    return { method, options, parsed: parseMethodOptions(method, options) };
  });
  const calibrated = methods.find(({ method }) => method.needs !== "nothing");
  if (calibrated && definition.calibration.length === 0) {
    throw new InputError(`calibration: is missing, and ${calibrated.method.name} needs it: name a source, such as c4`);
  }
  const cells = new Map<string, Cell>();
  const shared = new Set<string>();
  for (const base of models) {
    const selected = namingKeys(() => checkedSites(base.model, definition, targets));
    const samples = new Map<string, { idsSha256: string; tokens: number }>();
    const windowsOf = async (choice: CalibrationChoice) => {
      if (choice.source === null) return undefined;
      const key = JSON.stringify(choice);
      const known = samples.get(key);
      if (known) return known;
      const options = { ...calibrationOptions(choice, dataDirectory), onProgress };
      const { record } = await calibrationWindows(base.model, options, signal);
      samples.set(key, record);
      for (const { record: measured } of base.texts) {
        const file = calibratedOn({ calibration: record }, measured);
        if (file !== undefined) shared.add(file);
      }
      return record;
    };
    for (const target of targets) {
      for (const { method, options, parsed } of methods) {
        for (const choice of choicesOf(method, definition)) {
          const calibration = await windowsOf(choice);
          const id = journalKey(
            base.sha256,
            method.name,
            method.version,
            parsed,
            targetRecord(target),
            [...selected].sort(),
            calibration?.idsSha256 ?? null,
            howComputed(engine),
          ).slice(0, ID_LENGTH);
          if (cells.has(id)) continue;
          if (cells.size === MAX_CELLS) throw new InputError(`the study has more than ${MAX_CELLS} cells; divide it`);
          cells.set(id, {
            id,
            label: labelOf(base, method, options, target, choice),
            base,
            method,
            compression: {
              model: base.model.checkpoint.path,
              method: method.name,
              methodOptions: options,
              ...(target.kind === "n:m" ? { pattern: targetName(target) } : { sparsity: target.sparsity }),
              only: definition.only,
              skip: definition.skip,
              engine: engine.name,
              precision: engine.precision,
              device: engine.device,
              ...(definition.threads === null ? {} : { threads: definition.threads }),
              ...calibrationOptions(choice, dataDirectory),
            },
            calibrationTokens: calibration?.tokens ?? 0,
          });
        }
      }
    }
  }
  for (const file of shared) {
    onProgress?.({
      kind: "warning",
      message: `${file}: models are calibrated and measured on it: name other text for one of the two`,
    });
  }
  return [...cells.values()];
}

/** The sites to compress, which all targets fit. */
function checkedSites(model: Model, selection: Selection, targets: readonly Target[]): Set<string> {
  const selected = selectSites(model, selection);
  for (const site of model.layers.flatMap((layer) => layer.sites)) {
    if (selected.has(site.name)) for (const target of targets) checkTarget(target, site.in, site.name);
  }
  return selected;
}

/** What compress would say of its options, a study says of its file's keys. */
function namingKeys<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw new InputError(error.message.replace(/--(only|skip)\b/g, "$1"), { cause: error });
  }
}

function choicesOf(method: Method, { calibration, seeds }: StudyDefinition): CalibrationChoice[] {
  if (method.needs === "nothing") return [{ source: null, seed: null }];
  return calibration.flatMap((source) => seeds.map((seed) => ({ source, seed })));
}

function calibrationOptions({ source, seed }: CalibrationChoice, dataDirectory: string | undefined) {
  if (source === null) return {};
  return {
    calibration: source.source,
    sampling: source.sampling,
    ...(seed === null ? {} : { seed }),
    ...(source.samples === null ? {} : { samples: source.samples }),
    ...(source.sequenceLength === null ? {} : { sequenceLength: source.sequenceLength }),
    ...(dataDirectory === undefined ? {} : { dataDirectory }),
  };
}

function labelOf(
  base: BaseModel,
  method: Method,
  methodOptions: Readonly<Record<string, unknown>>,
  target: Target,
  { source, seed }: CalibrationChoice,
): CellLabel {
  return {
    model: base.name,
    method: method.name,
    methodOptions,
    ...targetRecord(target),
    calibration: source?.name ?? null,
    seed,
  };
}

/** A cell's name for people, which also does in a file's name: `stories260K-wanda-0.5-tinystories-seed0`. */
export function cellName({ model, method, methodOptions, sparsity, pattern, calibration, seed }: CellLabel): string {
  const options = Object.entries(methodOptions).map(([key, value]) => `${key}=${value}`);
  const parts = [model, method, ...options, pattern?.replace(":", "of") ?? String(sparsity), calibration];
  return [...parts.filter((part) => part !== null), ...(seed === null ? [] : [`seed${seed}`])]
    .join("-")
    .replace(/[^\w.+=-]/g, "-");
}
