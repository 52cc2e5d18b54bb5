import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type MadeText, madeCell, madeGrid, madeMetric, madeStudy } from "../../test/support/study.js";
import { createMersenneTwister } from "../random/mersenne.js";
import type { CellLabel, CellResult } from "../results/study-results.js";
import { analyseStudy } from "./analyse.js";
import type { Finding, StudyAnalysis } from "./analysis.js";
import { studentQuantile } from "./student.js";

const analyse = (cells: readonly CellResult[], definition: unknown = {}) =>
  analyseStudy(madeStudy(cells, definition), cells);

/** `right` of `items` are answered rightly by the base, `kept` of these by the compressed model. */
const task = (items: number, right: number, kept: number, pHolm?: number) => {
  const scores = (count: number) => Array.from({ length: items }, (_, i) => Number(i < count));
  return { exact_match: madeMetric(scores(right), scores(kept), pHolm) };
};

const kinds = (analysis: StudyAnalysis, kind: Finding["kind"]) => analysis.findings.filter((one) => one.kind === kind);

describe("a cell's figures", () => {
  const valueIn = (text: MadeText, id: string) => analyse([madeCell({ text: { wiki: text } })]).cells[0]!.values[id]!;

  it("perplexity ratio: an interval symmetric in logarithms, 1 means unchanged", () => {
    const value = valueIn({ ratio: 1.2, ratioError: 0.05 }, "perplexityRatio:wiki");
    // exp(ln 1.2 ± 1.959964 · 0.05)
    expect(value.interval![0]).toBeCloseTo(1.0879806, 6);
    expect(value.interval![1]).toBeCloseTo(1.323553, 6);
    expect(value.differs).toBe(true);
    expect(valueIn({ ratio: 1.05, ratioError: 0.05 }, "perplexityRatio:wiki").differs).toBe(false);
  });

  it("divergence: differs above the noise floor's interval, not above its mean", () => {
    // The floor reaches up to 0.01 + 1.96 · 0.002 = 0.01392.
    const noise = [0.01, 0.002] as const;
    expect(valueIn({ jsd: [0.02, 0.003], noise }, "jsd:wiki")).toMatchObject({ differs: true, noiseFloor: 0.01 });
    expect(valueIn({ jsd: [0.02, 0.0032], noise }, "jsd:wiki").differs).toBe(false); // its interval begins at 0.01373
    expect(valueIn({ jsd: [0.02, 0.0032] }, "jsd:wiki")).toMatchObject({ differs: true, noiseFloor: null });
    expect(valueIn({ jsd: [0, 0] }, "jsd:wiki").differs).toBe(false);
    expect(valueIn({ jsd: [0.02, null] }, "jsd:wiki")).toMatchObject({ differs: null, interval: null });
    expect(valueIn({ jsd: [0.001, 0.01] }, "jsd:wiki").interval![0]).toBe(0);
  });

  it("what has no value is left out, and so is its column", () => {
    const { measures, cells } = analyse([madeCell({ text: { wiki: { jsd: [null, null] } } })]);
    expect(measures.map(({ kind }) => kind)).toEqual(["perplexityRatio", "kl", "top1Changed"]);
    expect(Object.keys(cells[0]!.values)).toEqual(measures.map(({ id }) => id));
  });

  it("task loss: relative to the base's score, with Holm's p; overall: the mean over tasks", () => {
    const tasks = { a: task(100, 80, 60, 1e-6), b: task(100, 50, 50, 1), never: task(100, 0, 0, 1) };
    const { values } = analyse([madeCell({ tasks })]).cells[0]!;
    expect(values["taskDifference:a:exact_match"]!.value).toBeCloseTo(-0.2, 12);
    expect(values["taskLoss:a"]!.value).toBeCloseTo(0.25, 12);
    expect(values["taskLoss:a"]!.differs).toBe(true);
    expect(values["taskLoss:b"]!.differs).toBe(false);
    expect(values["taskLoss:never"]).toBeUndefined(); // nothing of nothing can be lost
    expect(values["overallTaskLoss"]!.value).toBeCloseTo(0.125, 12);
  });

  it("a relative loss's standard error is that of the ratio's linearisation over items", () => {
    const { random } = createMersenneTwister(7);
    const n = 4000;
    const base = Array.from({ length: n }, () => Number(random() < 0.6));
    const compressed = base.map((score) => (random() < 0.15 ? 1 - score : score));
    const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
    const recovery = sum(compressed) / sum(base);
    const residuals = compressed.map((score, i) => score - recovery * base[i]!);
    const expected = Math.sqrt(sum(residuals.map((value) => value ** 2)) / n / n) / (sum(base) / n);
    const { values } = analyse([madeCell({ tasks: { a: { exact_match: madeMetric(base, compressed) } } })]).cells[0]!;
    expect(values["taskLoss:a"]!.standardError! / expected).toBeCloseTo(1, 2);
    // Of one task, the overall loss is that task's.
    expect(values["overallTaskLoss"]!.standardError).toBeCloseTo(values["taskLoss:a"]!.standardError!, 12);
  });

  it("a loss of all that one item in twelve was is not one beyond chance", () => {
    const only = analyse([
      madeCell({ text: { wiki: { ratio: 1.01, ratioError: 1e-3 } }, tasks: { a: task(12, 1, 0) } }),
    ]);
    const { values, perplexityMisleads } = only.cells[0]!;
    for (const id of ["taskLoss:a", "overallTaskLoss"]) {
      expect(values[id]).toMatchObject({ value: 1, differs: false });
      expect(values[id]!.interval![0]).toBeLessThan(0);
      expect(values[id]!.interval![1]).toBe(1);
    }
    expect(perplexityMisleads).toBe(false);
    expect(kinds(only, "perplexity-misleads")).toEqual([]);
    // Of sixty right ones it is.
    const all = analyse([madeCell({ tasks: { a: task(100, 60, 0, 1e-9) } })]).cells[0]!.values;
    expect(all["overallTaskLoss"]).toMatchObject({ value: 1, differs: true });
  });

  it("a task of which the base can do nothing is said to be in no loss", () => {
    const { findings } = analyse([madeCell({ tasks: { a: task(100, 50, 40), never: task(100, 0, 0) } })]);
    const texts = findings.map(({ text }) => text).filter((text) => /score of 0/.test(text));
    expect(texts).toEqual([expect.stringMatching(/^never: .*no loss/)]);
  });

  it("perplexity misleads where every text's ratio is harmless and a task is lost", () => {
    const lost = { a: task(100, 80, 40, 1e-6) };
    const flags = (ratios: readonly number[], tasks: CellResult["tasks"]) =>
      analyse([
        madeCell({ text: Object.fromEntries(ratios.map((ratio, i) => [`t${i}`, { ratio, ratioError: 1e-3 }])), tasks }),
      ]).cells[0]!.perplexityMisleads;
    expect(flags([1.05, 1.09], lost)).toBe(true);
    expect(flags([1.05, 1.11], lost)).toBe(false);
    expect(flags([1.05], { a: task(100, 80, 80, 1) })).toBe(false);
    expect(flags([1.05], { a: task(100, 40, 80, 1e-6) })).toBe(false); // better is not lost
    expect(flags([], lost)).toBe(false);
  });
});

