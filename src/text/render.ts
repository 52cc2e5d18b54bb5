import { createInterpreter, createScope, type Node, type Scope, type Value } from "./jinja.js";
import { nearest } from "./nearest.js";
import { capitalize, strip } from "./python-text.js";

/** Characters of text and items of lists that one rendering may make, all its steps together. */
const MAX_MADE = 2 ** 24;
/** Items of one list. Jinja's own sandbox allows as many to range(). */
const MAX_LIST = 100_000;
/** Names that an error lists. */
const MAX_NAMES = 20;

/** What stands between tags or does something, in a list of statements; all else there is an expression to print. */
const STATEMENTS: ReadonlySet<string> = new Set([
  "Set",
  "Macro",
  "Comment",
  "If",
  "For",
  "Break",
  "Continue",
  "CallStatement",
  "FilterStatement",
]);
/** Nodes whose text or list is new. Blocks are not: their text is joined without copying until something reads it. */
const MAKERS: ReadonlySet<string> = new Set([
  "BinaryExpression",
  "FilterExpression",
  "CallExpression",
  "CallStatement",
  "FilterStatement",
  "ArrayLiteral",
]);

type Change = (text: string, argument?: string) => string;

/** str's methods that the package does otherwise than Python, or without their argument. */
const METHODS: ReadonlyMap<string, Change> = new Map([
  ["strip", (text: string, characters?: string) => strip(text, "both", characters)],
  ["lstrip", (text: string, characters?: string) => strip(text, "left", characters)],
  ["rstrip", (text: string, characters?: string) => strip(text, "right", characters)],
  ["capitalize", capitalize],
]);
/** Jinja's filters of that kind. */
const FILTERS: ReadonlyMap<string, Change> = new Map([
  ["trim", (text: string, characters?: string) => strip(text, "both", characters)],
  ["capitalize", capitalize],
]);

/** A parsed template and what has to be known of its nodes. */
export interface Program {
  readonly root: Node;
  /** Expressions whose value is printed. */
  readonly printed: ReadonlySet<Node>;
  /** Expressions that may be undefined: `x is defined`, `x | default(...)`. */
  readonly optional: ReadonlySet<Node>;
  /** Expressions that are called. */
  readonly called: ReadonlySet<Node>;
}

/** Reads a parsed template once. */
export function analyse(root: Node): Program {
  const printed = new Set<Node>();
  const optional = new Set<Node>();
  const called = new Set<Node>();
  const visit = (node: Node): void => {
    for (const child of [node.body, node.alternate, node.defaultBlock].flatMap((list) => list ?? [])) {
      if (!STATEMENTS.has(child.type)) printed.add(child);
    }
    const asksDefined = node.type === "TestExpression" && /^(un)?defined$/.test(String(node.test?.value));
    const hasDefault = node.type === "FilterExpression" && filterOf(node)?.name === "default";
    if (node.operand && (asksDefined || hasDefault)) optional.add(node.operand);
    if (node.callee) called.add(node.callee);
    for (const child of Object.values(node).flatMap((field) => (field instanceof Map ? [...field].flat() : field))) {
      if (isNode(child)) visit(child);
    }
  };
  visit(root);
  return { root, printed, optional, called };
}

/**
 * The text of a template with these variables. `strict` makes an unknown variable or attribute an error, as Jinja's
 * StrictUndefined does. Throws plain errors of one line.
 */
export function render(program: Program, variables: Readonly<Record<string, unknown>>, strict: boolean): string {
  const globals = createScope();
  for (const [name, value] of Object.entries(GLOBALS)) globals.set(name, value);
  const scope = createScope(globals);
  for (const [name, value] of Object.entries(variables)) {
    scope.variables.delete(name); // every scope of the package begins with `namespace`
    scope.set(name, value);
  }
  const interpreter = createInterpreter(scope);
  const evaluate = interpreter.evaluate.bind(interpreter);
  let made = 0;

  interpreter.evaluate = (node, at) => {
    if (node === undefined) return evaluate(node, at);
    const value = asPython(node, at) ?? evaluate(node, at);
    if (typeof value.value === "string" || Array.isArray(value.value)) {
      const { length } = value.value;
      if (MAKERS.has(node.type) || node.property?.type === "SliceExpression") made += length;
      if (Math.max(made, length) > MAX_MADE) throw new Error(`it makes more than ${MAX_MADE} characters of text`);
      if (length > MAX_LIST && typeof value.value !== "string") {
        throw new Error(`it makes a list of more than ${MAX_LIST} items`);
      }
    }
    const mustExist = strict ? !program.optional.has(node) : program.called.has(node);
    if (value.type === "UndefinedValue" && mustExist) checkKnown(node, at);
    return program.printed.has(node) && value.type !== "StringValue" ? newValue(textOf(node, value)) : value;
  };

  /** The value of a node that the package computes otherwise than Python; undefined for all others. */
  function asPython(node: Node, at: Scope): Value | undefined {
    const operator = node.operator?.value;
    if (node.type === "BinaryExpression" && (operator === "==" || operator === "!=")) {
      const same = equal(interpreter.evaluate(node.left, at), interpreter.evaluate(node.right, at));
      return newValue(same === (operator === "=="));
    }
    if (node.type === "BinaryExpression" && operator === "~") {
      const [left, right] = [node.left!, node.right!].map((side) => textOf(side, interpreter.evaluate(side, at)));
      return newValue(`${left}${right}`);
    }
    const call = filterOf(node) ?? methodOf(node);
    const change = call?.table.get(call.name);
    if (!call || !change) return undefined;
    const text = interpreter.evaluate(call.operand, at).value;
    const argument = interpreter.evaluate(call.args[0], at).value ?? undefined;
    if (typeof text !== "string") return undefined;
    if (argument !== undefined && typeof argument !== "string") throw new Error(`${call.name}() takes text`);
    return newValue(change(text, argument));
  }

  function checkKnown(node: Node, at: Scope): void {
    let names: string[];
    if (node.type === "Identifier") names = Object.keys(variables);
    else if (node.type === "MemberExpression") {
      const { value } = interpreter.evaluate(node.object, at);
      names = value instanceof Map ? [...value.keys()] : [];
    } else return;
    const name = sourceOf(node);
    const close = nearest(String((node.property ?? node).value), names);
    const rest = names.length > MAX_NAMES ? ", ..." : "";
    throw new Error(
      `there is no ${name}${close === undefined ? "" : ` (did you mean ${close}?)`}` +
        (names.length === 0 ? "" : `; there are: ${names.slice(0, MAX_NAMES).join(", ")}${rest}`),
    );
  }

  const text = interpreter.run(program.root).value;
  if (typeof text !== "string") throw new Error("it gives no text");
  return text;
}

