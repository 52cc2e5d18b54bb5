import { describe, expect, it } from "vitest";
import { multiply as multiplyNow } from "../engine/reference/products.js";
import { invertedUpperCholesky } from "./cholesky.js";
import type { Matrix } from "./matrix.js";

type Float64Matrix = Matrix<Float64Array>;

const multiply = async (a: Float64Matrix, b: Float64Matrix) => multiplyNow(a, b);
const never = async () => {
  throw new Error("a small matrix needs no engine");
};

function transpose(a: Float64Matrix): Float64Matrix {
  const data = a.data.map((_, i) => a.data[(i % a.rows) * a.columns + Math.floor(i / a.rows)]!);
  return { rows: a.columns, columns: a.rows, data };
}

/** X Xᵀ + I/10 of noise X [n, n + 8], made the same way every time. */
function positiveDefinite(n: number): Float64Matrix {
  let state = n;
  const x = { rows: n, columns: n + 8, data: new Float64Array(n * (n + 8)) };
  for (let i = 0; i < x.data.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    x.data[i] = state / 2 ** 31 - 1;
  }
  const h = multiplyNow(x, transpose(x));
  for (let i = 0; i < n; i++) h.data[i * n + i]! += 0.1;
  return h;
}

const copy = (a: Float64Matrix): Float64Matrix => ({ ...a, data: a.data.slice() });

// H = A Aᵀ + 0.1 I of torch.manual_seed(5), A = torch.randn(6, 9, dtype=float64), and
// torch.linalg.cholesky(torch.linalg.inv(H), upper=True), PyTorch 2.13.0.
// biome-ignore format: a matrix
const H = [
  5.021476401284086, 1.26044350661474, -2.3433822856835227, 0.05472496452252874, -1.382808673991406, -2.1671638570523575,
  1.26044350661474, 8.50321547882, -0.5392428761994483, -3.20012872565612, -1.7247197044810567, -3.5090935203705445,
  -2.3433822856835227, -0.5392428761994484, 8.26293110958081, 1.6076851329732842, 1.3801036147034544, -1.2691240762626923,
  0.05472496452252873, -3.20012872565612, 1.6076851329732837, 3.237879342031619, -0.6124947814573567, -0.7057704212133311,
  -1.3828086739914065, -1.7247197044810563, 1.3801036147034544, -0.6124947814573566, 9.613361161460436, 5.254545374651935,
  -2.1671638570523575, -3.509093520370545, -1.2691240762626925, -0.7057704212133312, 5.254545374651935, 5.909610910090238,
];
// biome-ignore format: a matrix
const U = [
  0.6335754291634401, 0.20037766878856894, 0.32425419365357905, 0.12263758844619095, -0.29134354464273093, 0.694657647316412,
  0, 0.7365447818643366, 0.041008166687069816, 0.8274625539610416, -0.23133583807256236, 0.7506775477852652,
  0, 0, 0.40650594057235573, -0.18671548346018266, -0.20580364073656765, 0.24799141630999946,
  0, 0, 0, 0.5631193830033409, -0.0017143106142719293, 0.06877625840825308,
  0, 0, 0, 0, 0.4498634955135349, -0.3999972562557934,
  0, 0, 0, 0, 0, 0.41135857618976424,
];

describe("invertedUpperCholesky", () => {
  it("gives what PyTorch gives", async () => {
    const h = { rows: 6, columns: 6, data: Float64Array.from(H) };
    expect(await invertedUpperCholesky(h, never)).toEqual({ positiveDefinite: true });
    for (const [i, value] of h.data.entries()) expect(Math.abs(value - U[i]!)).toBeLessThan(1e-13);
  });

  it.each([
    [1, never],
    [2, never],
    [96, never],
    [97, multiply],
    [257, multiply],
    [520, multiply],
  ])("inverts a matrix of %i rows: U upper triangular, diagonal positive, U H Uᵀ = I", async (n, product) => {
    const h = positiveDefinite(n);
    const u = copy(h);
    expect(await invertedUpperCholesky(u, product)).toEqual({ positiveDefinite: true });
    for (let i = 0; i < n; i++) {
      expect(u.data[i * n + i]).toBeGreaterThan(0);
      expect(u.data.subarray(i * n, i * n + i).every((value) => value === 0)).toBe(true);
    }
    const step = Math.ceil(n / 50); // some rows of a large product say as much as all of it
    const sample = Array.from({ length: Math.ceil(n / step) }, (_, i) => i * step);
    const rows = Float64Array.from(sample.flatMap((i) => [...u.data.subarray(i * n, (i + 1) * n)]));
    const identity = multiplyNow(multiplyNow({ rows: sample.length, columns: n, data: rows }, h), transpose(u));
    let worst = 0;
    for (const [at, value] of identity.data.entries()) {
      const expected = at % n === sample[Math.floor(at / n)] ? 1 : 0;
      worst = Math.max(worst, Math.abs(value - expected));
    }
    expect(worst).toBeLessThan(1e-11);
  });

  it.each([
    ["small", 5, 3, never],
    ["in the last quarter of a large one", 300, 299, multiply],
    ["in the first quarter of a large one", 300, 7, multiply],
  ])("reports the row of a pivot that is not positive: %s", async (_, n, row, product) => {
    const h = positiveDefinite(n);
    h.data[row * n + row] = -1;
    expect(await invertedUpperCholesky(h, product)).toEqual({ positiveDefinite: false, pivot: row });
  });

  it("reports a singular matrix and one with NaN", async () => {
    const ones = { rows: 2, columns: 2, data: new Float64Array(4).fill(1) };
    expect(await invertedUpperCholesky(ones, never)).toEqual({ positiveDefinite: false, pivot: 0 });
    const nan = { rows: 1, columns: 1, data: Float64Array.of(Number.NaN) };
    expect(await invertedUpperCholesky(nan, never)).toEqual({ positiveDefinite: false, pivot: 0 });
  });
});
