import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";
import { viteSingleFile } from "vite-plugin-singlefile";

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** The page's script stands where it is read last, after the data. */
const template: Plugin = {
  name: "report-template",
  enforce: "post",
  generateBundle(_, bundle) {
    const page = bundle["index.html"];
    if (page) page.fileName = "template.html";
  },
};

/** The report's page as one file, dist/report/template.html, into which src/report/write.ts puts a study's data. */
export default defineConfig({
  root: path("src/report/page"),
  logLevel: "warn",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  plugins: [viteSingleFile({ removeViteModuleLoader: true }), template],
  build: { outDir: path("dist/report"), emptyOutDir: false, target: "es2022", reportCompressedSize: false },
});
