import { fileURLToPath } from "node:url";

/** The model that comes with pare. */
export const carriedModel = fileURLToPath(new URL("../../assets/models/stories260K", import.meta.url));
