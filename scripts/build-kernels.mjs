// Compiles every AssemblyScript kernel, src/**/NAME.as.ts, to dist/**/NAME.wasm.
import { readdirSync } from "node:fs";
import asc from "assemblyscript/asc";

for (const name of readdirSync("src", { recursive: true }).filter((file) => file.endsWith(".as.ts"))) {
  const options = ["-O3", "--noAssert", "--runtime", "stub", "--enable", "simd"];
  const output = `dist/${name.replace(/\.as\.ts$/, ".wasm")}`;
  const { error, stderr } = await asc.main([`src/${name}`, "--outFile", output, ...options]);
  if (!error) continue;
  process.stderr.write(`${stderr}\n`);
  process.exit(1);
}
