// Every figure of a study's report as SVG: node scripts/figures.mjs REPORT.html FOLDER
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { withReport } from "./report-page.mjs";

const [report, folder] = process.argv.slice(2);
if (!report || !folder) throw new Error("usage: node scripts/figures.mjs REPORT.html FOLDER");
await mkdir(folder, { recursive: true });
await withReport(report, {}, async (page) => {
  for (const button of await page.locator(".figure").getByRole("button", { name: "SVG", exact: true }).all()) {
    const [file] = await Promise.all([page.waitForEvent("download"), button.click()]);
    await file.saveAs(join(folder, file.suggestedFilename()));
  }
});
