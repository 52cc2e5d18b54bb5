import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { AbortError, InputError, RunError } from "../../src/errors.js";
import { resolveDataFile } from "../../src/hub/data-file.js";
import { resolveModel } from "../../src/hub/model.js";
import type { HubSettings } from "../../src/hub/settings.js";
import type { ProgressEvent } from "../../src/progress.js";
import { type HubServer, sha256, startHub, TOKEN } from "../support/hub-server.js";

const COMMIT = "c".repeat(40);
const ADDRESS = `hf://datasets/pare/texts@${COMMIT}/en/big.txt`;
const SIZE = 400_000;

/** Bytes that look random and are the same every time. */
const big = Buffer.concat(Array.from({ length: SIZE / 32 }, (_, i) => createHash("sha256").update(String(i)).digest()));

let hub: HubServer;
let root: string;
let cache: string;
let count = 0;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "pare-hub-trouble-"));
  hub = await startHub({});
});
afterAll(async () => {
  await hub.close();
  await rm(root, { recursive: true, force: true });
});
beforeEach(() => {
  cache = join(root, `cache-${++count}`);
  hub.forget();
  serve({});
});

/** The big file, with what the hub says of it or keeps it in. */
function serve(changes: Partial<HubServer["repositories"][string]["commits"][string][string]>): void {
  const files = { "en/big.txt": { content: big, storage: "lfs" as const, ...changes } };
  hub.repositories["datasets/pare/texts"] = { refs: { main: COMMIT }, commits: { [COMMIT]: files } };
}

const settings = (changes: Partial<HubSettings> = {}): HubSettings => ({
  endpoint: hub.url,
  cache,
  isOffline: false,
  token: undefined,
  timeoutSeconds: 5,
  firstRetrySeconds: 0.005,
  ...changes,
});
const fetchBig = (changes: Partial<HubSettings> = {}) => resolveDataFile(ADDRESS, { settings: settings(changes) });
const expectWhole = async (path: string) => expect(sha256(await readFile(path))).toBe(sha256(big));
const blobs = () => readdir(join(cache, "datasets--pare--texts", "blobs")).catch(() => []);
const sent = () => hub.contentRequests().reduce((sum, request) => sum + request.sent, 0);
const partPath = () => join(cache, "datasets--pare--texts", "blobs", `${sha256(big)}.pare.incomplete`);

describe("a connection", () => {
  it("that is cut again and again is gone on with where it was cut", async () => {
    hub.faults.cutAfter = 60_000;
    await expectWhole((await fetchBig()).path);
    const ranges = hub.contentRequests().map(({ headers }) => headers.range);
    expect(ranges.length).toBeGreaterThan(5);
    expect(ranges[0]).toBeUndefined();
    const starts = ranges.slice(1).map((range) => Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1]));
    expect(starts).toEqual([...starts].sort((a, b) => a - b));
    // What was sent and had not arrived when the connection broke comes again, and nothing else does.
    expect(sent()).toBeLessThan(SIZE + 65_536 * ranges.length);
  });

  it("that is cut before anything new came is given up, and what came is kept", async () => {
    hub.faults.cutAfter = 0;
    await expect(fetchBig()).rejects.toThrow(/^hf:\/\/datasets\/pare\/texts@c+: en\/big\.txt: .*try again later/);
    expect(hub.contentRequests()).toHaveLength(5);
    hub.faults.cutAfter = undefined;
    await expectWhole((await fetchBig()).path);
  });

  it("on which nothing comes is given up in time", async () => {
    hub.faults.intercept = ({ server, headers }, response) => {
      if (server !== "storage" || headers.range !== undefined) return false;
      response.writeHead(200, { "content-length": SIZE });
      response.write(big.subarray(0, 1000));
      return true; // and nothing more
    };
    await expectWhole((await fetchBig({ timeoutSeconds: 0.3 })).path);
    expect(hub.contentRequests().map(({ headers }) => headers.range)).toEqual([undefined, "bytes=1000-"]);
    hub.faults.intercept = () => true; // not even a header
    cache = join(root, "silent");
    await expect(fetchBig({ timeoutSeconds: 0.05 })).rejects.toThrow(/does not answer; try again later/);
  });

  it("on which little comes, but steadily, is let go on", async () => {
    serve({ content: big.subarray(0, 300) });
    hub.faults.trickle = { bytes: 20, milliseconds: 30 };
    const { path } = await fetchBig({ timeoutSeconds: 0.3 });
    expect(Buffer.compare(await readFile(path), big.subarray(0, 300))).toBe(0);
  });

  it("ends at once where the work is stopped; the same command goes on", async () => {
    hub.faults.trickle = { bytes: 10_000, milliseconds: 20 };
    const controller = new AbortController();
    const onProgress = (event: ProgressEvent) => {
      if (event.kind === "step" && event.done > 50_000) controller.abort();
    };
    const { signal } = controller;
    await expect(resolveDataFile(ADDRESS, { settings: settings(), signal, onProgress })).rejects.toThrow(AbortError);
    hub.faults.trickle = undefined;
    const before = sent();
    await expectWhole((await fetchBig()).path);
    expect(sent() - before).toBeLessThan(SIZE);
  });
});

