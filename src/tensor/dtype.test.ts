import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { firstNonFinite, firstNonFiniteBfloat16, narrow, rounded, widen, widenChecked } from "./dtype.js";

const ALL = new Uint8Array(Uint16Array.from({ length: 65536 }, (_, i) => i).buffer);

/** The value of a 16-bit float by the definition of its format: (-1)^s · 2^(e-bias) · (1 + m/2^bits). */
function defined(pattern: number, exponentBits: number, fractionBits: number): number {
  const sign = pattern >> 15 ? -1 : 1;
  const exponent = (pattern >> fractionBits) & (2 ** exponentBits - 1);
  const fraction = (pattern & (2 ** fractionBits - 1)) / 2 ** fractionBits;
  const bias = 2 ** (exponentBits - 1) - 1;
  if (exponent === 2 ** exponentBits - 1) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * 2 ** (1 - bias) * fraction : sign * 2 ** (exponent - bias) * (1 + fraction);
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

const halves = (bytes: Uint8Array): Uint16Array => new Uint16Array(bytes.buffer);

describe.each([
  ["F16", 5, 10],
  ["BF16", 8, 7],
] as const)("%s", (dtype, exponentBits, fractionBits) => {
  it("widens all 65,536 patterns to the value that the format defines", () => {
    const values = widen(ALL, dtype);
    const wrong = [...values.keys()].filter((i) => !Object.is(values[i], defined(i, exponentBits, fractionBits)));
    expect(wrong).toEqual([]);
  });

  it("widens and narrows in small pieces, which plain loops do, as it does at once", () => {
    const values = Float32Array.from(
      new Float32Array(Uint32Array.from({ length: 70_001 }, (_, i) => i * 61_357).buffer),
    );
    const pieces = Array.from({ length: 701 }, (_, i) => narrow(values.subarray(100 * i, 100 * (i + 1)), dtype));
    expect(sha256(Buffer.concat(pieces))).toBe(sha256(narrow(values, dtype)));
    const widened = pieces.map((piece) => new Uint8Array(widen(piece, dtype).buffer));
    expect(sha256(Buffer.concat(widened))).toBe(sha256(new Uint8Array(widen(narrow(values, dtype), dtype).buffer)));
  });

  // Few are widened by plain loops, many by the kernel but for the last few.
  it.each([[3, [0, 1, 2]] as const, [1027, [0, 700, 1023, 1026]] as const])(
    "finds every pattern that is not finite among %i numbers",
    (length, places) => {
      const wrong: number[] = [];
      const elements = new Uint16Array(length);
      const into = new Float32Array(length);
      for (let pattern = 0; pattern < 65536; pattern++) {
        const finite = Number.isFinite(defined(pattern, exponentBits, fractionBits));
        for (const place of places) {
          elements[place] = pattern;
          if (widenChecked(new Uint8Array(elements.buffer), dtype, into) !== (finite ? -1 : place)) wrong.push(pattern);
          elements[place] = 0;
        }
      }
      expect(wrong).toEqual([]);
    },
  );

  it("rounds to what is read again", () => {
    const values = Float32Array.from({ length: 1000 }, (_, i) => Math.sin(i) * 2 ** ((i % 20) - 10));
    expect(rounded(values, dtype)).toEqual(widen(narrow(values, dtype), dtype));
    const exact = rounded(values, dtype);
    expect(rounded(exact, dtype)).toEqual(exact);
  });

  it("narrows every widened pattern back to itself, NaN payloads included", () => {
    expect(sha256(narrow(widen(ALL, dtype), dtype))).toBe(sha256(ALL));
  });

  it("rounds to nearest between all neighbours, and ties to the even one", () => {
    const infinity = (2 ** exponentBits - 1) << fractionBits;
    const wrong: number[] = [];
    for (const sign of [0, 0x8000]) {
      for (let low = 0; low < infinity; low++) {
        const a = defined(low, exponentBits, fractionBits);
        // Beyond the largest finite number the next one would be where infinity stands.
        const b =
          low + 1 < infinity
            ? defined(low + 1, exponentBits, fractionBits)
            : 2 * a - defined(low - 1, exponentBits, fractionBits);
        const middle = a / 2 + b / 2;
        const ulp = Math.max(middle * 2 ** -23, 2 ** -149);
        const values = Float32Array.of(middle, middle - ulp, middle + ulp).map((v) => (sign ? -v : v));
        const [tie, below, above] = halves(narrow(values, dtype));
        const even = low % 2 === 0 ? low : low + 1;
        if (tie !== (sign | even) || below !== (sign | low) || above !== (sign | (low + 1))) wrong.push(sign | low);
      }
    }
    expect(wrong).toEqual([]);
  });

  it("keeps a NaN a NaN when only its low payload bits are set", () => {
    const values = new Float32Array(Uint32Array.of(0x7f800001, 0xff800001).buffer);
    expect([...widen(narrow(values, dtype), dtype)]).toEqual([Number.NaN, Number.NaN]);
  });

  it("reads bytes at an odd place", () => {
    const shifted = new Uint8Array(ALL.length + 1);
    shifted.set(ALL, 1);
    expect(sha256(narrow(widen(shifted.subarray(1), dtype), dtype))).toBe(sha256(ALL));
  });
});

// Hashes of what NumPy 2 and PyTorch 2.13 (which agree) make of the same float32 patterns.
it.each([
  ["F16", "any pattern", "f7a2a451079a4014a46683fa944885ebf58aade0884c55a6b47dd2b65537178e"],
  ["BF16", "any pattern", "613c7f88232f48afb66800717b6644b4aceb5b7352ba750a3d36706b7aa88daf"],
  ["F16", "near the subnormals", "bb5fe20c6c3b7a0b8b4c098b11be6a4266b8eec7c61915938e262aa6c09c6298"],
  ["BF16", "near the subnormals", "6101e3ee4b7135dd7ef949836786bd0971cddd60a2af70850b3a4f020bc12ee1"],
] as const)("narrows a million float32 numbers to %s as PyTorch does: %s", (dtype, kind, expected) => {
  const patterns = Uint32Array.from({ length: 1 << 20 }, (_, i) => Math.imul(i, 2654435761));
  const values =
    kind === "any pattern"
      ? new Float32Array(patterns.buffer).map((value) => (Number.isNaN(value) ? 0 : value))
      : Float32Array.from(new Int32Array(patterns.buffer), (value, i) => value * 2 ** (-45 - (i % 16)));
  expect(sha256(narrow(values, dtype))).toBe(expected);
});

it("keeps F32 bit for bit, NaN payloads included", () => {
  const bytes = new Uint8Array(Uint32Array.of(0, 0x80000000, 1, 0x3f800000, 0x7f800000, 0x7f800001, 0xffc12345).buffer);
  expect(narrow(widen(bytes, "F32"), "F32")).toEqual(bytes);
});

it.each([
  ["F32", 3.4028234663852886e38, Number.POSITIVE_INFINITY],
  ["F16", 65519.99, 65520],
  ["BF16", (2 - 2 ** -8 - 2 ** -23) * 2 ** 127, (2 - 2 ** -8) * 2 ** 127],
] as const)("finds what %s cannot hold", (dtype, largest, tooLarge) => {
  expect(firstNonFinite(Float32Array.of(0, largest, -largest), dtype)).toBe(-1);
  expect(firstNonFinite(Float32Array.of(0, largest, -tooLarge), dtype)).toBe(2);
  expect(firstNonFinite(Float32Array.of(0, Number.NaN), dtype)).toBe(1);
  // and it is the rounding that makes it infinite
  expect(Math.abs(widen(narrow(Float32Array.of(tooLarge), dtype), dtype)[0]!)).toBe(Number.POSITIVE_INFINITY);
  expect(Math.abs(widen(narrow(Float32Array.of(largest), dtype), dtype)[0]!)).toBeLessThan(Number.POSITIVE_INFINITY);
});

it("finds the first bfloat16 number that is none, wherever it lies", () => {
  const patterns = new Uint16Array(ALL.buffer);
  const areFinite = [...widen(ALL, "BF16")].map(Number.isFinite);
  const finite = patterns.filter((_, i) => areFinite[i]);
  expect(firstNonFiniteBfloat16(finite)).toBe(-1);
  expect(firstNonFiniteBfloat16(patterns)).toBe(areFinite.indexOf(false));
  for (const pattern of patterns) {
    if (areFinite[pattern]) continue;
    const place = pattern % 7;
    const some = Uint16Array.of(0xff7f, 0x7f7f, 0x8000, 1, 0xffff, 0x7f80, 0, 0x7f7f).fill(0x7f7f, 4, 6);
    some[place] = pattern;
    // At an odd address too, and with one number left over.
    for (const from of [0, 1]) {
      const expected = place < from ? -1 : place - from;
      expect(firstNonFiniteBfloat16(some.subarray(from, 7))).toBe(expected);
    }
  }
});
