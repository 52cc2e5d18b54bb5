import type { Command } from "commander";
import type { InspectResult, SiteInspection } from "../inspect.js";
import { table } from "../text/table.js";
import { bytes, count, percent, plural } from "./format.js";
import { type GlobalFlags, MODEL_HELP, revisionOption } from "./options.js";
import type { Terminal } from "./terminal.js";

interface InspectFlags extends GlobalFlags {
  readonly sites?: boolean;
  readonly revision?: string;
}

export function addInspect(program: Command, terminal: Terminal): void {
  program
    .command("inspect")
    .description("say what a model is, how many of its weights are zero, and in which pattern")
    .argument("<model>", MODEL_HELP)
    .addOption(revisionOption())
    .option("--sites", "a line for every compressible weight, not for every kind of them")
    .action(async (model: string, _flags: unknown, command: Command) => {
      const flags = command.optsWithGlobals<InspectFlags>();
      const { inspect } = await import("../inspect.js");
      const { signal, onProgress } = terminal;
      const revision = flags.revision === undefined ? {} : { revision: flags.revision };
      const result = await inspect(model, { ...revision, signal, onProgress });
      terminal.show(result, flags.json, () => describeModel(result, flags.sites ?? false));
    });
}

function describeModel(result: InspectResult, everySite: boolean): string {
  const dtypes = Object.entries(result.dtypes).map(([dtype, numbers]) => `${dtype} ${count(numbers)}`);
  const facts = [
    ["model", result.path],
    ...(result.hub ? [["from", `the hub: ${result.hub.name} at commit ${result.hub.commit}`]] : []),
    ["family", result.family ?? `cannot be computed: ${result.unsupported}`],
    ["layers", result.layers === null ? "-" : count(result.layers)],
    ["parameters", `${count(result.parameters)} (${dtypes.join(", ")})`],
    ["on disk", `${bytes(result.bytes)} in ${plural(result.shards.length, "file")}`],
  ];
  const origin = result.record && describeRecord(result.record);
  if (origin) facts.push(["made by", origin]);
  const parts = [table(facts, [0, 1])];
  if (result.sites.length > 0) parts.push(sitesTable(result, everySite));
  if (result.bitmaskBytes !== null) parts.push(sizeIfSparse(result.bytes, result.bitmaskBytes));
  return parts.join("\n\n");
}

function sitesTable({ sites, total }: InspectResult, everySite: boolean): string {
  const groups = new Map<string, SiteInspection[]>();
  for (const site of sites) {
    const key = everySite ? site.name : site.kind;
    groups.set(key, [...(groups.get(key) ?? []), site]);
  }
  const header = everySite ? ["weight"] : ["weights", "layers"];
  const rows = [[...header, "out x in", "size", "zeros", "n:m"]];
  for (const [name, members] of groups) {
    const size = members.reduce((sum, site) => sum + site.size, 0);
    const zeros = members.reduce((sum, site) => sum + site.zeros, 0);
    rows.push([
      ...(everySite ? [name] : [name, count(members.length)]),
      same(members.map((site) => `${site.out} x ${site.in}`)),
      count(size),
      percent(zeros / size),
      same(members.map((site) => site.pattern ?? "none")),
    ]);
  }
  const pattern = same(sites.map((site) => site.pattern ?? "none"));
  const blanks = header.slice(1).map(() => "");
  rows.push(["all", ...blanks, "", count(total.size), percent(total.zeros / total.size), pattern]);
  return table(rows);
}

function same(values: readonly string[]): string {
  return values.every((value) => value === values[0]) ? (values[0] ?? "") : "various";
}

function sizeIfSparse(dense: number, sparse: number): string {
  return (
    `Stored as compressed-tensors' bitmask (the other numbers than zero, and one bit a weight) the files would be ` +
    `${bytes(sparse)}, ${percent(sparse / dense, 1)} of what they are.\n` +
    "Zeros alone make neither the files smaller nor the model faster: that takes a runtime that makes use of them."
  );
}

/** How pare.json says the model was made. The file may come from anyone, so nothing in it is taken for granted. */
function describeRecord(record: Readonly<Record<string, unknown>>): string {
  const text = (value: unknown) => (typeof value === "string" || typeof value === "number" ? String(value) : undefined);
  const member = (key: string, inner: string) => {
    const value = record[key];
    return typeof value === "object" && value !== null ? text((value as Record<string, unknown>)[inner]) : undefined;
  };
  const calibration = member("calibration", "source");
  const base = member("base", "sha256");
  return [
    `pare ${member("environment", "pare") ?? "?"}: ${text(record["method"]) ?? "?"}`,
    `${text(record["pattern"]) ?? text(record["sparsity"]) ?? "?"}`,
    ...(calibration ? [`calibrated on ${calibration}`] : []),
    ...(base ? [`base ${base.slice(0, 12)}`] : []),
  ].join(", ");
}
