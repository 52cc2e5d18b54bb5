// The only way to onnxruntime.
import "./quiet.js";

export { env, InferenceSession, listSupportedBackends, Tensor } from "onnxruntime-node";