describe("a server", () => {
  it("that sends all of it again when asked for the rest", async () => {
    hub.faults.ignoresRange = true;
    hub.faults.intercept = ({ server }) => {
      if (server === "storage") hub.faults.cutAfter = hub.contentRequests().length > 2 ? undefined : 100_000;
      return false;
    };
    await expectWhole((await fetchBig()).path);
  });

  it.each([
    ["416", 416, {}],
    ["206 of another place", 206, { "content-range": `bytes 0-9/${SIZE}` }],
    ["204", 204, {}],
  ])("that answers %s to a request for the rest: begins again", async (_, status, headers) => {
    await mkdir(join(partPath(), ".."), { recursive: true });
    await writeFile(partPath(), big.subarray(0, 5000));
    hub.faults.intercept = ({ server, headers: { range } }, response) => {
      if (server !== "storage" || range === undefined) return false;
      response.writeHead(status, headers).end();
      return true;
    };
    await expectWhole((await fetchBig()).path);
  });

  it("that sends something else: it is deleted and named", async () => {
    serve({ claimed: { hash: "d".repeat(64) } });
    await expect(fetchBig()).rejects.toThrow(
      /^hf:\/\/datasets\/pare\/texts@c+: en\/big\.txt: what came is not what the hub says it is \(its hash is not d+\)/,
    );
    expect(await blobs()).toEqual([]);
    serve({ storage: "git", claimed: { hash: "e".repeat(40) } });
    await expect(fetchBig()).rejects.toThrow("its hash is not eeee");
    expect(await blobs()).toEqual([]);
  });

  it("that sends more, or less, than it said: likewise", async () => {
    serve({ claimed: { size: SIZE - 1 } });
    await expect(fetchBig()).rejects.toThrow(`more came than the ${SIZE - 1} bytes`);
    expect(await blobs()).toEqual([]);
    serve({ claimed: { size: SIZE + 1 } });
    await expect(fetchBig()).rejects.toThrow(RunError);
    expect((await blobs()).filter((name) => !name.endsWith(".incomplete"))).toEqual([]);
  });

  it.each([
    ["of anything else", Buffer.alloc(5000, 7)],
    ["that is too long", Buffer.concat([big, big])],
    ["of the right length", Buffer.alloc(SIZE, 7)],
  ])("is asked from the beginning where a part is left %s", async (_, left) => {
    await mkdir(join(partPath(), ".."), { recursive: true });
    await writeFile(partPath(), left);
    await expectWhole((await fetchBig()).path);
    expect(await blobs()).toEqual([sha256(big)]);
  });

  it.each([429, 500, 502, 503, 504])("that answers %i is asked again, when it says", async (status) => {
    const times: number[] = [];
    hub.faults.intercept = (_, response) => {
      times.push(performance.now());
      if (times.length > 2) return false;
      response.writeHead(status, times.length === 1 ? { "retry-after": "1" } : {}).end();
      return true;
    };
    const events: ProgressEvent[] = [];
    const options = { settings: settings(), onProgress: (event: ProgressEvent) => events.push(event) };
    await expectWhole((await resolveDataFile(ADDRESS, options)).path);
    expect(times[1]! - times[0]!).toBeGreaterThan(950);
    expect(events[0]).toMatchObject({
      kind: "warning",
      message: expect.stringMatching(/answers \d+, .*; next try in 1 s/),
    });
  });

  it("that goes on like that is given up, and how long to wait is said", async () => {
    hub.faults.intercept = (_, response) => {
      response.writeHead(503).end("<html>");
      return true;
    };
    await expect(fetchBig()).rejects.toThrow(
      /127\.0\.0\.1:\d+ answers 503, trouble on its side; try again later: what/,
    );
    expect(hub.requests).toHaveLength(5);
    hub.faults.intercept = (_, response) => {
      response.writeHead(429, { "retry-after": "3000" }).end();
      return true;
    };
    await expect(fetchBig()).rejects.toThrow(
      "answers 429, too many requests; try again later, in 3000 seconds or more",
    );
    expect(hub.requests).toHaveLength(6);
  });

  it.each([
    { "retry-after": new Date(Date.now() + 2e6).toUTCString() },
    { ratelimit: '"api";r=0;t=1999', "ratelimit-policy": '"fixed window";"api";q=500;w=300' },
  ])("that says when by %o", async (headers) => {
    hub.faults.intercept = (_, response) => {
      response.writeHead(429, headers).end();
      return true;
    };
    await expect(fetchBig()).rejects.toThrow(/in (19\d\d|2000) seconds or more/);
    expect(hub.requests).toHaveLength(1);
  });

  it.each([
    ["no JSON", (end: (text: string) => void) => end("<html>Sign in to the hotel's network</html>"), "is no JSON"],
    ["another's JSON", (end: (text: string) => void) => end('{"sha": "../../x"}'), "is not that of a hub"],
    [
      "a list of something",
      (end: (text: string) => void) => end('[{"type": "file", "path": 5, "size": -1}]'),
      "is not that of a hub",
    ],
    [
      "an endless answer",
      (end: (text: string) => void) => end(" ".repeat(20 * 1024 ** 2)),
      "has more than 16777216 bytes",
    ],
  ])("that answers with %s is no hub", async (_, answer, message) => {
    hub.faults.intercept = (_, response) => {
      answer((text) => response.end(text));
      return true;
    };
    await expect(fetchBig()).rejects.toThrow(message);
  });

  it("that redirects for ever, or nowhere", async () => {
    hub.faults.intercept = ({ url }, response) => {
      response.writeHead(302, { location: url }).end();
      return true;
    };
    await expect(fetchBig()).rejects.toThrow("redirects again and again");
    for (const location of ["file:///etc/passwd", "http://[", "ftp://localhost/"]) {
      hub.faults.intercept = (_, response) => {
        response.writeHead(302, { location }).end();
        return true;
      };
      await expect(fetchBig()).rejects.toThrow("redirects to an address that is not encrypted or none at all");
    }
  });

  it("whose list of files does not end", async () => {
    hub.faults.intercept = ({ url }, response) => {
      response.writeHead(200, { link: `<${url}?cursor=1>; rel="next"` }).end("[]");
      return true;
    };
    await expect(fetchBig()).rejects.toThrow("its list of files does not end");
  });
});

