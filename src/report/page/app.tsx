import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { plain } from "../format.js";
import type { LiveEndpoints, ReportData } from "../report-data.js";
import { CellsTable } from "./cells-table.js";
import { AgreementFigure } from "./figures/agreement.js";
import { CalibrationFigure } from "./figures/calibration.js";
import { DivergenceFigure } from "./figures/divergence.js";
import { BlockFigure, LayerSparsityFigure } from "./figures/layers.js";
import { TasksFigure } from "./figures/tasks.js";
import { TradeoffFigure } from "./figures/tradeoff.js";
import { Findings } from "./findings.js";
import { HeatMap } from "./heat-map.js";
import { ItemBrowser } from "./item-browser.js";
import { Literal } from "./literal.js";
import { Live } from "./live.js";
import { Provenance } from "./provenance.js";
import { Select } from "./select.js";
import { ThemeButton } from "./theme.js";
import { Verdict } from "./verdict.js";

interface Props {
  readonly data: ReportData;
  readonly live: LiveEndpoints | undefined;
}

/** The whole report. Two choices are made once and hold for all of it: the text that is measured on, and the model looked at. */
export function App({ data: first, live }: Props) {
  const [data, setData] = useState(first);
  const sources = data.measures.filter(({ kind }) => kind === "jsd").map(({ source }) => source ?? "");
  const [source, setSource] = useState(sources[0] ?? "");
  const [selected, setSelected] = useState(firstCell(first));
  const cell = data.cells.find(({ id }) => id === selected) ?? data.cells[0];
  const damage = data.blocks.find((block) => block.cell === cell?.id);
  const chooseText = (
    <Select label="Text" value={source} options={sources.map((name) => [name, name] as const)} onChange={setSource} />
  );
  const chooseModel = cell && (
    <Select
      label="Model"
      value={cell.id}
      options={data.cells.map(({ id, name }) => [id, name] as const)}
      onChange={setSelected}
    />
  );
  return (
    <>
      <a class="skip" href="#models">
        Skip to the table of models
      </a>
      <header class="top">
        <div>
          <h1>
            <Literal text={data.study.name} />
          </h1>
          <p class="muted">
            {data.study.models
              .map(({ name, parameters }) => `${plain(name)} (${millions(parameters)} parameters)`)
              .join(", ")}{" "}
            · {data.cells.length} compressed models ·{" "}
            <time dateTime={data.study.createdAt}>{data.study.createdAt.slice(0, 10)}</time> · pare {data.study.pare}
          </p>
        </div>
        <ThemeButton />
      </header>
      <main>
        {live && <Live live={live} onData={setData} />}
        {data.missing.length > 0 && (
          <div class="banner">
            <p>
              {data.missing.length} of {data.missing.length + data.cells.length} models are not finished; they are in no
              figure.
            </p>
            {data.failed.map(({ name, error }) => (
              <p key={name}>
                <strong>
                  <Literal text={name} />
                </strong>{" "}
                failed: <Literal text={error} />
              </p>
            ))}
          </div>
        )}
        <Verdict data={data} source={source} />
        <Part id="findings" title="Findings">
          <Findings findings={data.findings.filter(({ kind }) => kind !== "budget")} />
        </Part>
        <Part id="models" title="Models" controls={chooseText}>
          <CellsTable data={data} source={source} selected={cell?.id ?? ""} onSelect={setSelected} />
        </Part>
        <Part id="figures" title="Figures" controls={chooseText}>
          <DivergenceFigure data={data} source={source} />
          <TradeoffFigure data={data} source={source} />
          {data.agreement.map((agreement, i) => (
            <AgreementFigure key={agreement.model} agreement={agreement} name={numbered("rank-agreement", i)} />
          ))}
          <TasksFigure data={data} />
          {data.calibration.map((comparison, i) => (
            <CalibrationFigure
              key={`${comparison.model} ${comparison.a} ${comparison.b}`}
              data={data}
              comparison={comparison}
              name={numbered("calibration-sources", i)}
            />
          ))}
        </Part>
        {cell && (
          <>
            <Part id="layers" title="Layers" controls={chooseModel}>
              <LayerSparsityFigure cell={cell} />
              {damage ? (
                <BlockFigure cell={cell} damage={damage} />
              ) : (
                <p class="note">The blocks of {plain(cell.name)} were not measured one by one.</p>
              )}
            </Part>
            <Part id="tokens" title="Token by token" controls={chooseModel}>
              <HeatMap key={cell.id} cell={cell} />
            </Part>
            <Part id="items" title="Answers" controls={chooseModel}>
              <ItemBrowser cell={cell} metrics={(task) => data.tasks[task]?.metrics[0]} />
            </Part>
          </>
        )}
        <Part id="provenance" title="How to make this again">
          <Provenance data={data} />
        </Part>
      </main>
    </>
  );
}

interface PartProps {
  readonly id: string;
  readonly title: string;
  readonly controls?: ComponentChildren;
  readonly children: ComponentChildren;
}

function Part({ id, title, controls, children }: PartProps) {
  return (
    <section id={id} aria-labelledby={`${id}-title`} class="part">
      <div class="part-head">
        <h2 id={`${id}-title`}>{title}</h2>
        {controls}
      </div>
      {children}
    </section>
  );
}

/** The best within the budget, else the first that has something to look at. */
function firstCell({ budget, cells, blocks }: ReportData): string {
  const best = budget?.find((choice) => choice.best !== null)?.best;
  return best ?? blocks[0]?.cell ?? cells[0]?.id ?? "";
}

function numbered(name: string, i: number): string {
  return i === 0 ? name : `${name}-${i + 1}`;
}

function millions(parameters: number): string {
  return parameters >= 1e9 ? `${(parameters / 1e9).toPrecision(2)}B` : `${(parameters / 1e6).toPrecision(3)}M`;
}
