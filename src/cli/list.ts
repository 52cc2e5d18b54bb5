import type { Command } from "commander";
import { InputError } from "../errors.js";
import type { TaskKind } from "../tasks/task.js";
import { nearest } from "../text/nearest.js";
import { table } from "../text/table.js";
import type { GlobalFlags } from "./options.js";
import type { Terminal } from "./terminal.js";

/** One line of a list: its name, what it is, and for programs whatever else is known of it. */
type Entry = {
  readonly name: string;
  readonly summary: string;
  /** Of a metric, the kind of tasks that it scores: kinds have metrics of the same name. */
  readonly task?: TaskKind | null;
} & Readonly<Record<string, unknown>>;

type TaskMetric = Readonly<Record<"name" | "summary" | "source" | "unit", string>>;

/** What can be listed; each reads its registry. */
const LISTS: Readonly<Record<string, () => Promise<readonly Entry[]>>> = {
  async methods() {
    const { methods } = await import("../methods/registry.js");
    return methods.map(({ name, summary, source, needs }) => ({ name, summary, source, needs }));
  },
  async metrics() {
    const [{ measures }, { textMetrics }, { choiceMetrics, lastWordMetrics }] = await Promise.all([
      import("../metrics/registry.js"),
      import("../metrics/text/registry.js"),
      import("../metrics/choice/registry.js"),
    ]);
    const ofTasks = (task: TaskKind, metrics: readonly TaskMetric[]) =>
      metrics.map(({ name, summary, source, unit }) => ({ name, task, summary, source, unit }));
    return [
      ...Object.entries(measures).map(([name, measure]) => ({ name, task: null, ...measure })),
      ...ofTasks("generate", textMetrics),
      ...ofTasks("choice", choiceMetrics),
      ...ofTasks("last-word", lastWordMetrics),
    ];
  },
  async tasks() {
    const { builtInTaskNames, loadTask } = await import("../tasks/load.js");
    const tasks = await Promise.all((await builtInTaskNames()).map((name) => loadTask(name)));
    return tasks.map(({ name, summary, version, kind, metrics, licence, source }) => ({
      name,
      summary: `${summary} (${kind}: ${metrics.join(", ")})`,
      version,
      kind,
      metrics,
      licence,
      source,
    }));
  },
  async data() {
    const { builtInSources } = await import("../data/registry.js");
    return builtInSources.map(({ name, summary, licence, origin, hub }) => ({
      name,
      summary: `${summary} (${licence}; ${hub ? `${hub.name} at ${hub.commit.slice(0, 7)}` : origin})`,
      licence,
      origin,
      hub: hub ?? null,
    }));
  },
  async families() {
    const { families } = await import("../model/families/registry.js");
    return families.map(({ name, modelTypes, models }) => ({
      name,
      summary: `${models} (model_type ${modelTypes.join(", ")})`,
      modelTypes,
    }));
  },
  async engines() {
    const { engines } = await import("../engine/registry.js");
    return engines.map(({ name, summary, precisions, devices }, index) => {
      const first =
        index === 0 ? " (auto: the first of these that has the precision and the device and runs here)" : "";
      return { name, summary: `${summary}${first}`, precisions, devices };
    });
  },
};

export function addList(program: Command, terminal: Terminal): void {
  const kinds = Object.keys(LISTS);
  program
    .command("list")
    .description("list what pare knows")
    .argument("[kind]", `${kinds.slice(0, -1).join(", ")} or ${kinds.at(-1)}; all where it is left out`)
    .action(async (kind: string | undefined, _flags: unknown, command: Command) => {
      const { json } = command.optsWithGlobals<GlobalFlags>();
      const result: Record<string, readonly Entry[]> = {};
      for (const name of kind === undefined ? kinds : [kind]) {
        const read = Object.hasOwn(LISTS, name) ? LISTS[name] : undefined;
        if (!read) {
          const close = nearest(name, kinds);
          const hint = close ? ` (did you mean ${close}?)` : "";
          throw new InputError(`list ${name}: there is no such list${hint}; there are: ${kinds.join(", ")}`);
        }
        result[name] = await read();
      }
      terminal.show(result, json, () => describeLists(result));
    });
}

function describeLists(lists: Readonly<Record<string, readonly Entry[]>>): string {
  const parts = Object.entries(lists).map(([kind, entries]) => {
    const rows = entries.map(({ name, task, summary }) => [`  ${name}${task ? ` (${task})` : ""}`, summary]);
    return `${kind}\n${table(rows, [0, 1])}`;
  });
  return parts.join("\n\n");
}