const GLOBALS: Readonly<Record<string, unknown>> = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
  range,
};

/** Python's range as a list. */
function range(first: unknown, second: unknown, step: unknown = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  if (![start, stop, step].every(Number.isInteger) || step === 0) throw new Error("range() takes whole numbers");
  const [from, to, by] = [start, stop, step] as [number, number, number];
  const length = Math.max(0, Math.ceil((to - from) / by));
  if (length > MAX_LIST) throw new Error(`range() of ${length} numbers is more than the limit of ${MAX_LIST}`);
  return Array.from({ length }, (_, i) => from + i * by);
}

const newValue = (data: string | boolean): Value => createScope().set("value", data);

/** Python's `==`; the package's is JavaScript's, by which 1 == "1", none == undefined, and no list equals another. */
function equal(a: Value, b: Value): boolean {
  const isNumber = ({ type }: Value) => type === "IntegerValue" || type === "FloatValue" || type === "BooleanValue";
  if (isNumber(a) && isNumber(b)) return Number(a.value) === Number(b.value);
  if (a.type !== b.type) return false;
  if (Array.isArray(a.value) && Array.isArray(b.value)) {
    const other = b.value;
    return a.value.length === other.length && a.value.every((item, i) => equal(item, other[i]));
  }
  if (a.value instanceof Map && b.value instanceof Map) {
    const other = b.value;
    return a.value.size === other.size && [...a.value].every(([k, item]) => other.has(k) && equal(item, other.get(k)));
  }
  return a.value === b.value;
}

/** Python's str() of a value. Lists and mappings look different there, and are an error here. */
function textOf(node: Node, value: Value): string {
  switch (value.type) {
    case "NullValue":
      return "None";
    case "BooleanValue":
      return value.value ? "True" : "False";
    case "UndefinedValue":
      return "";
    case "StringValue":
    case "IntegerValue":
    case "FloatValue":
      return value.toString();
    case "ArrayValue":
    case "TupleValue":
      throw new Error(`${sourceOf(node)} is a list, not text: take one item of it, or join them`);
    case "FunctionValue":
      throw new Error(`${sourceOf(node)} is a function, not text: call it`);
    default:
      throw new Error(`${sourceOf(node)} is a mapping, not text: take one item of it`);
  }
}

interface Call {
  readonly table: ReadonlyMap<string, Change>;
  readonly name: string;
  readonly operand: Node | undefined;
  readonly args: readonly Node[];
}

/** `operand | name` and `operand | name(args)`. */
function filterOf({ type, operand, filter }: Node): Call | undefined {
  if (type !== "FilterExpression" || !filter) return undefined;
  return { table: FILTERS, name: String((filter.callee ?? filter).value), operand, args: filter.args ?? [] };
}

/** `operand.name(args)`. */
function methodOf({ type, callee, args = [] }: Node): Call | undefined {
  if (type !== "CallExpression" || callee?.type !== "MemberExpression" || callee.computed) return undefined;
  return { table: METHODS, name: String(callee.property?.value), operand: callee.object, args };
}

function isNode(field: unknown): field is Node {
  return typeof field === "object" && field !== null && "type" in field;
}

/** A variable or attribute as it stands in the template, roughly. */
function sourceOf({ type, object, property, computed, value }: Node): string {
  if (type === "Identifier") return String(value);
  if (type === "StringLiteral") return JSON.stringify(value);
  if (type !== "MemberExpression" || !object || !property) return "(...)";
  const key = property.type === "StringLiteral" ? JSON.stringify(property.value) : String(property.value ?? "...");
  return computed ? `${sourceOf(object)}[${key}]` : `${sourceOf(object)}.${key}`;
}
