import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, rename, rm, utimes, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { InputError } from "../errors.js";
import type { ReportData, ReportDocument } from "./report-data.js";
import { type ReportServer, serveReport } from "./serve.js";

const TEMPLATE = `<!doctype html><html><head><!-- report:policy --><style>p{}</style></head>
<body><script type="module">1;</script><!-- report:data --></body></html>`;

const emptyData: ReportData = {
  study: { name: "made-up", createdAt: "2026-01-01T00:00:00.000Z", pare: "0.0.0", models: [] },
  measures: [],
  cells: [],
  missing: ["first", "second"],
  failed: [],
  curves: [],
  agreement: [],
  blocks: [],
  calibration: [],
  budget: null,
  findings: [],
  tasks: {},
  provenance: [],
  definition: "",
};

let directory: string;
let server: ReportServer;
let document: ReportDocument;
let loads: number;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "pare-serve-"));
  await writeFile(join(directory, "study.json"), "{}");
  await writeFile(join(directory, "secret.txt"), "secret");
  document = { data: emptyData, chunks: {} };
  loads = 0;
  server = await serveReport({
    directory,
    port: 0,
    template: TEMPLATE,
    pollMilliseconds: 20,
    load: async () => {
      loads++;
      return document;
    },
  });
});

afterEach(async () => {
  await server.close();
  await rm(directory, { recursive: true, force: true });
});

/** A request as it is typed, since fetch would tidy up path and host. Returns the whole answer. */
function raw(lines: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(server.url).port), "127.0.0.1");
    let text = "";
    socket.on("data", (data) => {
      text += data.toString();
    });
    socket.on("end", () => resolve(text));
    socket.on("error", reject);
    socket.write([...lines, "Connection: close", "", ""].join("\r\n"));
  });
}

const get = (path: string, host = new URL(server.url).host, method = "GET") =>
  raw([`${method} ${path} HTTP/1.1`, `Host: ${host}`]);
const statusOf = (answer: string) => Number(answer.split(" ")[1]);

describe("a served report", () => {
  it("is the page, its script allowed by hash alone, with data and the addresses of news", async () => {
    const answer = await fetch(server.url);
    expect(answer.status).toBe(200);
    expect(answer.headers.get("content-type")).toMatch(/^text\/html/);
    const policy = answer.headers.get("content-security-policy")!;
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("connect-src 'self'");
    expect(policy).toContain("frame-ancestors 'none'");
    // printf '1;' | openssl dgst -sha256 -binary | base64
    expect(policy).toContain("script-src 'sha256-CImjRDTlhukYQ2AnxOi0wzgPhGQ3Mb3rVwJK24dFz1M='");
    expect(policy).not.toMatch(/unsafe|\*|https?:/);
    expect(answer.headers.get("x-content-type-options")).toBe("nosniff");
    expect(answer.headers.get("cross-origin-resource-policy")).toBe("same-origin");
    expect(answer.headers.get("access-control-allow-origin")).toBeNull();
    const page = await answer.text();
    expect(page).toContain('"document":"/data.json"');
    expect(page).toContain('"missing":["first","second"]');
  });

  it("gives the same data as JSON", async () => {
    const answer = await fetch(`${server.url}data.json`);
    expect(answer.headers.get("content-type")).toMatch(/^application\/json/);
    expect(await answer.json()).toEqual(document);
  });

  it("answers to 127.0.0.1 and localhost with its port, and to no other name", async () => {
    const { port } = new URL(server.url);
    expect(statusOf(await get("/", `127.0.0.1:${port}`))).toBe(200);
    expect(statusOf(await get("/", `localhost:${port}`))).toBe(200);
    for (const host of [
      "evil.example",
      `evil.example:${port}`,
      "127.0.0.1",
      "localhost:1",
      `localhost.evil.example:${port}`,
    ]) {
      const answer = await get("/data.json", host);
      expect(statusOf(answer)).toBe(403);
      expect(answer).not.toContain("made-up");
    }
    expect(statusOf(await raw(["GET / HTTP/1.0"]))).toBeGreaterThanOrEqual(400);
  });

  it("has no path but its own, however it is written", async () => {
    const paths = [
      "/../",
      "/../secret.txt",
      "/secret.txt",
      "/study.json",
      "/cells/../data.json",
      "/%2e%2e/secret.txt",
      "/..%2fsecret.txt",
      "//data.json",
      "/data.json/",
      "/data.json%00",
      `http://127.0.0.1/../secret.txt`,
    ];
    for (const path of paths) {
      const answer = await get(path);
      expect([path, statusOf(answer)]).toEqual([path, 404]);
      expect(answer).not.toMatch(/secret|made-up/);
    }
  });

  it("can only be read", async () => {
    for (const method of ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"]) {
      const answer = await fetch(server.url, { method });
      expect([method, answer.status, answer.headers.get("allow")]).toEqual([method, 405, "GET, HEAD"]);
    }
    for (const path of ["", "data.json", "events"]) {
      const answer = await fetch(`${server.url}${path}`, { method: "HEAD" });
      expect([path, answer.status, await answer.text()]).toEqual([path, 200, ""]);
    }
  });

  it("tells every listener of new cells, and reads the folder once for all", async () => {
    const aborter = new AbortController();
    const listeners = await Promise.all([1, 2, 3].map(() => listen(`${server.url}events`, aborter.signal)));
    for (const next of listeners) {
      expect(await next()).toEqual({
        event: "progress",
        data: { text: "0 of 2 cells finished", done: 0, total: 2 },
      });
    }
    const before = loads;
    document = { data: { ...emptyData, missing: ["second"], cells: [{ id: "first" }] as never }, chunks: {} };
    await mkdir(join(directory, "cells"));
    await writeFile(join(directory, "cells", "first.json"), "{}");
    for (const next of listeners) {
      expect(await next()).toEqual({
        event: "progress",
        data: { text: "1 of 2 cells finished", done: 1, total: 2 },
      });
      expect(await next()).toEqual({ event: "changed", data: {} });
    }
    expect(loads - before).toBe(1);
    expect(await (await fetch(`${server.url}data.json`)).json()).toMatchObject({ data: { missing: ["second"] } });
    expect(loads - before).toBe(1);
    aborter.abort();
  });

  it("tells of cells in work and of failures, and takes a dead process's lock, and an old one, for left behind", async () => {
    const aborter = new AbortController();
    const next = await listen(`${server.url}events`, aborter.signal);
    expect(await next()).toMatchObject({ data: { text: "0 of 2 cells finished" } });
    const [own, left, dead, base] = [
      "0123456789abcdef.lock",
      "fedcba9876543210.lock",
      "00ff00ff00ff00ff.lock",
      "base-0123.lock",
    ];
    const owner = { pid: process.pid, host: hostname(), id: "lock" };
    const owners = {
      [own]: owner,
      [left]: { ...owner, host: "elsewhere" },
      [dead]: { ...owner, pid: spawnSync(process.execPath, ["-e", ""]).pid },
      [base]: owner,
    };
    const locks = join(directory, "locks");
    await mkdir(join(directory, "new-locks"));
    for (const [name, lock] of Object.entries(owners)) {
      await writeFile(join(directory, "new-locks", name), JSON.stringify(lock));
    }
    const before = new Date(Date.now() - 3_600_000);
    await utimes(join(directory, "new-locks", left), before, before);
    await rename(join(directory, "new-locks"), locks);
    expect(await next()).toMatchObject({ event: "progress", data: { text: "0 of 2 cells finished, 1 in work" } });
    await mkdir(join(directory, "new-cells"));
    await writeFile(join(directory, "new-cells", "0123456789abcdef.failed.json"), "{}");
    await rename(join(directory, "new-cells"), join(directory, "cells"));
    expect(await next()).toMatchObject({ data: { text: "0 of 2 cells finished, 1 in work, 1 failed", done: 0 } });
    expect(await next()).toMatchObject({ event: "changed" });
    aborter.abort();
  });
});

