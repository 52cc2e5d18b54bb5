/** The files of a checkpoint's folder, as transformers names them. */
export const CONFIG_FILE = "config.json";
/** Weights in one file, or the index of those in several. */
export const SINGLE_FILE = "model.safetensors";
export const INDEX_FILE = "model.safetensors.index.json";
/** How pare made it, where it did. */
export const RECORD_FILE = "pare.json";
