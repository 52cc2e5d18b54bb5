import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { csv, pngOf, save, standaloneSvg } from "./download.js";
import { Fold } from "./fold.js";
import { Literal } from "./literal.js";

/** Width of a figure that is downloaded, so that it does not depend on the window. */
const DOWNLOAD_WIDTH = 760;

/** A figure's data, a row a mark. */
interface FigureData {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | number | null)[])[];
}

interface Props {
  /** Name of downloaded files. */
  readonly name: string;
  readonly title: string;
  /** What is drawn, in which units, and what the intervals are. */
  readonly caption: string;
  readonly data: FigureData;
  /** What a screen reader says instead of the drawing. */
  readonly summary: string;
  readonly draw: (width: number) => SVGSVGElement;
  /** When `draw` gives another figure. */
  readonly drawn: readonly unknown[];
  readonly children?: ComponentChildren;
}

/** A figure with its title, units, the data behind it, and downloads. */
export function Figure({ name, title, caption, data, summary, draw, drawn, children }: Props) {
  const frame = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => setWidth(Math.floor(entry?.contentRect.width ?? 0)));
    if (frame.current) observer.observe(frame.current);
    return () => observer.disconnect();
  }, []);
  useLayoutEffect(() => {
    if (width > 0) frame.current?.replaceChildren(draw(width));
  }, [width, ...drawn]);
  const download = async (kind: "svg" | "png") => {
    const figure = draw(DOWNLOAD_WIDTH);
    const svg = standaloneSvg(figure, title);
    const image =
      kind === "svg"
        ? new Blob([svg], { type: "image/svg+xml" })
        : await pngOf(svg, DOWNLOAD_WIDTH, Number(figure.getAttribute("height")));
    save(`${name}.${kind}`, image);
  };
  return (
    <figure class="figure" id={name} aria-labelledby={`${name}-title`}>
      <figcaption>
        <h3 id={`${name}-title`}>{title}</h3>
        <p>{caption}</p>
      </figcaption>
      {children && <div class="controls">{children}</div>}
      <div ref={frame} class="drawing" role="img" aria-label={summary} />
      <div class="behind">
        <Fold summary={`Data (${data.rows.length} rows)`}>
          <DataTable data={data} label={`Data of: ${title}`} />
        </Fold>
        <fieldset class="downloads" aria-label={`Download: ${title}`}>
          <button type="button" class="quiet" onClick={() => void download("svg")}>
            SVG
          </button>
          <button type="button" class="quiet" onClick={() => void download("png")}>
            PNG
          </button>
          <button
            type="button"
            class="quiet"
            onClick={() => save(`${name}.csv`, new Blob([csv([data.columns, ...data.rows])], { type: "text/csv" }))}
          >
            CSV
          </button>
        </fieldset>
      </div>
    </figure>
  );
}

function DataTable({ data: { columns, rows }, label }: { readonly data: FigureData; readonly label: string }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls has to be reached by the keyboard
    <section class="scroll data" tabIndex={0} aria-label={label}>
      <table>
        <thead>
          <tr>
            {columns.map((column, c) => (
              <th key={c} scope="col">
                {column}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, r) => (
            <tr key={r}>
              {row.map((value, c) => (
                <td key={c} class={typeof value === "number" ? "number" : undefined}>
                  {typeof value === "string" ? (
                    <Literal text={value} />
                  ) : value === null ? (
                    "–"
                  ) : (
                    Number(value.toPrecision(5))
                  )}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