describe("the token", () => {
  it.each(["lfs", "xet", "git"] as const)(
    "goes to the hub alone, and not where it redirects to: %s",
    async (storage) => {
      serve({ storage });
      await expectWhole((await fetchBig({ token: TOKEN })).path);
      const seen = (server: string) => hub.requests.filter((request) => request.server === server);
      expect(seen("hub").map(({ headers }) => headers.authorization)).toEqual(seen("hub").map(() => `Bearer ${TOKEN}`));
      expect(seen("storage")).toHaveLength(storage === "git" ? 0 : 1);
      for (const { headers, url } of seen("storage")) expect(JSON.stringify([headers, url])).not.toContain(TOKEN);
    },
  );

  it("does not come back to the hub by way of another host's redirect", async () => {
    let back = 0;
    hub.faults.intercept = ({ server, url }, response) => {
      if (server === "storage")
        response.writeHead(302, { location: `http://localhost:${new URL(hub.url).port}/away` }).end();
      else if (url === "/away") {
        back++;
        response.writeHead(404).end();
      } else return false;
      return true;
    };
    await expect(fetchBig({ token: TOKEN })).rejects.toThrow(InputError);
    expect(back).toBe(1);
    const away = hub.requests.filter(({ url }) => url === "/away");
    expect(away.map(({ headers }) => headers.authorization)).toEqual([undefined]); // localhost is not 127.0.0.1
  });

  it("stands in no error, and neither does a signed address", async () => {
    hub.faults.intercept = ({ server }, response) => {
      if (server === "storage") response.writeHead(403).end();
      return server === "storage";
    };
    const error: unknown = await fetchBig({ token: TOKEN }).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(Error);
    expect(`${(error as Error).stack} ${JSON.stringify(error)}`).not.toMatch(/Signature|hf_This/);
  });
});

