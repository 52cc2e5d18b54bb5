import fc from "fast-check";
import { expect, it } from "vitest";
import { newcombeInterval } from "./newcombe.js";

/** Both right, only the first, only the second, both wrong; first - second as published. */
const PUBLISHED = [
  {
    from: "Newcombe 1998, Statistics in Medicine 17:2635, method 10",
    counts: [20, 12, 2, 16],
    interval: [0.0562, 0.3292],
  },
  {
    from: "Altman et al. 2000, Statistics with Confidence, table 6.2",
    counts: [14, 5, 0, 22],
    interval: [0.011, 0.226],
  },
  { from: "Tang et al. 2010", counts: [8, 3, 1, 2], interval: [-0.1574, 0.4136] },
  { from: "Fagerland et al. 2014, airway reactivity", counts: [1, 1, 7, 12], interval: [-0.507, -0.026] },
  { from: "R's contingencytables, cavo_2012", counts: [59, 6, 16, 80], interval: [-0.1186, -0.0046] },
] as const;

it.each(PUBLISHED)("gives $interval: $from", ({ counts, interval }) => {
  const [bothRight, onlyCompressed, onlyBase, bothWrong] = counts;
  const actual = newcombeInterval({ bothRight, onlyCompressed, onlyBase, bothWrong });
  interval.forEach((limit, i) => {
    const digits = `${limit}`.split(".")[1]!.length;
    expect(actual?.[i]).toBeCloseTo(limit, digits);
  });
});

it("keeps within [-1, 1], around the difference, and has a width without flips", () => {
  const count = fc.nat(2000);
  fc.assert(
    fc.property(count, count, count, fc.integer({ min: 1, max: 2000 }), (bothRight, onlyBase, onlyCompressed, rest) => {
      const interval = newcombeInterval({ bothRight, onlyBase, onlyCompressed, bothWrong: rest });
      const difference = (onlyCompressed - onlyBase) / (bothRight + onlyBase + onlyCompressed + rest);
      expect(interval![0]).toBeGreaterThanOrEqual(-1);
      expect(interval![0]).toBeLessThan(difference);
      expect(interval![1]).toBeGreaterThan(difference);
      expect(interval![1]).toBeLessThanOrEqual(1);
    }),
  );
});

it("is the negative of itself when the models change places", () => {
  const count = fc.nat(1000);
  fc.assert(
    fc.property(count, count, count, count, (bothRight, onlyBase, onlyCompressed, bothWrong) => {
      const one = newcombeInterval({ bothRight, onlyBase, onlyCompressed, bothWrong });
      const other = newcombeInterval({ bothRight, onlyBase: onlyCompressed, onlyCompressed: onlyBase, bothWrong });
      if (one === null || other === null) return bothRight + onlyBase + onlyCompressed + bothWrong === 0;
      expect(one[0]).toBeCloseTo(-other[1], 12);
      return true;
    }),
  );
});