describe("names", () => {
  it("say what tells cells apart and nothing else", () => {
    const named = (...labels: Partial<CellLabel>[]) =>
      analyse(labels.map((label, i) => madeCell({ id: `${i}`, label }))).cells.map(({ name }) => name);
    expect(named({}, { pattern: "2:4" })).toEqual(["wanda 50% · c4", "wanda 2:4 · c4"]);
    expect(named({ seed: 1 }, { method: "magnitude", calibration: null, seed: null })).toEqual([
      "wanda 50% · c4",
      "magnitude 50%",
    ]);
    expect(named({ seed: 1 }, { seed: 2 })).toEqual(["wanda 50% · c4 · seed 1", "wanda 50% · c4 · seed 2"]);
    expect(named({ model: "x" }, { model: "y" })).toEqual(["x · wanda 50% · c4", "y · wanda 50% · c4"]);
    expect(
      named({ methodOptions: { damping: 0.01, block: 128 } }, { methodOptions: { damping: 0.1, block: 128 } }),
    ).toEqual(["wanda 50% · damping 0.01 · c4", "wanda 50% · damping 0.1 · c4"]);
  });
});

describe("curves", () => {
  it("say at which sparsity each measure moves first, at every seed", () => {
    const cell = (sparsity: number, seed: number, jsd: number, ratio: number) =>
      madeCell({
        id: `${sparsity}/${seed}`,
        label: { sparsity, seed },
        text: { wiki: { jsd: [jsd, 0.001], ratio, ratioError: 0.01, noise: [0.005, 0] } },
      });
    const cells = [cell(0.5, 0, 0.1, 1.5), cell(0.3, 0, 0.03, 1.05), cell(0.3, 1, 0.05, 1.01), cell(0.1, 0, 0.001, 1)];
    const [curve, ...others] = analyse(cells).curves;
    expect(others).toEqual([]);
    expect(curve!.points.map(({ sparsity, cells }) => [sparsity, cells])).toEqual([
      [0.1, ["0.1/0"]],
      [0.3, ["0.3/0", "0.3/1"]],
      [0.5, ["0.5/0"]],
    ]);
    const moved = Object.fromEntries(curve!.moved.map(({ measure, sparsity }) => [measure, sparsity]));
    expect(moved).toMatchObject({ "jsd:wiki": 0.3, "perplexityRatio:wiki": 0.5, "top1Changed:wiki": null });
    const point = curve!.points[1]!.values["jsd:wiki"]!;
    expect(point.value).toBeCloseTo(0.04, 12);
    // Two seeds: 0.04 ± t(1) · 0.01, with t(1) = 12.7062, and each seed's own 1.959964 · 0.001.
    expect(point.interval![1]).toBeCloseTo(0.04 + Math.hypot(0.127062, 0.001959964), 6);
  });

  it("an interval over seeds that agree is no narrower than a single cell's", () => {
    const cell = (seed: number) => madeCell({ id: `${seed}`, label: { seed }, tasks: { a: task(30, 20, 15) } });
    const [curve] = analyse([cell(0), cell(1), cell(2)]).curves;
    const [alone] = analyse([cell(0)]).cells;
    for (const id of ["taskDifference:a:exact_match", "overallTaskLoss"]) {
      const { interval } = curve!.points[0]!.values[id]!;
      for (const end of [0, 1]) expect(interval![end]).toBeCloseTo(alone!.values[id]!.interval![end]!, 12);
    }
  });

  it("one task's loss and the overall loss of it say the same", () => {
    // 4 flips of 30, none back: McNemar's p is 0.125.
    const { values } = analyse([madeCell({ tasks: { a: task(30, 13, 9) } })]).cells[0]!;
    expect(values["overallTaskLoss"]).toEqual(values["taskLoss:a"]);
    expect(values["overallTaskLoss"]!.differs).toBe(false);
  });

  it("a cell whose logits are not finite is named, and in no budget", () => {
    const broken = madeCell({ id: "broken", text: { wiki: { jsd: [0.001, 1e-4] } } });
    const wiki = { ...broken.text["wiki"]!, nonFinite: 0.31 };
    const whole = madeCell({ id: "whole", label: { sparsity: 0.3 }, text: { wiki: { jsd: [0.002, 1e-4] } } });
    const { budget, findings } = analyse([{ ...broken, text: { wiki } }, whole], { budget: { jsd: 0.01 } });
    expect(budget![0]).toMatchObject({ best: "whole" });
    const said = findings.filter(({ kind }) => kind === "not-finite");
    expect(said).toMatchObject([{ severity: "serious", cells: ["broken"], text: expect.stringMatching(/31%/) }]);
  });

  it("few items are said to be few, however narrow their intervals", () => {
    const { findings } = analyse([madeCell({ tasks: { a: { f1: madeMetric([1, 1], [1, 1]) } } })]);
    expect(findings.filter(({ kind }) => kind === "few-items").map(({ text }) => text)).toEqual([
      expect.stringMatching(/^a was measured on 2 items: /),
    ]);
  });

  it("of several patterns n:m are several", () => {
    const cells = ["2:4", "4:8"].map((pattern) => madeCell({ label: { pattern }, text: { wiki: {} } }));
    expect(analyse(cells).curves.map(({ pattern, points }) => [pattern, points[0]!.sparsity])).toEqual([
      ["2:4", 0.5],
      ["4:8", 0.5],
    ]);
  });

  it("take Student's t as scipy.stats.t.ppf(0.975) has it", () => {
    const expected = [
      [1, 12.7062],
      [3, 3.1824],
      [10, 2.2281],
      [11, 2.201],
      [15, 2.1314],
      [30, 2.0423],
      [100, 1.984],
    ] as const;
    for (const [degrees, quantile] of expected) expect(studentQuantile(degrees)).toBeCloseTo(quantile, 3);
  });
});

