import type { SourceFile } from "../data/source.js";
import type { CellResult, StudyRecord } from "../results/study-results.js";
import type { ProvenanceGroup } from "./report-data.js";

type Fact = readonly [name: string, value: string];

/** What determines the figures: models, data and programs, with their hashes. `nameOf` is how a cell is called. */
export function provenance(
  record: StudyRecord,
  cells: readonly CellResult[],
  nameOf: (cell: string) => string,
): ProvenanceGroup[] {
  return [
    { title: "Computed with", facts: facts(record.environment) },
    ...record.models.map(({ name, ...model }) => ({ title: `Model ${name}`, facts: facts(model) })),
    ...onePerTitle(cells.flatMap(texts)),
    ...onePerTitle(cells.flatMap(calibrations)),
    ...onePerTitle(cells.flatMap(tasks)),
    {
      title: "Weights of the compressed models (SHA-256)",
      facts: cells.map((cell): Fact => [nameOf(cell.id), cell.compression.sha256]),
    },
  ].filter((group) => group.facts.length > 0);
}

function texts({ text }: CellResult): ProvenanceGroup[] {
  return Object.entries(text).map(([name, { data, noiseFloor }]) => ({
    title: `Text ${name}`,
    facts: [...facts(data), ...(noiseFloor ? facts({ noiseFloorRelativeNoise: noiseFloor.relativeNoise }) : [])],
  }));
}

function calibrations({ compression: { calibration } }: CellResult): ProvenanceGroup[] {
  if (!calibration) return [];
  const seed = calibration.sampling ? `, seed ${calibration.sampling.seed}` : "";
  return [{ title: `Calibration ${calibration.source}${seed}`, facts: facts(calibration) }];
}

function tasks({ taskRecords }: CellResult): ProvenanceGroup[] {
  return Object.entries(taskRecords).map(([name, record]) => ({ title: `Task ${name}`, facts: facts(record) }));
}

/** The same data, seen from several cells, is said once; where cells differ, each of them is said. */
function onePerTitle(groups: readonly ProvenanceGroup[]): ProvenanceGroup[] {
  return [...new Map(groups.map((group) => [JSON.stringify(group), group])).values()];
}

/** An object's fields in words; fields without a value are left out. */
function facts(record: object): Fact[] {
  return Object.entries(record).flatMap(([key, value]: [string, unknown]): Fact[] => {
    if (value === null || value === undefined) return [];
    if (key === "files" && Array.isArray(value)) {
      return (value as SourceFile[]).map(({ path, sha256 }) => [`file ${path}`, sha256]);
    }
    if (typeof value === "object") {
      const inner = facts(value).map(([name, text]) => `${name} ${text}`);
      return inner.length === 0 ? [] : [[words(key), inner.join(", ")]];
    }
    return [[words(key), typeof value === "number" ? value.toLocaleString("en-US") : String(value)]];
  });
}

/** `sequenceLength` as `sequence length`; `idsSha256` as `ids SHA-256`. */
function words(key: string): string {
  return key
    .replace(/sha256$/i, " SHA-256")
    .replace(/[a-z](?=[A-Z][a-z])/g, "$& ")
    .replace(/\b[A-Z](?=[a-z])/g, (letter) => letter.toLowerCase())
    .trim();
}
