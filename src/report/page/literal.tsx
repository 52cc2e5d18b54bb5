import { CONTROL, codePoint } from "../format.js";

/** Text from models and data as it is, in its own direction; control characters are written out. */
export function Literal({ text }: { readonly text: string }) {
  return <bdi>{literalParts(text)}</bdi>;
}

/** The parts of a text: strings, and control characters by their names. */
export function literalParts(text: string) {
  const parts: (string | preact.JSX.Element)[] = [];
  let begin = 0;
  for (const match of text.matchAll(CONTROL)) {
    parts.push(text.slice(begin, match.index));
    parts.push(<span class="control">{codePoint(match[0])}</span>);
    begin = match.index + match[0].length;
  }
  parts.push(text.slice(begin));
  return parts.filter((part) => part !== "");
}