describe("rank agreement", () => {
  // 1 - kept / 100 is the loss.
  const cells = [
    [1.02, 0.01, 100],
    [1.05, 0.03, 90],
    [1.01, 0.02, 95],
    [1.3, 0.1, 80],
    [1.6, 0.3, 60],
  ].map(([ratio, jsd, kept], i) =>
    madeCell({
      id: `${i}`,
      label: { sparsity: i / 10 },
      text: { wiki: { ratio: ratio!, jsd: [jsd!, 0.001] } },
      tasks: { a: task(200, 100, kept!) },
    }),
  );

  it("is scipy's kendalltau and spearmanr", () => {
    const { agreement } = analyse(cells);
    const of = (id: string) => agreement[0]!.measures.find(({ measure }) => measure === id)!;
    expect(agreement[0]!.cells).toBe(5);
    expect(of("jsd:wiki").kendall.value).toBeCloseTo(1, 12);
    expect(of("perplexityRatio:wiki").kendall.value).toBeCloseTo(0.8, 12);
    expect(of("perplexityRatio:wiki").spearman.value).toBeCloseTo(0.9, 12);
    expect(of("top1Changed:wiki").kendall.value).toBeNull();
    expect(agreement[0]!.jsdAgainstPerplexity).toEqual([
      { source: "wiki", difference: expect.closeTo(0.2, 12), interval: expect.anything() },
    ]);
    const [low, high] = agreement[0]!.jsdAgainstPerplexity[0]!.interval!;
    // JSD ranks perfectly, so no resample can put the perplexity ratio in front.
    expect(low).toBeCloseTo(0, 12);
    expect(high).toBeGreaterThan(0.2);
  });

  it("stands apart for each model, and needs three cells", () => {
    const other = cells
      .slice(0, 2)
      .map((cell) => ({ ...cell, id: `o${cell.id}`, label: { ...cell.label, model: "o" } }));
    expect(analyse([...cells, ...other]).agreement.map(({ model }) => model)).toEqual(["tiny"]);
  });
});

