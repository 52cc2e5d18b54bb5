// Pictures of a study's report for the README: node scripts/screenshot.mjs REPORT.html FOLDER
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { withReport } from "./report-page.mjs";

const [report, folder] = process.argv.slice(2);
if (!report || !folder) throw new Error("usage: node scripts/screenshot.mjs REPORT.html FOLDER");
const SIZES = { desktop: { width: 1280, height: 860 }, phone: { width: 390, height: 844 } };
await mkdir(folder, { recursive: true });
for (const [size, viewport] of Object.entries(SIZES)) {
  for (const colorScheme of ["light", "dark"]) {
    await withReport(report, { viewport, colorScheme, deviceScaleFactor: 2 }, async (page) => {
      const shot = (name) => join(folder, `${name}-${size}-${colorScheme}.png`);
      await page.screenshot({ path: shot("report") });
      await page
        .locator("#figures .figure")
        .first()
        .screenshot({ path: shot("divergence") });
      const tokens = page.locator(".tokens-and-detail");
      if ((await tokens.count()) > 0) await tokens.screenshot({ path: shot("tokens") });
    });
  }
}
