// The table of studies, up to date while it is shown.

import { get } from "/web/api.js";
import { $, CALLS, STATES, day, element, figure, patient, say } from "/web/dom.js";

const EVERY = 3000; // ms
const PAGE = 50;
let timer = null;
let limit = PAGE;

export async function showWorklist() {
  await refresh();
}

export function hideWorklist() {
  clearTimeout(timer);
  timer = null;
}

$("#more").addEventListener("click", () => {
  limit = Math.min(limit + PAGE, 500);
  refresh();
});

async function refresh() {
  clearTimeout(timer);
  try {
    const { studies } = await get(`/api/studies?limit=${limit}`);
    const body = $("#worklist tbody");
    const focused = document.activeElement?.closest?.("#worklist tr")?.dataset.id;
    body.replaceChildren(...studies.map(row));
    if (focused) body.querySelector(`tr[data-id="${focused}"] a`)?.focus();
    $("#worklist-empty").hidden = studies.length > 0;
    $("#more").hidden = studies.length < limit;
  } catch (problem) {
    say(problem);
  }
  if (!$("#home").hidden) timer = setTimeout(refresh, EVERY);
}

function row(study) {
  const waiting = study.place ? `${STATES.queued}, place ${study.place}` : STATES[study.state];
  const state = study.state === "running" ? `${Math.round(study.fraction * 100)} %` : waiting;
  const revision = study.revision > 1 ? ` (revision ${study.revision})` : "";
  const cells = [
    element("th", { scope: "row" }, element("a", { href: `#/study/${study.id}` }, patient(study) + revision)),
    element("td", { class: study.status === "positive" ? "positive" : "" }, CALLS[study.status] || ""),
    element("td", { class: "number" }, figure(study.probability)),
    element("td", {}, study.level && `${study.level} (${figure(study.level_probability)})`),
    element("td", {}, day(study.study_date)),
    element("td", {}, new Date(study.created * 1000).toLocaleString()),
    element("td", {}, state),
  ];
  return element("tr", { "data-id": study.id }, ...cells);
}
