import { afterAll, beforeEach, expect, it } from "vitest";
import { InputError } from "../../errors.js";
import { openLibrary } from "./library.js";

const named = process.env["PARE_ONEDNN"];
beforeEach(() => {
  delete process.env["PARE_ONEDNN"];
});
afterAll(() => {
  if (named !== undefined) process.env["PARE_ONEDNN"] = named;
});

it("a file that PARE_ONEDNN names is not looked for elsewhere", () => {
  process.env["PARE_ONEDNN"] = "/nowhere/libdnnl.so.3";
  expect(openLibrary).toThrow(InputError);
  expect(openLibrary).toThrow(/^PARE_ONEDNN=\/nowhere\/libdnnl\.so\.3 cannot be opened: /);
});

it.skipIf(process.platform !== "linux")("another library is refused by its name", () => {
  process.env["PARE_ONEDNN"] = "libm.so.6";
  expect(openLibrary).toThrow(InputError);
  expect(openLibrary).toThrow(/^libm\.so\.6 is not oneDNN: install it \(.*apt install libdnnl3/);
});