describe("two at once", () => {
  it("download a file once", async () => {
    hub.faults.trickle = { bytes: 40_000, milliseconds: 20 };
    const found = await Promise.all([fetchBig(), fetchBig(), fetchBig()]);
    await expectWhole(found[2].path);
    expect(hub.contentRequests()).toHaveLength(1);
  });
});

describe("a data set's file", () => {
  it("is named by its commit, and at a commit asked for once", async () => {
    const main = await resolveDataFile("hf://datasets/pare/texts/en/big.txt", { settings: settings() });
    expect(main.address).toBe(ADDRESS);
    hub.requests.length = 0;
    expect(await fetchBig()).toEqual(main);
    expect(hub.requests).toEqual([]);
    expect(await fetchBig({ isOffline: true })).toEqual(main);
    cache = join(root, "none");
    await expect(fetchBig({ isOffline: true })).rejects.toThrow(
      `not in the hub's cache, ${cache}; unset HF_HUB_OFFLINE`,
    );
  });

  it("that is not there, or in a folder that is not", async () => {
    for (const path of ["en/small.txt", "de/big.txt"]) {
      const missing = resolveDataFile(`hf://datasets/pare/texts/${path}`, { settings: settings() });
      await expect(missing).rejects.toThrow(/^hf:\/\/datasets\/pare\/texts: has no file /);
    }
    const unknown = resolveDataFile("hf://datasets/pare/none/a.txt", { settings: settings() });
    await expect(unknown).rejects.toThrow("hf://datasets/pare/none: no such data set on the hub");
  });

  it.each([
    "hf://datasets/pare/texts",
    "hf://datasets/texts/big.txt/",
    "hf://models/pare/texts/big.txt",
    "hf://datasets/pare/texts/../big.txt",
    "hf://datasets/pare/texts/en/..",
    "hf://datasets/pare/texts/en\\big.txt",
    "hf://datasets/pa--re/texts/big.txt",
    "hf://datasets/pare/texts@../big.txt",
    "hf://datasets/pare/texts@a%2F..%2Fb/big.txt",
  ])("has no address %s", async (address) => {
    await expect(resolveDataFile(address, { settings: settings() })).rejects.toThrow(InputError);
    expect(hub.requests).toEqual([]);
  });
});

it("a model's name is asked of the hub by its path and nothing more", async () => {
  await resolveModel("pare/none@refs/pr/1", { settings: settings() }).catch(() => {});
  expect(hub.requests.map(({ url }) => url)).toEqual(["/api/models/pare/none/revision/refs%2Fpr%2F1"]);
});
