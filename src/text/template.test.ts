import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { InputError } from "../errors.js";
import { compileTemplate, type TemplateDialect } from "./template.js";

/** Made by Python's Jinja: see make.py beside it. */
const { record, prompts } = JSON.parse(
  readFileSync(new URL("../../test/fixtures/chat/cases.json", import.meta.url), "utf8"),
) as { record: Record<string, unknown>; prompts: { template: string; text?: string; error?: string }[] };

function render(source: string, variables: Record<string, unknown> = {}, dialect: TemplateDialect = "prompt"): string {
  return compileTemplate(source, "tasks/mine.yaml: prompt", dialect).render(variables);
}

/** The message of the InputError that rendering ends with. */
function failure(source: string, variables?: Record<string, unknown>, dialect?: TemplateDialect): string {
  try {
    render(source, variables, dialect);
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    expect(error.message).toMatch(/^tasks\/mine\.yaml: prompt: [\x20-\x7e]*$/);
    return error.message.slice("tasks/mine.yaml: prompt: ".length);
  }
  throw new Error("no error");
}

describe("prompts, as lm-evaluation-harness's Jinja environment renders them", () => {
  it.each(prompts.filter(({ text }) => text !== undefined))("$template", ({ template, text }) => {
    expect(render(template, record)).toBe(text);
  });

  it.each(prompts.filter(({ error }) => error !== undefined))("$template is an error", ({ template }) => {
    failure(template, record);
  });

  it("any text without tags stays as it is", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        fc.pre(!/\{[{%#]|\r/.test(text));
        expect(render(text)).toBe(text);
      }),
    );
  });

  it("no value is read as a template", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (x) => {
        expect(render("{{ x }}", { x })).toBe(x);
      }),
    );
    expect(render("{{ x }}", { x: "{{ y }}{% if %}" })).toBe("{{ y }}{% if %}");
  });
});

describe("what is unknown in a prompt", () => {
  it("is named, with what was meant", () => {
    const known = { question: "a", choices: { text: [] } };
    expect(failure("Q: {{ quesion }}", known)).toMatch(
      /there is no quesion \(did you mean question\?\); there are: question, choices/,
    );
    expect(failure("{{ choices.txt }}", known)).toMatch(/there is no choices\.txt \(did you mean text\?\)/);
    expect(failure("{{ choices['tests'][0] }}", known)).toMatch(/there is no choices\["tests"\]/);
    expect(failure("{{ questions.strip() }}", known)).toMatch(/there is no questions \(did you mean question\?\)/);
    expect(failure("{{ question.stirp() }}", known)).toMatch(/there is no question\.stirp/);
  });

  it("is empty in a chat template, unless it is called", () => {
    expect(render("[{{ unknown }}{{ x.unknown }}]", { x: {} }, "chat")).toBe("[]");
    expect(failure("{{ x.unknown() }}", { x: {} }, "chat")).toMatch(/there is no x\.unknown/);
  });
});

describe("a malformed template", () => {
  it.each([
    ["a\n\n{% fi x %}", "line 3", "fi"],
    ["a\n{{ x $ }}\nb", "line 2", "$"],
    ["a\n{{ x y }}\nb\n{{ x }}", "line 2", "closing"],
    ["{% if x %}\n\n{% endfor %}\n{% endif %}", "line 3", "endfor"],
    ["a\nb\n{# c\nd", "line 3", "comment"],
    ["a\n{{ x", "line 2", "end"],
  ])("%j names %s", (source, line, what) => {
    const message = failure(source);
    expect(message).toContain(line);
    expect(message).toContain(what);
  });

  it("that ends too early says so", () => {
    expect(failure("a\n{% for x in y %}\nb")).toMatch(/ends too early/);
  });

  it("that is too long or nested too deeply is refused", () => {
    expect(failure("x".repeat(2 ** 20 + 1))).toMatch(/1048577 characters is over the limit of 1048576/);
    expect(failure(`{{ ${"(".repeat(100_000)} }}`)).toMatch(/nested too deeply/);
  });

  it("throws nothing but InputErrors of one line", () => {
    const pieces = [
      "{{",
      "}}",
      "{%",
      "%}",
      "{#",
      "#}",
      "-",
      " if ",
      " for ",
      "x",
      " in ",
      "(",
      ")",
      "[",
      "'",
      "|",
      "trim",
    ];
    pieces.push(
      " set ",
      "=",
      ".",
      "\n",
      " endif ",
      " endfor ",
      "~",
      "1",
      ",",
      " is ",
      "defined",
      " else ",
      "{",
      "}",
      ":",
    );
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 30 }), (parts) => {
        try {
          render(parts.join(""), { x: "a" });
        } catch (error) {
          expect(error).toBeInstanceOf(InputError);
          expect((error as Error).message).not.toMatch(/[\r\n]/);
        }
      }),
      { numRuns: 1_000 },
    );
  });
});

