// onnxruntime's builds for Linux and macOS report what they run to their maker over the network, and keep what they could not send. Nobody
// asked for that here. Read when the library is opened, so that this comes before (ort.ts); a user's own setting stays.
process.env["ORT_DISABLE_TELEMETRY"] ??= "1";
