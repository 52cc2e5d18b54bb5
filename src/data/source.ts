/** A file that a source was read from, named in results by its hash. */
export interface SourceFile {
  readonly path: string;
  /** Of the file's bytes as they lie on disk, hexadecimal. */
  readonly sha256: string;
}

interface SourceOrigin {
  /** The built-in name or the path, as the user typed it. */
  readonly name: string;
  /** Of a built-in source that has several, the one taken. */
  readonly split: string | undefined;
  readonly files: readonly SourceFile[];
}

/** Text, still to be tokenized. */
export interface DocumentSource extends SourceOrigin {
  readonly kind: "documents";
  readonly documents: readonly string[];
  /** What stands between documents where they are joined to one text. */
  readonly separator: "\n\n";
  /** The one text that the reference code of Wanda draws from, where it treats the data set as one: WikiText-2. */
  readonly referenceText?: string;
}

/** Token ids, to be used as they are: no tokenizer is needed. */
export interface WindowSource extends SourceOrigin {
  readonly kind: "windows";
  readonly windows: readonly Int32Array[];
}

export type Source = DocumentSource | WindowSource;
