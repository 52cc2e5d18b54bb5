import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bitsOf } from "../tensor/select.js";
import { markGroups } from "./pattern.js";

function marked(values: readonly number[], n: number, m: number): string {
  const mask = new Uint8Array(values.length).fill(9);
  markGroups(bitsOf(Float32Array.from(values)), { n, m }, mask);
  return mask.join("");
}

describe("markGroups", () => {
  it("marks n of every group, none of them above one that stays", () => {
    const cases = fc.integer({ min: 2, max: 70 }).chain((m) =>
      fc.record({
        n: fc.integer({ min: 1, max: m - 1 }),
        groups: fc.array(fc.array(fc.integer({ min: -9, max: 9 }), { minLength: m, maxLength: m }), {
          minLength: 1,
          maxLength: 3,
        }),
      }),
    );
    fc.assert(
      fc.property(cases, ({ n, groups }) => {
        const m = groups[0]!.length;
        const mask = marked(groups.flat(), n, m);
        for (const [g, group] of groups.entries()) {
          const gone = group.filter((_, i) => mask[g * m + i] === "1").map(Math.abs);
          const kept = group.filter((_, i) => mask[g * m + i] === "0").map(Math.abs);
          expect(gone).toHaveLength(n);
          expect(Math.max(...gone)).toBeLessThanOrEqual(Math.min(...kept));
        }
      }),
    );
  });

  // torch.topk(torch.tensor([values]).float(), n, dim=1, largest=False), PyTorch 2.13.0 on a CPU.
  it.each([
    [[0, 0, 0, 0], 2, "0011"],
    [[0, 0, 0, 1], 2, "0110"],
    [[0, 0, 1, 0], 2, "0101"],
    [[0, 1, 1, 1], 2, "1010"],
    [[1, 0, 1, 2], 2, "0110"],
    [[1, 1, 1, 0], 2, "0011"],
    [[2, 1, 2, 2], 2, "0101"],
    [[2, 2, 0, 2], 2, "0011"],
    [[1, 1, 0, 0], 1, "0010"],
    [[1, 1, 1, 1], 1, "0010"],
    [[1, 0, 0, 1], 3, "1110"],
    [[1, 2, 1, 0, 0, 0, 2, 1], 4, "00011101"],
    [[0, 0, 2, 1, 0, 0, 1, 2], 4, "11001100"],
    [[1, 0, 0, 0, 1, 1, 1, 1], 4, "11110000"],
    [[2, 0, 2, 2, 0, 2, 2, 2], 2, "01001000"],
    [[0, 0, 0, 0, 2, 1, 0, 0], 5, "01110011"],
    [[0, 0, 1, 3, 3, 2, 1, 0, 2, 3, 3, 2, 1, 1, 1, 3], 8, "1110001100001110"],
    [[1, 1, 1, 2, 2, 2, 1, 0, 2, 0, 2, 1, 0, 0, 2, 0], 8, "1100000101011101"],
    [
      [
        0, 0, 4, 1, 1, 4, 0, 3, 2, 2, 3, 2, 2, 2, 2, 2, 3, 3, 3, 1, 1, 1, 0, 0, 2, 0, 3, 0, 0, 4, 4, 2, 0, 0, 3, 0, 2,
        1, 4, 2,
      ],
      20,
      "1101101001000001000111111101100011010100",
    ],
  ])("chooses among equals as torch.topk does: %j, %i", (values, n, mask) => {
    expect(marked(values, n, values.length)).toBe(mask);
  });
});
