import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["src/**/*.test.ts", "test/**/*.test.ts"],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // Tests of the hub ask a server of their own; nothing else may ask any.
    env: { HF_HUB_OFFLINE: "1" },
    // onnxruntime uses every core by itself: more test processes than cores only get in each other's way.
    maxWorkers: 2,
  },
});
