// A study's report in Chromium, which is in /usr/bin, for scripts that take pictures of it.
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

/** Opens a report, hands over its page when figures are drawn, and closes it. */
export async function withReport(report, options, use) {
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
  try {
    const page = await browser.newPage(options);
    await page.goto(pathToFileURL(resolve(report)).href);
    await page.locator(".drawing svg").first().waitFor();
    await use(page);
  } finally {
    await browser.close();
  }
}