it("a study that cannot be read is an error at the beginning, and of that request alone later on", async () => {
  const failing = async (): Promise<ReportDocument> => {
    throw new InputError("study.json: broken");
  };
  const options = { directory, port: 0, template: TEMPLATE };
  await expect(serveReport({ ...options, load: failing })).rejects.toThrow("study.json: broken");
  let isBroken = false;
  const other = await serveReport({ ...options, load: () => (isBroken ? failing() : Promise.resolve(document)) });
  try {
    isBroken = true;
    await writeFile(join(directory, "study.json"), "broken");
    const answer = await fetch(`${other.url}data.json`);
    expect([answer.status, await answer.text()]).toEqual([500, "study.json: broken"]);
    expect(answer.headers.get("content-security-policy")).toContain("default-src 'none'");
    isBroken = false;
    expect((await fetch(other.url)).status).toBe(200);
  } finally {
    await other.close();
  }
});

it("a port that is taken, or none, is the user's to change", async () => {
  const none = serveReport({ directory, port: 70_000, template: TEMPLATE, load: async () => document });
  await expect(none).rejects.toThrow("--port 70000: give a number from 0 to 65535");
  const port = Number(new URL(server.url).port);
  const again = serveReport({ directory, port, template: TEMPLATE, load: async () => document });
  await expect(again).rejects.toThrow(`--port ${port}: another program listens there`);
});

/** Reads server-sent events one by one. */
async function listen(url: string, signal: AbortSignal) {
  const answer = await fetch(url, { signal });
  expect(answer.headers.get("content-type")).toMatch(/^text\/event-stream/);
  const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  return async () => {
    while (!text.includes("\n\n")) {
      const { value, done } = await reader.read();
      if (done) throw new Error("the stream ended");
      text += value;
    }
    const [event, ...rest] = text.split("\n\n");
    text = rest.join("\n\n");
    const field = (name: string) => event!.match(new RegExp(`^${name}: (.*)$`, "m"))![1]!;
    return { event: field("event"), data: JSON.parse(field("data")) as unknown };
  };
}
