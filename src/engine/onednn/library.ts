import { createRequire } from "node:module";
import { join } from "node:path";
import type * as Koffi from "koffi";
import { InputError } from "../../errors.js";
import type { After } from "./after.js";
import { withoutSignals } from "./signals.js";

/**
 * The system's oneDNN (libdnnl), called through koffi. Versions 2 and 3 differ in how a matrix and a product are described;
 * everything above this file sees one interface. Enumerations have the values of oneDNN's dnnl_types.h, the same in both.
 */

/** An object of oneDNN's, known by its address. */
export type Handle = bigint;
/** A matrix's description: of version 3 an object of oneDNN's, of version 2 a struct that lies with the caller. */
export type Description = Handle | Uint8Array;
/** Memory that oneDNN reads or writes. */
export type Memory = Float32Array | Uint16Array | Uint8Array;

/** dnnl_data_type_t. */
const TYPE = { bfloat16: 2, float32: 3 } as const;
/** Execution arguments: DNNL_ARG_*. */
export const ARGUMENT = { from: 1, to: 17, weights: 33, bias: 41 } as const;

/** What a run is given, in this order: which argument, and of what description. */
export type Places = readonly (readonly [arg: number, of: Description])[];

export type ElementType = keyof typeof TYPE;

/** What goes into a product, and where the result does. */
interface Matrices {
  readonly a: Description;
  readonly b: Description;
  readonly bias?: Description;
  readonly c: Description;
  readonly after?: After<Description>;
}

/** One argument of a run. */
interface Argument {
  readonly arg: number;
  readonly memory: Handle;
}

export interface Library {
  readonly path: string;
  /** `3.2.0`. */
  readonly version: string;
  /** Sets the threads of what is made and run next; undefined where this build chooses them itself. */
  readonly setThreads: ((threads: number) => void) | undefined;
  /** The execution argument for the numbers that an After multiplies by or adds. */
  readonly otherArgument: number;
  /** A matrix, or several of one size, whose elements lie `strides` apart, or in whatever order a product likes. */
  describe(sizes: readonly number[], type: ElementType, strides: readonly number[] | "any"): Description;
  equal(a: Description, b: Description): boolean;
  bytes(description: Description): number;
  /** c = a · b (+ bias [1, columns]), and `after`. Throws InputError where this build or processor cannot. */
  product(matrices: Matrices): Handle;
  /** As product, by a convolution that goes over pictures [1, channels, width] with kernels [channels out, channels in, 1]. */
  convolution(matrices: Matrices): Handle;
  /** The name of the code that a product or convolution is computed by: `brg:avx512_core`, `gemm:jit`, `jit_1x1:avx2`. */
  implementation(description: Handle): string;
  /** Whether a product copies its matrices, part by part, in every run, so that no order of them is better than another. */
  copiesFactors(product: Handle): boolean;
  /** softmax of every row of a matrix; undefined where this version has none between types. */
  readonly softmax: ((from: Description, to: Description) => Handle) | undefined;
  /** What order a product likes its b in; lives as long as the product's description. */
  likedWeights(product: Handle): Description;
  /** Copies a matrix to another order or type. */
  reorder(from: Description, to: Description): Handle;
  /** Makes a product or reorder ready to run. */
  prepare(description: Handle): Handle;
  /** Where `prepare`d work reads or writes: memory of this description, which `place` moves. */
  memory(description: Description): Handle;
  place(memory: Handle, at: Memory): void;
  execute(prepared: Handle, args: readonly Argument[]): void;
  destroy(kind: "primitive" | "primitive_desc" | "memory", handle: Handle): void;
  /**
   * So many bytes that begin where a cache line does. Elsewhere every row that a product loads lies across two lines, and it
   * takes up to twice as long.
   */
  aligned(bytes: number): Uint8Array;
}

