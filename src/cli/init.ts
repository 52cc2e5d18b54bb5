import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { errorCode } from "../checkpoint/folder.js";
import { InputError } from "../errors.js";
import type { GlobalFlags } from "./options.js";
import type { Terminal } from "./terminal.js";

const DEFAULT_FILE = "study.yaml";

export function addInit(program: Command, terminal: Terminal): void {
  program
    .command("init")
    .description("write a study file with comments, to begin with")
    .argument("[file]", `where; ${DEFAULT_FILE} where left out`)
    .action(async (given: string | undefined, _flags: unknown, command: Command) => {
      const { json } = command.optsWithGlobals<GlobalFlags>();
      const file = given ?? DEFAULT_FILE;
      if (!/\.ya?ml$/.test(file)) throw new InputError(`${file}: name a file that ends in .yaml`);
      const { studyTemplate } = await import("../study/template.js");
      const schema = fileURLToPath(new URL("../study/study.schema.json", import.meta.url));
      try {
        await writeFile(file, studyTemplate(schema), { flag: "wx" });
      } catch (error) {
        if (errorCode(error) !== "EEXIST") throw error;
        throw new InputError(`${file}: is there already; name another file`);
      }
      terminal.show({ file }, json, () => `wrote ${file}\nwhat it would do: pare study ${file} --dry-run`);
    });
}
