// Which heat map is shown: the networks' own, or one that is drawn on request.

import { get, send } from "/web/api.js";
import { $, STATES } from "/web/dom.js";

const EVERY = 1000; // ms
let timer = null;
let chosen = null; // { study, show }

export function drawHeatMaps(study, show) {
  stopHeatMaps();
  chosen = { study, show };
  $("#heat").value = "heat";
  $("#heat-state").textContent = "";
}

export function stopHeatMaps() {
  clearTimeout(timer);
  chosen = null;
}

$("#heat").addEventListener("change", async (event) => {
  clearTimeout(timer);
  const { study, show } = chosen;
  if (event.target.value === "heat") {
    $("#heat-state").textContent = "";
    await show(study.files.includes("heat.nrrd") ? `/api/studies/${study.id}/files/heat.nrrd` : null);
    return;
  }
  try {
    const asked = await send("POST", `/api/studies/${study.id}/explanations`, { explain: event.target.value });
    await follow(asked.id, study, show);
  } catch (problem) {
    $("#heat-state").textContent = problem.message;
  }
});

async function follow(identifier, study, show) {
  if (chosen?.study.id !== study.id) return;
  const drawn = await get(`/api/studies/${identifier}`);
  if (drawn.state === "done") {
    const has = drawn.files.includes("heat.nrrd");
    $("#heat-state").textContent = has ? "" : "It shows nothing.";
    await show(has ? `/api/studies/${identifier}/files/heat.nrrd` : null);
  } else if (drawn.state === "failed" || drawn.state === "cancelled") {
    $("#heat-state").textContent = drawn.error ? drawn.error.what : STATES[drawn.state];
  } else {
    const place = drawn.place ? `, place ${drawn.place}` : "";
    const share = drawn.state === "running" ? ` ${Math.round(drawn.fraction * 100)} %` : "";
    $("#heat-state").textContent = `Being drawn: ${STATES[drawn.state]}${place}${share}`;
    timer = setTimeout(() => follow(identifier, study, show).catch(() => {}), EVERY);
  }
}
