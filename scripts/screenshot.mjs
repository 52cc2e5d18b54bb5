// Pictures of a study's report for the README: node scripts/screenshot.mjs REPORT.html FOLDER
// Needs Chromium in /usr/bin.
import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const [report, folder] = process.argv.slice(2);
if (!report || !folder) throw new Error("usage: node scripts/screenshot.mjs REPORT.html FOLDER");
const SIZES = { desktop: { width: 1280, height: 860 }, phone: { width: 390, height: 844 } };
await mkdir(folder, { recursive: true });
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
try {
  for (const [size, viewport] of Object.entries(SIZES)) {
    for (const colorScheme of ["light", "dark"]) {
      const page = await browser.newPage({ viewport, colorScheme, deviceScaleFactor: 2 });
      await page.goto(pathToFileURL(resolve(report)).href);
      await page.locator(".drawing svg").first().waitFor();
      const shot = (name) => join(folder, `${name}-${size}-${colorScheme}.png`);
      await page.screenshot({ path: shot("report") });
      await page
        .locator("#figures .figure")
        .first()
        .screenshot({ path: shot("divergence") });
      const tokens = page.locator(".tokens-and-detail");
      if ((await tokens.count()) > 0) await tokens.screenshot({ path: shot("tokens") });
      await page.close();
    }
  }
} finally {
  await browser.close();
}
