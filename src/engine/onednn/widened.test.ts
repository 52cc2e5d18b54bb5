import { afterAll, describe, expect, it } from "vitest";
import { block, numbers, rowsOf, weightsOf } from "../../../test/support/block.js";
import { relativeDifference } from "../../../test/support/differences.js";
import { engineCases } from "../../../test/support/engines.js";
import { InputError } from "../../errors.js";
import { rounded, toBfloat16 } from "../../tensor/dtype.js";
import { createGraphEngine } from "../onnxruntime/onnxruntime.js";
import { createReferenceEngine } from "../reference/reference.js";
import { openArena } from "./arena.js";
import { type Description, type Library, openLibrary } from "./library.js";
import { createProducts, type Products } from "./products.js";
import { openStages } from "./session.js";
import { createWidenedProducts, openProducts } from "./widened.js";

const { title, isSkipped } = engineCases.find(
  ({ engine, precision }) => engine === "onednn" && precision === "float32",
)!;
const library = isSkipped ? undefined : openLibrary();

/** Half a unit in the last place of a bfloat16, relative: what rounding a number to it costs at most. */
const BFLOAT16 = 2 ** -8;

describe.skipIf(!library)(`bfloat16 where float32 alone is multiplied: ${title}`, () => {
  const [rows, inputs, outputs] = [130, 72, 200];
  const [widened, exact] = library
    ? [createWidenedProducts(library, 1), createProducts(library, "float32", 1)]
    : [undefined, undefined];
  afterAll(() => {
    widened?.dispose();
    exact?.dispose();
  });
  const linear = (products: Products, x: Float32Array, weight: Float32Array | Uint16Array) => {
    const y = new Float32Array(rows * outputs);
    products.linear({ data: x, rows, columns: inputs }, weight, undefined, y);
    return y;
  };

  it("weights are rounded, in either form", () => {
    const [x, weight] = [rounded(numbers(rows * inputs, 1), "BF16"), numbers(outputs * inputs, 1)];
    const half = new Uint16Array(weight.length);
    toBfloat16(weight, half);
    const expected = linear(exact!, x, rounded(weight, "BF16"));
    expect(linear(widened!, x, weight)).toEqual(expected);
    expect(linear(widened!, x, half)).toEqual(expected);
  });

  it("an expert without tokens has nothing to compute", () => {
    const products = createWidenedProducts(library!, 1);
    products.linear({ data: new Float32Array(0), rows: 0, columns: 3 }, numbers(6, 1), undefined, new Float32Array(0));
    products.addGram({ data: new Float32Array(0), rows: 0, columns: 3 }, []);
    products.dispose();
  });

  it("a block is what it is with every factor rounded", async () => {
    const [x, weights] = [rowsOf(2), weightsOf()];
    const run = async (products: Products) => {
      const arena = openArena(products.operands);
      const open: Parameters<typeof createGraphEngine>[0]["open"] = (graph) =>
        openStages(graph, products, arena, () => Promise.reject(new Error("onnxruntime has nothing to do here")));
      const of = { name: "test", device: "cpu", threads: 1, version: "", packedBytes: 4, takesShared: false } as const;
      const engine = createGraphEngine({ ...of, precision: "bfloat16", takesBfloat16: true, open });
      try {
        return await (await engine.compile(block)).run(x, weights);
      } finally {
        await engine.dispose();
      }
    };
    const reference = createReferenceEngine();
    const expected = await (await reference.compile(block)).run(x, weights);
    const ours = relativeDifference(await run(widened!), expected);
    // Without a single rounding it would be float32's.
    expect(relativeDifference(await run(exact!), expected)).toBeLessThan(1e-5);
    expect(ours).toBeGreaterThan(1e-4);
    expect(ours).toBeLessThan(4 * BFLOAT16);
  });
});

describe.skipIf(!library)(`which products there are: ${title}`, () => {
  /** oneDNN on a processor without bfloat16. */
  const withoutBfloat16 = (): Library => {
    const half = new Set<Description>();
    return {
      ...library!,
      describe(sizes, type, strides) {
        const made = library!.describe(sizes, type, strides);
        if (type === "bfloat16") half.add(made);
        return made;
      },
      product(matrices) {
        if (half.has(matrices.a)) throw new InputError("no such product");
        return library!.product(matrices);
      },
    };
  };

  it("float32 ones take the place of those that the processor does not have", () => {
    const products = openProducts(withoutBfloat16(), "bfloat16", 1);
    const y = new Float32Array(4);
    const x = Float32Array.of(1, 2, 3, 4);
    products.linear({ data: x, rows: 2, columns: 2 }, Float32Array.of(1, 0, 0, 1), undefined, y);
    expect(products.operands).toBe("rounded");
    expect([...y]).toEqual([1, 2, 3, 4]);
    products.dispose();
  });

  it("plain loops do not", () => {
    const slow: Library = { ...library!, implementation: () => "ref:any" };
    for (const precision of ["float32", "bfloat16"] as const) {
      expect(() => openProducts(slow, precision, 1)).toThrow(InputError);
    }
  });
});
