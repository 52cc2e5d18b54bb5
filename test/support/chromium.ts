import { existsSync } from "node:fs";

const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** The system's Chromium, or undefined. */
export const chromiumPath = PLACES.find((path) => existsSync(path));

/** Whether a missing Chromium is a failure rather than a reason to skip. */
export const isBrowserRequired = process.env["PARE_REQUIRE_BROWSER"] === "1";
