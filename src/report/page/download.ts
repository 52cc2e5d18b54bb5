/** Figures as files: SVG with its colours written out, PNG at twice its size, and the data as CSV. */

const PIXELS = 2;

/** Text colour and background by the page's variables, as a figure's own style where it stands alone. */
const ALONE =
  "text{white-space:pre}svg{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif}";

/** An SVG that needs nothing of the page around it. */
export function standaloneSvg(figure: SVGSVGElement, title: string): string {
  const copy = figure.cloneNode(true) as SVGSVGElement;
  const style = getComputedStyle(document.documentElement);
  const add = <K extends "title" | "style" | "rect">(name: K) =>
    document.createElementNS("http://www.w3.org/2000/svg", name);
  const background = add("rect");
  for (const [key, value] of Object.entries({ width: "100%", height: "100%", fill: "var(--surface)" })) {
    background.setAttribute(key, value);
  }
  const name = add("title");
  name.textContent = title;
  const rules = add("style");
  rules.textContent = ALONE;
  copy.prepend(name, rules, background);
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("color", "var(--text)");
  return `${new XMLSerializer().serializeToString(copy)}\n`.replace(/var\((--[\w-]+)\)/g, (_, variable: string) =>
    style.getPropertyValue(variable).trim(),
  );
}

/** Draws an SVG on a canvas. */
export async function pngOf(svg: string, width: number, height: number): Promise<Blob> {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = width * PIXELS;
  canvas.height = height * PIXELS;
  canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("the canvas gave no image"))), "image/png");
  });
}

/** RFC 4180. A text that a spreadsheet would take for a formula gets an apostrophe in front. */
export function csv(rows: readonly (readonly (string | number | null)[])[]): string {
  const field = (value: string | number | null) => {
    if (value === null) return "";
    if (typeof value === "number") return String(value);
    const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return rows.map((row) => `${row.map(field).join(",")}\r\n`).join("");
}

/** Hands the reader a file. */
export function save(name: string, content: Blob): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
