import type { Command } from "commander";
import type { DoctorResult } from "../doctor.js";
import { table } from "../text/table.js";
import { bytes, count } from "./format.js";
import { dataDirectoryOf, dataDirOption, type GlobalFlags } from "./options.js";
import type { Terminal } from "./terminal.js";

export function addDoctor(program: Command, terminal: Terminal): void {
  program
    .command("doctor")
    .description("say what this machine offers, and what is missing")
    .addOption(dataDirOption())
    .action(async (_flags: unknown, command: Command) => {
      const flags = command.optsWithGlobals<GlobalFlags & { readonly dataDir?: string }>();
      const { doctor } = await import("../doctor.js");
      const result = await doctor({ ...dataDirectoryOf(flags), signal: terminal.signal });
      terminal.show(result, flags.json, () => describeMachine(result));
      for (const problem of result.problems) terminal.say(`error: ${problem}`);
      if (!result.ok) process.exitCode = 1;
    });
}

function describeMachine(result: DoctorResult): string {
  const facts = [
    ["pare", result.pare],
    ["node", result.node],
    ["platform", result.platform],
    ["processor", `${result.processor}, ${count(result.cores)} cores`],
    ["memory", `${bytes(result.memory.total)}, ${bytes(result.memory.free)} of it free`],
    ...result.disks.map(({ path, free }) => ["disk", `${bytes(free)} free at ${path}`]),
    ...result.engines.map((engine) => ["engine", describeEngine(engine)]),
    ["devices", `${result.devices.join(", ")} (--device, of onnxruntime)`],
    ...(result.hub
      ? [
          ["hub", `${result.hub.endpoint}${result.hub.isOffline ? ", not asked: offline" : ""}`],
          ["hub's cache", result.hub.cache],
          ["hub's token", result.hub.hasToken ? "yes" : "no"],
        ]
      : []),
    ["data folder", result.dataDirectory ?? "none: name one by --data-dir or PARE_DATA"],
    ...result.data.map(({ name, calibration, evaluation }) => [
      `data: ${name}`,
      calibration === evaluation
        ? (calibration ?? "not there")
        : `calibration: ${calibration ?? "not there"}; evaluation: ${evaluation ?? "not there"}`,
    ]),
  ];
  return table(facts, [0, 1]);
}

function describeEngine(engine: DoctorResult["engines"][number]): string {
  const name = engine.isDefault ? `${engine.name} (the default)` : engine.name;
  if (engine.problem !== null) return `${name}: does not run in ${engine.precision}: ${engine.problem}`;
  const speed = engine.gigaflops.toPrecision(3);
  return `${name}: ${engine.version}, ${engine.precision}, ${speed} GFLOP/s in a matrix product`;
}