const OUT_OF_MEMORY = 1;
const UNIMPLEMENTED = 3;
const CPU = 1; // dnnl_cpu
const OPENMP = 2; // DNNL_RUNTIME_OMP
const ANY = 1; // dnnl_format_tag_any
const WEIGHTS_DESCRIPTION = 131; // dnnl_query_weights_md
const IMPLEMENTATION = 8; // dnnl_query_impl_info_str
/** Above the size of version 2's structs: dnnl_memory_desc_t, and dnnl_matmul_desc_t or dnnl_convolution_desc_t. */
const DESCRIPTION_BYTES = 2048;
const OPERATION_BYTES = 10 * DESCRIPTION_BYTES;
const RTLD_NOW = 2;
/** Bytes of a cache line. */
export const LINE = 64;
/** dnnl_prop_kind_t and dnnl_alg_kind_t. */
const FORWARD = 96;
const BINARY_ADD = 0x1fff0;
const BINARY_MULTIPLY = 0x1fff1;
const SOFTMAX = 0x30000;
const DIRECT = 1; // dnnl_convolution_direct
/** Of a convolution: how far it goes at a time, and how far apart or outside its kernels reach. */
const STEP = [1];
const NONE = [0];
/** By version: dnnl_eltwise_swish, and DNNL_ARG_ATTR_MULTIPLE_POST_OP(0). */
const SWISH = { 2: 0xdf, 3: 0x2c } as const;
const POST_OPERATION = { 2: 16384, 3: 32768 } as const;

const HOW_TO_GET =
  "install it (Debian, Ubuntu: apt install libdnnl3, or libdnnl2 where that is what there is; Homebrew: brew install " +
  "onednn; conda: conda install -c conda-forge onednn), or name the file in PARE_ONEDNN";

/** What to look for, in this order. */
function candidates(): string[] {
  const names = {
    darwin: ["libdnnl.3.dylib", "libdnnl.dylib", "libdnnl.2.dylib"],
    win32: ["dnnl.dll"],
  }[process.platform as string] ?? ["libdnnl.so.3", "libdnnl.so.2"];
  const folders = ["", process.env["CONDA_PREFIX"] && join(process.env["CONDA_PREFIX"], "lib")];
  if (process.platform === "darwin") folders.push("/opt/homebrew/lib", "/usr/local/lib");
  return folders.flatMap((folder) => (folder === undefined ? [] : names.map((name) => join(folder, name))));
}

let opened: Library | undefined;

/** Finds oneDNN and opens it, once a process. Throws InputError that says how to get it. */
export function openLibrary(): Library {
  opened ??= bind(...find());
  return opened;
}

function find(): [koffi: typeof Koffi, lib: Koffi.LibraryHandle, path: string] {
  const koffi = loadKoffi();
  const named = process.env["PARE_ONEDNN"];
  const paths = named ? [named] : candidates();
  let reason = "";
  for (const path of paths) {
    try {
      return [koffi, pinned(koffi, path), path];
    } catch (error) {
      reason = error instanceof Error ? error.message : String(error);
    }
  }
  throw new InputError(
    named
      ? `PARE_ONEDNN=${named} cannot be opened: ${reason.trim()}`
      : `oneDNN was not found (${paths.join(", ")}): ${HOW_TO_GET}`,
  );
}

/** Loaded when first needed: its native part is not there for every platform. */
function loadKoffi(): typeof Koffi {
  try {
    return createRequire(import.meta.url)("koffi") as typeof Koffi;
  } catch (error) {
    throw new InputError("the package koffi, which calls oneDNN, has no build for this platform", { cause: error });
  }
}

/**
 * How OpenMP's threads wait for more work; read when OpenMP is loaded, and not ours to say where a user does. Those that wait
 * busily for long keep onnxruntime's from the processors, those that sleep at once are late for every product: these do the one
 * for a moment, then the other.
 */
const WAITING = { OMP_WAIT_POLICY: "passive", GOMP_SPINCOUNT: "10000" };

/**
 * Opens a library that stays: koffi would close it while the process ends, and OpenMP's threads, which wait in it for
 * more work, would crash.
 */
