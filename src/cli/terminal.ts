import type { OnProgress } from "../progress.js";
import { createProgress } from "./progress.js";

/** The process's streams and signals, as a command sees them: results to stdout, all else to stderr. */
export interface Terminal {
  /** Fires at the first Ctrl-C. */
  readonly signal: AbortSignal;
  readonly onProgress: OnProgress;
  /** What Ctrl-C leaves behind, in one line; a command that keeps something says so here. */
  stopped: string;
  /** Prints the result on stdout: one JSON document, or the text. */
  show(result: unknown, json: boolean | undefined, text: () => string): void;
  /** One line on stderr, below the progress. */
  say(line: string): void;
  /** Takes progress away and gives the signals back. */
  close(): void;
}

/** A second Ctrl-C ends the process at once. */
export function openTerminal(): Terminal {
  const controller = new AbortController();
  const progress = createProgress(process.stderr);
  const onInterrupt = () => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort();
  };
  process.on("SIGINT", onInterrupt);
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EPIPE") return; // a reader that has seen enough (`pare list | head -1`) is no failure
      process.exitCode = 1;
      if (stream === process.stdout) process.stderr.write(`error: the result cannot be written: ${error.message}\n`);
    });
  }
  return {
    signal: controller.signal,
    onProgress: progress.onProgress,
    stopped: "stopped; nothing was written. The same command starts again.",
    show(result, json, text) {
      progress.stop();
      process.stdout.write(json ? `${JSON.stringify(result, null, 2)}\n` : `${printable(text())}\n`);
    },
    say(line) {
      progress.stop();
      process.stderr.write(`${printable(line).replaceAll("\n", " ")}\n`);
    },
    close() {
      progress.stop();
      process.off("SIGINT", onInterrupt);
    },
  };
}

/** Names from a stranger's files must not move the cursor or change colours: control characters are written out. */
function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g, (c) => {
    return `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}
