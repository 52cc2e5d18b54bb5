/** What Python's str methods do where JavaScript's differ. */

const SEPARATORS: ReadonlySet<string> = new Set("\x1c\x1d\x1e\x1f\x85");

/** str.isspace() of a character. */
const isSpace = (character: string) => (/\s/.test(character) && character !== "\ufeff") || SEPARATORS.has(character);

type Side = "both" | "left" | "right";

/** str.strip(characters), lstrip and rstrip: any of the characters (white space, if not given) at the ends goes. */
export function strip(text: string, side: Side, characters?: string): string {
  const set = characters === undefined ? undefined : new Set(characters);
  const goes = (character: string) => (set ? set.has(character) : isSpace(character));
  let start = 0;
  let end = text.length;
  while (side !== "right" && start < end) {
    const character = String.fromCodePoint(text.codePointAt(start)!);
    if (!goes(character)) break;
    start += character.length;
  }
  while (side !== "left" && start < end) {
    const pair = text.slice(Math.max(start, end - 2), end);
    const character = /^[\ud800-\udbff][\udc00-\udfff]$/.test(pair) ? pair : pair.slice(-1);
    if (!goes(character)) break;
    end -= character.length;
  }
  return text.slice(start, end);
}

/** str.capitalize(): the first character in upper case, all others in lower case. */
export function capitalize(text: string): string {
  const [first = ""] = text;
  return first.toUpperCase() + text.slice(first.length).toLowerCase();
}
