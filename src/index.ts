/**
 * pare: compress a large language model, and see what it really cost. The command line's verbs as functions, typed,
 * abortable by an AbortSignal, with progress events.
 */
export { type CalibrationOptions, type CalibrationRecord } from "./calibration/calibration.js";
export { compress, type CompressOptions, type CompressResult } from "./compress.js";
export { AbortError, InputError, RunError } from "./errors.js";
export { evaluate, type EvaluateOptions, type EvaluateResult } from "./evaluate.js";
export { inspect, type InspectResult } from "./inspect.js";
export type { OnProgress, ProgressEvent } from "./progress.js";
export { version } from "./version.js";
