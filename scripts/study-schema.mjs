// Writes the JSON schema of study files, by which editors complete and check them; part of the build.
import { writeFileSync } from "node:fs";
import { z } from "zod";
import { studySchema } from "../dist/study/schema.js";

const schema = {
  title: "A study of pare",
  ...z.toJSONSchema(studySchema, { io: "input" }),
};
writeFileSync(new URL("../dist/study/study.schema.json", import.meta.url), `${JSON.stringify(schema, null, 2)}\n`);
