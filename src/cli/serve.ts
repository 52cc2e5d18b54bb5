import type { Command } from "commander";
import { type GlobalFlags, wholeNumber } from "./options.js";
import type { Terminal } from "./terminal.js";

const DEFAULT_PORT = 7273;

interface ServeFlags extends GlobalFlags {
  readonly port: number;
}

export function addServe(program: Command, terminal: Terminal): void {
  program
    .command("serve")
    .description("show a study's report in the browser, live while the study runs; Ctrl-C ends it")
    .argument("<folder>", "a study's folder")
    .option("--port <n>", "on 127.0.0.1; 0: any that is free", wholeNumber(0), DEFAULT_PORT)
    .action(async (directory: string, _flags: unknown, command: Command) => {
      const { port, json } = command.optsWithGlobals<ServeFlags>();
      const { serveReport } = await import("../report/serve.js");
      const { readReport } = await import("../report/read-report.js");
      const { reportTemplate } = await import("../report/write.js");
      const template = await reportTemplate();
      const server = await serveReport({ directory, port, template, load: () => readReport(directory) });
      terminal.show({ url: server.url }, json, () => `${server.url}\n\nCtrl-C ends it.`);
      await new Promise<void>((resolve) => {
        if (terminal.signal.aborted) resolve();
        else terminal.signal.addEventListener("abort", () => resolve(), { once: true });
      });
      await server.close();
    });
}