describe("a hostile template", () => {
  const endless = "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}";
  const doubled = (begin: string, step: string) =>
    `{% set ns = namespace(x=${begin}) %}{% for i in range(60) %}{% set ns.x = ${step} %}{% endfor %}{{ ns.x|length }}`;

  it("that loops for ever is stopped", () => {
    expect(failure(endless)).toMatch(/takes more than 2000 ms/);
    expect(render("next {{ x }}", { x: 1 })).toBe("next 1");
  }, 20_000);

  it("that keeps the reader busy for ever is stopped", () => {
    expect(failure(`${" ".repeat(500_000)}x`)).toMatch(/takes more than 2000 ms/);
  }, 20_000);

  it.each([
    ["a range", "{% for a in range(10 ** 9) %}x{% endfor %}", /range\(\) of 1000000000 numbers/],
    ["a doubled text", doubled("'ab'", "ns.x + ns.x"), /more than 16777216 characters/],
    ["a doubled text by ~", doubled("'ab'", "ns.x ~ ns.x"), /more than 16777216 characters/],
    ["a doubled list", doubled("[1]", "ns.x + ns.x"), /list of more than 100000 items/],
    ["a replaced text", doubled("'ab'", "ns.x.replace('', ns.x)"), /16777216 characters|string length/],
    ["an indentation", "{{ 'a'|indent(width=1000000000, first=true) }}", /string length/],
    [
      "a block set again and again",
      "{% set ns = namespace(x='ab') %}{% for i in range(60) %}{% set y %}{{ ns.x }}{{ ns.x }}{% endset %}{% set ns.x = y %}{% endfor %}",
      /more than 16777216 characters/,
    ],
    ["a macro that calls itself", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", /fails/],
  ])("that grows by %s is stopped", (_, source, message) => {
    expect(failure(source)).toMatch(message);
  });

  it.each(["constructor", "__proto__", "prototype", "toString", "valueOf", "hasOwnProperty", "__defineGetter__"])(
    "finds no %s on any value",
    (name) => {
      const variables = { text: "a", list: [1], record: { a: 1 }, number: 1, none: null, call: () => 1 };
      for (const value of [
        ...Object.keys(variables),
        "''",
        "[]",
        "{}",
        "range",
        "namespace",
        "namespace(a=1)",
        "loop",
      ]) {
        const tag = (expression: string) => `{% for i in [1] %}${expression}{% endfor %}`;
        expect(render(tag(`{{ ${value}.${name} is defined }}`), variables)).toBe("False");
        expect(render(tag(`{{ ${value}.${name} }}`), variables, "chat")).toBe("");
        expect(failure(tag(`{{ ${value}.${name}() }}`), variables, "chat")).toContain(`.${name}`);
        expect(failure(tag(`{{ ${value}|${name} }}`), variables, "chat")).toMatch(/filter/);
      }
    },
  );

  it("may name its own things so", () => {
    const source = "{% set __proto__ = 1 %}{% set ns = namespace(constructor=2) %}{{ __proto__ }}{{ ns.constructor }}";
    expect(render(source)).toBe("12");
    expect(render("{{ d.__proto__ }}", { d: JSON.parse('{"__proto__": "own"}') })).toBe("own");
    expect(({} as Record<string, unknown>)["own"]).toBeUndefined();
  });

  it("prints no function, list or mapping", () => {
    expect(failure("{{ range }}")).toMatch(/range is a function, not text/);
    expect(failure("{{ '' ~ range }}")).toMatch(/range is a function, not text/);
    expect(failure("{{ x }}", { x: ["a"] })).toMatch(/x is a list, not text: take one item/);
    expect(failure("{{ x.y }}", { x: { y: { z: 1 } } })).toMatch(/x\.y is a mapping, not text/);
  });

  it("may say only a short line of its own", () => {
    const refuse = (message: unknown) => {
      throw new Error(String(message));
    };
    expect(failure("{{ refuse(x) }}", { refuse, x: "a\n\x1b[31mb" })).toMatch(/: a \[31mb$/);
    expect(failure("{{ refuse(x) }}", { refuse, x: "long ".repeat(1000) }).length).toBeLessThan(400);
  });
});
