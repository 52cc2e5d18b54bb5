import { join } from "node:path";
import type { Command } from "commander";
import type { GlobalFlags } from "./options.js";
import type { Terminal } from "./terminal.js";

interface ReportFlags extends GlobalFlags {
  readonly output?: string;
  readonly markdown?: boolean;
}

export function addReport(program: Command, terminal: Terminal): void {
  program
    .command("report")
    .description("write a study's report: one HTML file that needs no network")
    .argument("<folder>", "a study's folder")
    .option("-o, --output <file>", "the file to write; report.html in the folder where left out")
    .option("--markdown", "print a short report for a pull request, and write nothing")
    .action(async (directory: string, _flags: unknown, command: Command) => {
      const flags = command.optsWithGlobals<ReportFlags>();
      const { readReport } = await import("../report/read-report.js");
      const document = await readReport(directory);
      if (flags.markdown) {
        const { reportMarkdown } = await import("../report/markdown.js");
        const markdown = reportMarkdown(document.data);
        terminal.show({ markdown }, flags.json, () => markdown);
        return;
      }
      const { writeReport } = await import("../report/write.js");
      const { terminalReport } = await import("../report/terminal.js");
      const output = flags.output ?? join(directory, "report.html");
      await writeReport(document, output);
      terminal.show({ output }, flags.json, () => `${terminalReport(document.data)}\n\n${output}`);
    });
}