describe("comparisons", () => {
  it("calibration sources: seeds of one setting are no pairs of their own", () => {
    const cell = (calibration: string, sparsity: number, seed: number, jsd: number) =>
      madeCell({ label: { calibration, sparsity, seed }, text: { wiki: { jsd: [jsd, 0.001] } } });
    const { calibration } = analyse([
      ...[0, 1, 2].flatMap((seed) => [cell("c4", 0.3, seed, 0.02), cell("alpaca", 0.3, seed, 0.03 + 0.001 * seed)]),
      ...[0, 1, 2].flatMap((seed) => [cell("c4", 0.5, seed, 0.1), cell("alpaca", 0.5, seed, 0.12)]),
    ]);
    const { pairs, measures } = calibration[0]!;
    expect(pairs).toHaveLength(6);
    const jsd = measures.find(({ measure }) => measure === "jsd:wiki")!;
    expect(jsd.differences).toEqual([expect.closeTo(0.011, 12), expect.closeTo(0.02, 12)]);
    expect(jsd.better).toEqual({ a: 2, b: 0 });
    // Of two differences of one sign, two of four signings are as far from 0.
    expect(jsd.p).toBe(0.5);
  });

  it("calibration sources: pairs that differ in nothing else", () => {
    const cell = (id: string, calibration: string | null, sparsity: number, jsd: number) =>
      madeCell({ id, label: { calibration, sparsity }, text: { wiki: { jsd: [jsd, 0.001] } } });
    const { calibration } = analyse([
      cell("a1", "c4", 0.1, 0.1),
      cell("b1", "alpaca", 0.1, 0.2),
      cell("a2", "c4", 0.2, 0.2),
      cell("b2", "alpaca", 0.2, 0.4),
      cell("a3", "c4", 0.3, 0.3),
      cell("b3", "alpaca", 0.3, 0.6),
      cell("alone", "c4", 0.4, 0.4),
      cell("none", null, 0.1, 0.5),
    ]);
    expect(calibration).toHaveLength(1);
    const { a, b, pairs, measures } = calibration[0]!;
    expect([a, b]).toEqual(["c4", "alpaca"]);
    expect(pairs).toEqual([
      { a: "a1", b: "b1" },
      { a: "a2", b: "b2" },
      { a: "a3", b: "b3" },
    ]);
    const jsd = measures.find(({ measure }) => measure === "jsd:wiki")!;
    expect(jsd.mean).toBeCloseTo(0.2, 12);
    expect(jsd.better).toEqual({ a: 3, b: 0 });
    expect(jsd.p).toBe(0.25); // 2 of the 2³ assignments of signs are as extreme
  });

  it("seeds: mean and standard deviation over draws", () => {
    const cells = [0.1, 0.2, 0.3].map((jsd, seed) =>
      madeCell({ label: { seed }, text: { wiki: { jsd: [jsd, 0.01] } } }),
    );
    const { seeds } = analyse(cells);
    expect(seeds).toHaveLength(1);
    const jsd = seeds[0]!.measures.find(({ measure }) => measure === "jsd:wiki")!;
    expect([jsd.mean, jsd.standardDeviation, jsd.min, jsd.max]).toEqual([
      expect.closeTo(0.2, 12),
      expect.closeTo(0.1, 12),
      0.1,
      0.3,
    ]);
  });

  it("blocks: the parts against the whole", () => {
    const { blocks } = analyse([
      madeCell({
        id: "x",
        text: { wiki: { jsd: [0.1, 0.01] } },
        blocks: [
          [0.02, 0.001],
          [0.05, 0.001],
          [0.01, 0.001],
        ],
      }),
    ]);
    const [damage] = blocks;
    expect(damage).toMatchObject({ cell: "x", source: "wiki", whole: 0.1, worst: [1, 0, 2] });
    expect(damage!.sum).toBeCloseTo(0.08, 12);
    expect(damage!.explained).toBeCloseTo(0.8, 12);
    expect(damage!.blocks.map(({ share }) => share)).toEqual(
      [0.25, 0.625, 0.125].map((share) => expect.closeTo(share, 12)),
    );
  });

  it("blocks: nothing is said of parts of nothing", () => {
    const { blocks } = analyse([
      madeCell({ id: "x", text: { wiki: { jsd: [Number.MIN_VALUE, 0] } }, blocks: [[1e-17, 0]] }),
    ]);
    expect(blocks[0]).toMatchObject({ explained: null, blocks: [{ share: 1 }] });
  });
});

