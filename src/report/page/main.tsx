import { render } from "preact";
import { App } from "./app.js";
import { readIsland } from "./island.js";
import "./style.css";
import { plain } from "../format.js";
import type { LiveEndpoints, ReportData } from "../report-data.js";

const data = readIsland<ReportData>("report-data");
const root = document.getElementById("report");
if (data && root) {
  document.title = `${plain(data.study.name)}: report`;
  render(<App data={data} live={readIsland<LiveEndpoints>("report-live")} />, root);
}
