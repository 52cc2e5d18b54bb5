import type { Command } from "commander";
import type { Item, Task } from "../tasks/task.js";
import { table } from "../text/table.js";
import { count, plural } from "./format.js";
import { dataDirectoryOf, dataDirOption, type GlobalFlags } from "./options.js";
import type { Terminal } from "./terminal.js";

interface ValidateFlags extends GlobalFlags {
  readonly dataDir?: string;
}

export function addValidate(program: Command, terminal: Terminal): void {
  program
    .command("validate")
    .description("check a task and its data; show the first item as a model would see it")
    .argument("<task>", "a name from pare list tasks, or a .yaml file")
    .addOption(dataDirOption())
    .action(async (name: string, _flags: unknown, command: Command) => {
      const flags = command.optsWithGlobals<ValidateFlags>();
      const { loadTask } = await import("../tasks/load.js");
      const { loadItems } = await import("../tasks/items.js");
      const { signal, onProgress } = terminal;
      const task = await loadTask(name, signal);
      const { items, files, fewShot } = await loadItems(task, {
        ...dataDirectoryOf(flags),
        signal,
        onProgress,
      });
      const result = {
        name: task.name,
        version: task.version,
        kind: task.kind,
        metrics: task.metrics,
        file: task.file,
        files,
        items: items.length,
        fewShot,
        first: items[0]!,
        // A word after a space is other tokens than the same word with its space.
        endsInSpace: items.filter(({ prompt }) => /\s$/.test(prompt)).length,
      };
      terminal.show(result, flags.json, () => describeTask(task, result));
    });
}

interface Validation {
  readonly files: readonly { readonly path: string }[];
  readonly items: number;
  readonly fewShot: number;
  readonly first: Item;
  readonly endsInSpace: number;
}

function describeTask(task: Task, { files, items, fewShot, first, endsInSpace }: Validation): string {
  const facts = [
    ["task", `${task.name}, version ${task.version}: ${task.summary}`],
    ["kind", `${task.kind}, scored by ${task.metrics.join(", ")}`],
    ["data", files.map(({ path }) => path).join(", ")],
    ["licence", task.licence],
    ["items", `${plural(items, "item")}, ${plural(fewShot, "example")} in front of each`],
  ];
  if (endsInSpace > 0)
    facts.push(["warning", `prompts that end in white space, which models do not expect: ${count(endsInSpace)}`]);
  const parts = [table(facts, [0, 1]), `First item (${first.id})`, `prompt:\n${indent(first.prompt)}`];
  if (first.chat !== first.prompt) parts.push(`user message, for a model with a chat template:\n${indent(first.chat)}`);
  if (first.kind === "generate") parts.push(`references:\n${first.references.map(indent).join("\n")}`);
  else {
    const choices = first.choices.map((choice, i) => `${i === first.gold ? "*" : " "} ${choice}`);
    const isPartial = new Set(first.contexts).size > 1;
    if (isPartial) parts.push(`contexts:\n${first.contexts.map(indent).join("\n")}`);
    parts.push(`choices (* is right):\n${choices.map(indent).join("\n")}`);
  }
  return parts.join("\n\n");
}

function indent(text: string): string {
  return text.replace(/^/gm, "  ");
}