function pinned(koffi: typeof Koffi, path: string): Koffi.LibraryHandle {
  const { env } = process;
  const unset = Object.keys(WAITING).filter((name) => env[name] === undefined);
  if (unset.length === Object.keys(WAITING).length) Object.assign(env, WAITING);
  try {
    const lib = koffi.load(path);
    if (process.platform !== "win32") {
      const own = koffi.load(null);
      const dlopen = own.func("dlopen", "void *", ["str", "int"]) as (path: string, flags: number) => Handle | null;
      dlopen(path, RTLD_NOW);
    }
    return lib;
  } finally {
    for (const name of unset) delete env[name];
  }
}

/** What every oneDNN has, and nothing else does. */
function versionFunction(
  koffi: typeof Koffi,
  lib: Koffi.LibraryHandle,
  path: string,
  versions: Koffi.TypeObject,
): () => unknown {
  try {
    return lib.func("dnnl_version", koffi.pointer(versions), []) as () => unknown;
  } catch (error) {
    throw new InputError(`${path} is not oneDNN: ${HOW_TO_GET}`, { cause: error });
  }
}

/** A type as koffi takes it. */
type CType = string | Koffi.TypeObject | ReturnType<typeof Koffi.out>;

function bind(koffi: typeof Koffi, lib: Koffi.LibraryHandle, path: string): Library {
  const argument = koffi.struct({ arg: "int", memory: "void *" });
  const versions = koffi.struct({ major: "int", minor: "int", patch: "int", hash: "str", runtime: "uint" });
  const { major, minor, patch, runtime } = koffi.decode(versionFunction(koffi, lib, path, versions)(), versions) as {
    readonly [field in "major" | "minor" | "patch" | "runtime"]: number;
  };
  if (major !== 2 && major !== 3) {
    throw new InputError(`${path} is oneDNN ${major}.${minor}.${patch}; versions 2 and 3 are known: ${HOW_TO_GET}`);
  }
  const created = koffi.out(koffi.pointer("void *"));
  type Call = (...args: readonly unknown[]) => number;
  const call = (name: string, ...types: CType[]): Call => {
    const f = lib.func(`dnnl_${name}`, "int", types) as Call;
    return (...args) => {
      const status = f(...args);
      if (status !== 0) throw failure(name, status);
      return status;
    };
  };
  /** A function whose first argument is where it puts the address of what it makes. */
  const maker = (name: string, ...types: CType[]) => {
    const f = call(name, created, ...types);
    return (...args: readonly unknown[]): Handle => {
      const result: [Handle | null] = [null];
      f(result, ...args);
      return result[0]!;
    };
  };
  const failure = (name: string, status: number): Error => {
    const what = `oneDNN ${major}.${minor}.${patch}, ${path}`;
    if (status === OUT_OF_MEMORY) return new Error(`${what}: no memory left for dnnl_${name}`);
    if (status !== UNIMPLEMENTED) return new Error(`${what}: dnnl_${name} failed with status ${status}`);
    return new InputError(`${what}: has no such product for this processor; use --engine onnxruntime, in float32`);
  };

  const engine = maker("engine_create", "int", "size_t")(CPU, 0);
  const stream = maker("stream_create", "void *", "uint")(engine, 0);
  const wait = call("stream_wait", "void *");
  const bytes = lib.func("dnnl_memory_desc_get_size", "size_t", ["void *"]) as (d: Description) => number | bigint;
  const equal = lib.func("dnnl_memory_desc_equal", "int", ["void *", "void *"]) as (
    a: Description,
    b: Description,
  ) => number;
  const query = lib.func("dnnl_primitive_desc_query_md", "void *", ["void *", "int", "int"]) as (
    product: Handle,
    what: number,
    index: number,
  ) => Handle;
  const queryText = call("primitive_desc_query", "void *", "int", "int", koffi.out(koffi.pointer("str")));
  const implementation = (description: Handle): string => {
    const result: [string] = [""];
    queryText(description, IMPLEMENTATION, 0, result);
    return result[0];
  };
  const reorder = maker("reorder_primitive_desc_create", "void *", "void *", "void *", "void *", "void *");
  const memory = maker("memory_create", "void *", "void *", "void *");
  const place = call("memory_set_data_handle", "void *", "void *");
  const prepare = maker("primitive_create", "void *");
  const execute = call("primitive_execute", "void *", "void *", "int", koffi.pointer(argument));
  const destroyers = {
    primitive: call("primitive_destroy", "void *"),
    primitive_desc: call("primitive_desc_destroy", "void *"),
    memory: call("memory_destroy", "void *"),
    primitive_attr: call("primitive_attr_destroy", "void *"),
  };
  const { strided, any, product, convolution, softmax } = major === 2 ? version2() : version3();
  const by =
    (make: Making): Library["product"] =>
    ({ a, b, bias, c, after }) => {
      if (!after) return make(a, b, bias ?? null, c, null);
      const attributes = attributesFor(after);
      try {
        return make(a, b, bias ?? null, c, attributes);
      } finally {
        destroyers.primitive_attr(attributes);
      }
    };
  return {
    path,
    version: `${major}.${minor}.${patch}`,
    setThreads:
      runtime === OPENMP ? (lib.func("omp_set_num_threads", "void", ["int"]) as (threads: number) => void) : undefined,
    otherArgument: POST_OPERATION[major] | 2,
    describe: (sizes, type, strides) =>
      strides === "any" ? any(sizes, TYPE[type]) : strided(sizes, TYPE[type], strides),
    equal: (a, b) => equal(a, b) !== 0,
    bytes: (description) => Number(bytes(description)),
    product: by(product),
    convolution: by(convolution),
    implementation,
    copiesFactors: (description) => implementation(description).startsWith("gemm"),
    softmax,
    likedWeights: (handle) => query(handle, WEIGHTS_DESCRIPTION, 0),
    reorder: (from, to) => reorder(from, engine, to, engine, null),
    prepare,
    memory: (description) => memory(description, engine, null),
    place,
    execute: withoutSignals(koffi, (prepared: Handle, args: readonly Argument[]) => {
      execute(prepared, stream, args.length, args);
      wait(stream);
    }),
    aligned(size) {
      const room = new Uint8Array(size + LINE);
      const from = (LINE - Number(koffi.address(room) % BigInt(LINE))) % LINE;
      return room.subarray(from, from + size);
    },
    destroy: (kind, handle) => void destroyers[kind](handle),
  };

  function attributesFor(after: After<Description>): Handle {
    const operations = maker("post_ops_create")();
    const append = (name: string, types: CType[], ...values: readonly unknown[]) =>
      call(`post_ops_append_${name}`, "void *", ...types)(operations, ...values);
    if (after === "add") {
      if (major === 2) append("sum", ["float"], 1);
      else append("sum", ["float", "int", "int"], 1, 0, 0);
    } else if (after === "silu") {
      if (major === 2) append("eltwise", ["float", "int", "float", "float"], 1, SWISH[2], 1, 0);
      else append("eltwise", ["int", "float", "float"], SWISH[3], 1, 0);
    } else {
      const [kind, other] = "times" in after ? [BINARY_MULTIPLY, after.times] : [BINARY_ADD, after.plus];
      append("binary", ["int", "void *"], kind, other);
    }
    const made = maker("primitive_attr_create")();
    call("primitive_attr_set_post_ops", "void *", "void *")(made, operations);
    call("post_ops_destroy", "void *")(operations);
    return made;
  }

  type Dimensions = readonly number[];
  type Making = (
    a: Description,
    b: Description,
    bias: Description | null,
    c: Description,
    attributes: Handle | null,
  ) => Handle;
  interface Describing {
    strided(dimensions: Dimensions, type: number, strides: Dimensions): Description;
    any(dimensions: Dimensions, type: number): Description;
    readonly product: Making;
    readonly convolution: Making;
    readonly softmax: Library["softmax"];
  }

  function version3(): Describing {
    const withStrides = maker("memory_desc_create_with_strides", "int", "int64_t *", "int", "int64_t *");
    const withTag = maker("memory_desc_create_with_tag", "int", "int64_t *", "int", "int");
    const matmul = maker("matmul_primitive_desc_create", "void *", "void *", "void *", "void *", "void *", "void *");
    const convolution = maker(
      "convolution_forward_primitive_desc_create",
      ...["void *", "int", "int", "void *", "void *", "void *", "void *"],
      ...["int64_t *", "int64_t *", "int64_t *", "int64_t *", "void *"],
    );
    const rest = ["void *", "int", "int", "void *", "void *", "int", "void *"];
    const softmax = maker("softmax_forward_primitive_desc_create", ...rest);
    // Kept, and few: products of one size ask for the same ones whenever they are made again.
    const known = new Map<string, Handle>();
    const once = (key: string, make: () => Handle): Handle => {
      const found = known.get(key) ?? make();
      known.set(key, found);
      return found;
    };
    return {
      strided: (dimensions, type, strides) =>
        once(`${type} ${dimensions} ${strides}`, () => withStrides(dimensions.length, dimensions, type, strides)),
      any: (dimensions, type) => once(`${type} ${dimensions}`, () => withTag(dimensions.length, dimensions, type, ANY)),
      product: (a, b, bias, c, attributes) => matmul(engine, a, b, bias, c, attributes),
      convolution: (a, b, bias, c, attributes) =>
        convolution(engine, FORWARD, DIRECT, a, b, bias, c, STEP, NONE, NONE, NONE, attributes),
      softmax: (from, to) => softmax(engine, FORWARD, SOFTMAX, from, to, 1, null),
    };
  }

  function version2(): Describing {
    const byStrides = call("memory_desc_init_by_strides", "void *", "int", "int64_t *", "int", "int64_t *");
    const byTag = call("memory_desc_init_by_tag", "void *", "int", "int64_t *", "int", "int");
    const matmul = call("matmul_desc_init", "void *", "void *", "void *", "void *", "void *");
    const convolution = call(
      "convolution_forward_desc_init",
      ...["void *", "int", "int", "void *", "void *", "void *", "void *"],
      ...["int64_t *", "int64_t *", "int64_t *"],
    );
    const rest = ["void *", "int", "int", "void *", "void *", "int"];
    const softmax = minor < 6 ? undefined : call("softmax_v2_forward_desc_init", ...rest);
    const create = maker("primitive_desc_create", "void *", "void *", "void *", "void *");
    const filled = (size: number, fill: (struct: Uint8Array) => void) => {
      const struct = new Uint8Array(size);
      fill(struct);
      return struct;
    };
    return {
      strided: (dimensions, type, strides) =>
        filled(DESCRIPTION_BYTES, (d) => byStrides(d, dimensions.length, dimensions, type, strides)),
      any: (dimensions, type) => filled(DESCRIPTION_BYTES, (d) => byTag(d, dimensions.length, dimensions, type, ANY)),
      product(a, b, bias, c, attributes) {
        const operation = filled(OPERATION_BYTES, (o) => matmul(o, a, b, bias, c));
        return create(operation, attributes, engine, null);
      },
      convolution(a, b, bias, c, attributes) {
        const operation = filled(OPERATION_BYTES, (o) =>
          convolution(o, FORWARD, DIRECT, a, b, bias, c, STEP, NONE, NONE),
        );
        return create(operation, attributes, engine, null);
      },
      softmax:
        softmax &&
        ((from, to) => {
          const operation = filled(OPERATION_BYTES, (o) => softmax(o, FORWARD, SOFTMAX, from, to, 1));
          return create(operation, null, engine, null);
        }),
    };
  }
}
