// Draws docs/quickstart.svg, the README's picture, from what the quickstart prints: `npm run quickstart | node scripts/picture.mjs`
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";

const LINE = 19;
const CHARACTER = 8.43; // of a 14 px monospace font
const lines = readFileSync(0, "utf8").trim().split("\n");
const width = Math.ceil(Math.max(...lines.map((line) => line.length)) * CHARACTER + 40);
const height = lines.length * LINE + 40;
// No-break spaces, since not every program keeps runs of ordinary ones.
const escaped = (text) =>
  text.replaceAll(" ", "\u00a0").replace(/[&<>]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[c]);
const rows = lines.map((line, i) => `<text x="20" y="${36 + i * LINE}">${escaped(line)}</text>`).join("\n");
const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">
<title>What pruning cost stories260K</title>
<style>
svg { color-scheme: light dark; }
rect { fill: #f6f8fa; stroke: #d0d7de; }
text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #1f2328; }
@media (prefers-color-scheme: dark) { rect { fill: #151b23; stroke: #3d444d; } text { fill: #f0f6fc; } }
</style>
<rect x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="8"/>
${rows}
</svg>
`;
mkdirSync("docs", { recursive: true });
writeFileSync("docs/quickstart.svg", svg);
