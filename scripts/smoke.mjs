// Packs the package, installs the tarball in an empty folder as a user would, and runs what was installed.
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const root = fileURLToPath(new URL("..", import.meta.url));
const folder = await mkdtemp(join(tmpdir(), "pare-smoke-"));
try {
  const { stdout: packed } = await run("npm", ["pack", "--json", "--pack-destination", folder], { cwd: root });
  const [{ filename, size, entryCount }] = JSON.parse(packed);
  await writeFile(join(folder, "package.json"), JSON.stringify({ name: "smoke", private: true, type: "module" }));
  await run("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund", `./${filename}`], { cwd: folder });

  const model = join(folder, "node_modules/pare/assets/models/stories260K");
  const pare = (...args) => run(join(folder, "node_modules/.bin/pare"), args, { cwd: folder });
  const { stdout: version } = await pare("--version");
  await pare("compress", model, "--method", "magnitude", "--sparsity", "0.5", "-o", "pruned");
  const { stdout: json } = await pare(
    "evaluate",
    "pruned",
    "--base",
    model,
    "--data",
    "tinystories",
    "--windows",
    "2",
    "--json",
  );
  const { jsd } = JSON.parse(json);
  if (!(jsd.mean > 0)) throw new Error(`evaluate gave a JSD of ${jsd.mean}`);

  await writeFile(join(folder, "library.mjs"), 'import { version } from "pare"; console.log(version);');
  const { stdout: fromLibrary } = await run(process.execPath, ["library.mjs"], { cwd: folder });
  if (fromLibrary !== version) throw new Error(`the library is ${fromLibrary}, the command line ${version}`);
  console.log(
    `package smoke test: pare ${version.trim()}, ${entryCount} files, ${(size / 1e6).toFixed(1)} MB packed: works`,
  );
} finally {
  await rm(folder, { recursive: true, force: true });
}
