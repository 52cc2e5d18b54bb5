import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Checkpoint } from "../checkpoint/checkpoint.js";
import { openCheckpoint } from "../checkpoint/open.js";
import { InputError } from "../errors.js";
import { type Model, openModel } from "./model.js";
import { selectSites } from "./select-sites.js";

describe("selectSites", () => {
  let checkpoint: Checkpoint;
  let model: Model;
  beforeAll(async () => {
    checkpoint = await openCheckpoint("assets/models/stories260K"); // 5 layers of 7 linears
    model = openModel(checkpoint);
  });
  afterAll(() => checkpoint.close());

  it.each([
    [{}, 35],
    [{ only: ["*.mlp.down_proj"] }, 5],
    [{ only: ["mlp.down_proj"] }, 5],
    [{ only: ["model.layers.3"] }, 7],
    [{ only: ["model.layers.{0,1}.*"] }, 14],
    [{ skip: ["model.layers.0"] }, 28],
    [{ skip: ["mlp.*", "model.layers.4"] }, 16],
    [{ only: ["mlp.*"], skip: ["*.gate_proj"] }, 10],
    [{ only: ["model.layers.2.self_attn.q_proj"] }, 1],
  ])("%j names %i sites", (selection, count) => {
    expect(selectSites(model, selection).size).toBe(count);
  });

  it("refuses a glob that matches nothing, and says what sites are called", () => {
    expect(() => selectSites(model, { only: ["mlp.down_prj"] })).toThrow(InputError);
    expect(() => selectSites(model, { only: ["mlp.down_prj"] })).toThrow(
      /--only mlp\.down_prj: matches no site.*did you mean mlp\.down_proj/,
    );
    expect(() => selectSites(model, { skip: ["lm_head"] })).toThrow(/--skip lm_head: matches no site/);
  });

  it("refuses to leave nothing", () => {
    expect(() => selectSites(model, { skip: ["*"] })).toThrow(/leave no site/);
  });
});
