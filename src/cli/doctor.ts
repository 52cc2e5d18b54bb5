import type { Command } from "commander";
import type { DoctorResult } from "../doctor.js";
import { bytes, count, table } from "./format.js";
import type { GlobalFlags } from "./options.js";
import type { Terminal } from "./terminal.js";

export function addDoctor(program: Command, terminal: Terminal): void {
  program
    .command("doctor")
    .description("say what this machine offers, and what is missing")
    .action(async (_flags: unknown, command: Command) => {
      const { json } = command.optsWithGlobals<GlobalFlags>();
      const { doctor } = await import("../doctor.js");
      const result = await doctor({ signal: terminal.signal });
      terminal.show(result, json, () => describeMachine(result));
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
  ];
  return table(facts, [0, 1]);
}

function describeEngine(engine: DoctorResult["engines"][number]): string {
  const name = engine.isDefault ? `${engine.name} (the default)` : engine.name;
  if (engine.problem !== null) return `${name}: does not run: ${engine.problem}`;
  const speed = engine.gigaflops.toPrecision(3);
  return `${name}: ${engine.version}, ${engine.precision}, ${speed} GFLOP/s in a matrix product`;
}
