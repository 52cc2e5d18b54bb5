import * as library from "@huggingface/jinja";

/**
 * What is used of @huggingface/jinja, said here because the package's own declarations import without file extensions, so that
 * TypeScript's NodeNext resolution finds none of them.
 */

/** A piece of a parsed template; which fields it has depends on `type`. */
export interface Node {
  readonly type: string;
  readonly value?: unknown;
  readonly operand?: Node;
  readonly filter?: Node;
  readonly test?: Node;
  readonly callee?: Node;
  readonly args?: readonly Node[];
  readonly object?: Node;
  readonly property?: Node;
  readonly computed?: boolean;
  readonly operator?: { readonly value: string };
  readonly left?: Node;
  readonly right?: Node;
  readonly body?: readonly Node[];
  readonly alternate?: readonly Node[];
  readonly defaultBlock?: readonly Node[];
}

/** A value while a template is rendered: text, number, list (an array of values), mapping (a Map of values), ... */
export interface Value {
  readonly type: string;
  readonly value: unknown;
  toString(): string;
}

/** The variables of a scope, and through `parent` those around it. */
export interface Scope {
  readonly variables: Map<string, Value>;
  /** Turns plain data or a function into a Value and declares it; throws if it is declared in this scope. */
  set(name: string, value: unknown): Value;
}

interface Interpreter {
  run(program: Node): Value;
  /** Every value of a rendering comes from here: the interpreter calls itself by this method. */
  evaluate(node: Node | undefined, scope: Scope): Value;
}

export interface Token {
  readonly type: string;
}

/** A single newline at the end is dropped, whatever the options. Throws plain errors. */
export const tokenize: (source: string, options: { trim_blocks: boolean; lstrip_blocks: boolean }) => Token[] =
  library.tokenize;

/** Throws plain errors that name no place. */
export const parse: (tokens: Token[]) => Node = library.parse;

export const createScope = (parent?: Scope): Scope => new library.Environment(parent);

export const createInterpreter = (scope: Scope): Interpreter => new library.Interpreter(scope);