describe("budget", () => {
  const cell = (id: string, sparsity: number, jsd: number, kept: number, ratio = 1) =>
    madeCell({
      id,
      label: { sparsity },
      text: { wiki: { jsd: [jsd, 0.001], ratio }, other: { jsd: [jsd / 2, 0.001] } },
      tasks: { a: task(1000, 500, kept) },
    });
  const cells = [cell("light", 0.1, 0.002, 500), cell("mid", 0.3, 0.0195, 490, 1.05), cell("heavy", 0.5, 0.2, 300, 2)];

  it("takes the sparsest cell within, and says whether its intervals are", () => {
    const { budget } = analyse(cells, { budget: { jsd: 0.02 } });
    expect(budget).toEqual([
      {
        model: "tiny",
        budget: { jsd: 0.02 },
        best: "mid",
        within: [
          { cell: "mid", used: expect.closeTo(0.975, 12), sure: false }, // up to 0.0195 + 0.00196
          { cell: "light", used: expect.closeTo(0.1, 12), sure: true },
        ],
      },
    ]);
  });

  it("holds all of its limits together", () => {
    const best = (budget: unknown) => analyse(cells, { budget }).budget![0]!.best;
    expect(best({ jsd: 0.02, taskLoss: 0.01 })).toBe("light");
    expect(best({ taskLoss: 0.03 })).toBe("mid");
    expect(best({ perplexityRatio: 1.04 })).toBe("light");
    expect(best({ perplexityRatio: 1.06 })).toBe("mid");
    expect(best({ jsd: 0.001 })).toBeNull();
    expect(best({ jsd: 1, taskLoss: 1, perplexityRatio: 3 })).toBe("heavy");
  });

  it("is none where the study names none, and an error where it is nonsense", () => {
    expect(analyse(cells).budget).toBeNull();
    expect(analyse(cells, { budget: { jsd: null, taskLoss: null } }).budget).toBeNull();
    for (const budget of [{ jsd: -1 }, { jsd: "0.02" }, { speed: 2 }, 7])
      expect(() => analyse(cells, { budget })).toThrow(/^study\.json: definition\.budget/);
  });
});

