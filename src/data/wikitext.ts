/** An article's heading: ` = Robert Boulter = `; sections have more signs. */
const HEADING = /^ = [^=].* = \n?$/;

/**
 * The rows of Hugging Face's `wikitext` data sets (configuration `-raw-v1`): one a line, with its line end, and the
 * empty string for a line of white space.
 */
export function wikitextRows(file: string): string[] {
  // Python's text files, by which those rows were made, know these line ends and no others.
  const lines = file.replace(/\r\n?/g, "\n").match(/[^\n]*\n|[^\n]+$/g) ?? [];
  return lines.map((line) => (line.trim() === "" ? "" : line));
}

/**
 * The rows of an article joined by "\n\n": the same text as that of all rows joined, in pieces that make sense alone.
 * What comes before the first heading belongs to the first article.
 */
export function wikitextArticles(rows: readonly string[]): string[] {
  const articles: string[][] = [];
  let begun = false; // whether the last article has more than blank rows
  for (const row of rows) {
    const last = articles.at(-1);
    if (last === undefined || (begun && HEADING.test(row))) articles.push([row]);
    else last.push(row);
    begun = (begun && articles.at(-1) === last) || row !== "";
  }
  return articles.map((article) => article.join("\n\n"));
}
