/** What a source is read for: data sets with splits have another one for each. */
export type Purpose = "calibration" | "evaluation";

/** One place in the data folder where a built-in source may lie. */
interface Candidate {
  readonly path: string;
  readonly split: string | undefined;
}

/** A data set on the Hugging Face hub, at one commit, so that the same name means the same text tomorrow. */
interface HubSource {
  /** `org/name` */
  readonly name: string;
  readonly commit: string;
  readonly files: Readonly<Record<Purpose, { readonly path: string; readonly split: string }>>;
}

/** A data set that pare knows by name. */
export interface BuiltInSource {
  readonly name: string;
  /** One line for `pare list data`. */
  readonly summary: string;
  readonly licence: string;
  /** Where to get it. */
  readonly origin: string;
  /** What of the hub is taken where none of the candidates is there and no excerpt is carried. */
  readonly hub?: HubSource;
  /** Looked for in this order; the first that is there is taken. */
  readonly candidates: Readonly<Record<Purpose, readonly Candidate[]>>;
  /** Whether a file holds WikiText's lines, each of which is a row of the data set. */
  readonly rowALine?: true;
  /** Carried in the package for when no file is there. */
  readonly excerpt?: string;
}

const wikitextFiles = (split: "train" | "test"): Candidate[] =>
  [
    `wikitext2-raw/wiki.${split}.raw`,
    `wikitext-2-raw/wiki.${split}.raw`,
    `wiki.${split}.raw`,
    `wikitext-2-raw-v1/${split}-00000-of-00001.parquet`,
    `wikitext/wikitext-2-raw-v1/${split}-00000-of-00001.parquet`,
  ].map((path) => ({ path, split }));

const c4Files = (split: string, file: string): Candidate[] =>
  ["c4/en/", "c4/", "en/", ""].flatMap((folder) =>
    [".json.gz", ".json", ".jsonl", ".jsonl.gz"].map((ending) => ({ path: `${folder}${file}${ending}`, split })),
  );

const C4_SAMPLE: Candidate[] = ["c4/c4_demo.jsonl", "c4_demo.jsonl", "c4.jsonl", "c4.json"].map((path) => ({
  path,
  split: undefined,
}));

const tinyStoriesFiles = (split: string, file: string): Candidate[] =>
  ["tinystories/data/", "TinyStories/data/", "tinystories/", ""].map((folder) => ({ path: folder + file, split }));

const TINYSTORIES_SAMPLE: Candidate[] = ["tinystories/tinystories_1000.json", "tinystories_1000.json"].map((path) => ({
  path,
  split: undefined,
}));

/** The built-in sources, in the order in which they are listed. */
export const builtInSources: readonly BuiltInSource[] = [
  {
    name: "wikitext2",
    summary: "WikiText-2 raw, Wikipedia articles: calibration by train where that is there, evaluation by test",
    licence: "CC BY-SA 3.0 and GFDL",
    origin: "https://huggingface.co/datasets/Salesforce/wikitext",
    hub: {
      name: "Salesforce/wikitext",
      commit: "b08601e04326c79dfdd32d625aee71d232d685c3",
      files: {
        calibration: { path: "wikitext-2-raw-v1/train-00000-of-00001.parquet", split: "train" },
        evaluation: { path: "wikitext-2-raw-v1/test-00000-of-00001.parquet", split: "test" },
      },
    },
    candidates: { calibration: wikitextFiles("train"), evaluation: wikitextFiles("test") },
    rowALine: true,
  },
  {
    name: "c4",
    summary: "C4 (en), cleaned web pages: calibration by the first train file, evaluation by the first validation file",
    licence: "ODC-BY 1.0",
    origin: "https://huggingface.co/datasets/allenai/c4",
    hub: {
      name: "allenai/c4",
      commit: "1588ec454efa1a09f29cd18ddd04fe05fc8653a2",
      files: {
        calibration: { path: "en/c4-train.00000-of-01024.json.gz", split: "train" },
        evaluation: { path: "en/c4-validation.00000-of-00008.json.gz", split: "validation" },
      },
    },
    candidates: {
      calibration: [...c4Files("train", "c4-train.00000-of-01024"), ...C4_SAMPLE],
      evaluation: [...c4Files("validation", "c4-validation.00000-of-00008"), ...C4_SAMPLE],
    },
  },
  {
    name: "tinystories",
    summary:
      "TinyStories, short stories in simple English: an excerpt comes with pare, half of it for calibration, half for evaluation",
    licence: "CDLA-Sharing-1.0",
    origin: "https://huggingface.co/datasets/roneneldan/TinyStories",
    candidates: {
      calibration: [
        ...tinyStoriesFiles("train", "train-00000-of-00004-2d5a1467fff1081b.parquet"),
        ...TINYSTORIES_SAMPLE,
      ],
      evaluation: [
        ...tinyStoriesFiles("validation", "validation-00000-of-00001-869c898b519ad725.parquet"),
        ...TINYSTORIES_SAMPLE,
      ],
    },
    excerpt: "tinystories-excerpt.json",
  },
];

/** Names for `pare list data` and "did you mean". */
export const builtInSourceNames: readonly string[] = builtInSources.map((source) => source.name);