describe("findings", () => {
  it("warn of few items, few windows, few cells, noise, and what is missing", () => {
    const cells = [0.1, 0.2, 0.3].map((sparsity) =>
      madeCell({
        label: { sparsity },
        text: { wiki: { jsd: [0.001, 0.001], noise: [0.001, 0.0001], windows: 4 } },
        tasks: { a: task(20, 10, 9, 1) },
      }),
    );
    const study = madeStudy([...cells, madeCell({ id: "later", label: { sparsity: 0.4 } })]);
    const analysis = analyseStudy(study, cells);
    expect(analysis.missing).toEqual(["later"]);
    const text = analysis.findings.filter(({ severity }) => severity === "warning").map((finding) => finding.text);
    expect(text).toEqual([
      expect.stringMatching(/^Not finished: 1 of 4 cells/),
      expect.stringMatching(/^a was measured on 20 items: differences of exact_match are known to ± 0\.\d+ only/),
      expect.stringMatching(/^wiki was measured on 4 windows/),
      expect.stringMatching(
        /^JSD on wiki cannot be told from rounding noise in wanda 10% · c4, wanda 20% · c4 and wanda 30% · c4/,
      ),
      expect.stringMatching(/^Rank agreement over 3 cells of tiny says little/),
      expect.stringMatching(/^In 3 of 3 cells of tiny no task differs from the base/),
    ]);
  });

  it("are silent about what gives no cause", () => {
    const { study, cells } = madeGrid({ items: 4000, sparsities: [0.5, 0.6, 0.7, 0.8] });
    const { findings } = analyseStudy(study, cells);
    expect(findings.filter(({ severity }) => severity !== "finding")).toEqual([]);
    expect(findings.map(({ kind }) => kind)).toEqual(
      expect.arrayContaining(["headline", "method", "first-moved", "agreement", "calibration", "blocks"]),
    );
  });

  it("name the cells where perplexity lies", () => {
    const lost = madeCell({
      id: "lost",
      text: { wiki: { ratio: 1.04, ratioError: 0.001 } },
      tasks: { squad: task(400, 300, 240, 1e-9) },
    });
    const [finding] = kinds(analyse([lost]), "perplexity-misleads");
    expect(finding).toMatchObject({ severity: "serious", cells: ["lost"] });
    expect(finding!.text).toMatch(/wanda 50% · c4 \(perplexity ratio 1\.04, .*20% \[/);
  });

  it("say the budget's answer", () => {
    const { study, cells } = madeGrid({ definition: { budget: { jsd: 1e-9 } } });
    const [finding] = kinds(analyseStudy(study, cells), "budget");
    expect(finding).toMatchObject({
      severity: "serious",
      text: "No cell of tiny is within the budget of JSD 1e-9 nats.",
    });
  });
});

describe("for any study", () => {
  const number = fc.double({ min: 0, max: 3, noNaN: true });
  const pair = fc.tuple(fc.option(number), fc.option(number));
  const anyCell = fc
    .record({
      sparsity: fc.constantFrom(0, 0.1, 0.5),
      method: fc.constantFrom("magnitude", "wanda"),
      calibration: fc.constantFrom("c4", "alpaca", null),
      seed: fc.constantFrom(0, 1, null),
      ratio: fc.double({ min: 0.5, max: 1e6, noNaN: true }),
      jsd: pair,
      noise: fc.option(pair, { nil: undefined }),
      kept: fc.integer({ min: 0, max: 30 }),
      right: fc.integer({ min: 0, max: 30 }),
      windows: fc.integer({ min: 1, max: 64 }),
      blocks: fc.option(fc.array(pair, { maxLength: 3 }), { nil: undefined }),
    })
    .map(({ sparsity, method, calibration, seed, ratio, jsd, noise, kept, right, windows, blocks }) =>
      madeCell({
        label: { sparsity, method, calibration, seed },
        text: { wiki: { ratio, jsd, windows, ...(noise ? { noise } : {}) } },
        tasks: { a: task(30, right, kept) },
        ...(blocks ? { blocks } : {}),
      }),
    );
  const anyCells = fc.uniqueArray(anyCell, { selector: ({ id }) => id, maxLength: 8 });

  it("the analysis is plain JSON, its references lead somewhere, and sentences hold no broken number", () => {
    fc.assert(
      fc.property(
        anyCells,
        fc.constantFrom({}, { budget: { jsd: 0.1, taskLoss: 0.1, perplexityRatio: 1 } }),
        (cells, definition) => {
          const analysis = analyse(cells, definition);
          const finite = (_: string, part: unknown) => {
            if (typeof part === "number") expect(part).toSatisfy(Number.isFinite);
            return part;
          };
          const text = JSON.stringify(analysis, finite);
          expect(JSON.stringify(JSON.parse(text))).toBe(text);
          const ids = new Set(cells.map(({ id }) => id));
          const measures = new Set(analysis.measures.map(({ id }) => id));
          for (const { cells, text } of analysis.findings) {
            for (const id of cells) expect(ids).toContain(id);
            expect(text).not.toMatch(/NaN|undefined|null|Infinity|\[object/);
          }
          for (const { values } of analysis.cells) {
            for (const [id, { value, interval }] of Object.entries(values)) {
              expect(measures).toContain(id);
              if (interval) expect(interval[0] <= value + 1e-9 && value <= interval[1] + 1e-9).toBe(true);
            }
          }
        },
      ),
      { numRuns: 40 },
    );
  }, 60_000);

  it("the order of finished cells does not matter", () => {
    fc.assert(
      fc.property(anyCells, (cells) => {
        const study = madeStudy(cells);
        expect(analyseStudy(study, cells.toReversed())).toEqual(analyseStudy(study, cells));
      }),
      { numRuns: 15 },
    );
  }, 60_000);
});
