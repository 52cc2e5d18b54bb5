/**
 * pare: compress a large language model, and see what it really cost. The command line's verbs as functions, typed,
 * abortable by an AbortSignal, with progress events.
 */
export type { CalibrationOptions, CalibrationRecord } from "./calibration/calibration.js";
export { type CompressOptions, type CompressResult, compress } from "./compress.js";
export { AbortError, InputError, RunError } from "./errors.js";
export { type EvaluateOptions, type EvaluateResult, evaluate } from "./evaluate.js";
export { type InspectResult, inspect } from "./inspect.js";
export type { Profile, StageProfile } from "./profile.js";
export type { OnProgress, ProgressEvent } from "./progress.js";
export type { StudyResults } from "./results/study-folder.js";
export { readStudy } from "./results/study-folder.js";
export { type EstimateBasis, planStudy, type StudyPlan } from "./study/estimate.js";
export type { StudyOverrides } from "./study/load.js";
export { type StudyOptions, type StudyResult, study } from "./study/run.js";
export { version } from "./version.js";
