// One study: its progress, then its images, findings, reviews and results.

import { get, send } from "/web/api.js";
import { $, CALLS, STATES, element, figure, patient, say } from "/web/dom.js";
import { drawHeatMaps, stopHeatMaps } from "/web/heatmaps.js";
import { showLevels } from "/web/levels.js";
import { localName } from "/web/uploads.js";
import { Viewer } from "/web/viewer.js";

const EVERY = 1000; // ms
const TITLES = {
  "report.html": "Report",
  "overview.png": "Overview",
  "scene.mrb": "3D Slicer scene",
  "segmentation.dcm": "DICOM Segmentation",
  "report.dcm": "DICOM Structured Report",
  "overview.dcm": "DICOM overview",
  "vertebrae.seg.nrrd": "Segmentation (NRRD)",
  "anchors.seg.nrrd": "T1 and skull base (NRRD)",
  "findings.csv": "Findings (CSV)",
  "findings.json": "Findings (JSON)",
  "boxes.csv": "Boxes by slice (CSV)",
};

let timer = null;
let current = null; // { study, point }
const viewer = new Viewer($("#canvas"), ({ lps, voxel }) => {
  const place = lps.map((value) => value.toFixed(1)).join(", ");
  $("#position").textContent = `Slice ${voxel[2] + 1} · ${place} mm (L, P, S)`;
});

export function fileOf(study, name) {
  return `/api/studies/${study}/files/${name}`;
}

export async function showStudy(identifier) {
  $("#result").hidden = true;
  $("#study-state").replaceChildren();
  current = { id: identifier, study: null, point: null };
  await follow(identifier);
}

export function hideStudy() {
  clearTimeout(timer);
  stopHeatMaps();
  current = null;
}

async function follow(identifier) {
  clearTimeout(timer);
  let study;
  try {
    study = await get(`/api/studies/${identifier}`);
  } catch (problem) {
    say(problem);
    if (problem.status === 0 && current?.id === identifier) timer = setTimeout(follow, 3 * EVERY, identifier);
    return;
  }
  if (current?.id !== identifier) return; // another view by now
  say("");
  current.study = study;
  $("#study-title").textContent = patient(study);
  if (study.state === "done") {
    $("#study-state").replaceChildren();
    await showResult(study);
  } else {
    showState(study);
    const ended = ["failed", "cancelled"].includes(study.state);
    if (!ended) timer = setTimeout(follow, EVERY, identifier);
  }
}

function showState(study) {
  if (study.state === "failed") {
    const { what, where, advice } = study.error;
    const local = localName(study.id, where);
    const place = local ? `${where}: ${local}` : where;
    $("#study-state").replaceChildren(
      element("p", { class: "bad" }, element("strong", {}, "No result. "), what),
      place ? element("p", {}, `Where: ${place}`) : "",
      element("p", { class: "advice" }, advice),
      remover("Delete the study"),
    );
  } else if (study.state === "cancelled") {
    $("#study-state").replaceChildren(element("p", {}, "Cancelled; its files are gone."));
  } else {
    const tries = study.attempt > 1 ? `, attempt ${study.attempt}` : "";
    const text = study.state === "running" ? `${study.stage || "Starting"}${tries}` : STATES[study.state];
    const place = study.place ? `, place ${study.place} in the queue` : "";
    const bar = study.state === "running" ? { value: study.fraction } : {};
    let box = $("#study-state .running");
    if (!box) {
      box = element("div", { class: "running" }, element("p", {}), element("progress", { max: 1, "aria-label": "Analysis" }));
      $("#study-state").replaceChildren(box, remover("Cancel"));
    }
    if (box.firstChild.textContent !== text + place) box.firstChild.textContent = text + place;
    if ("value" in bar) box.lastChild.value = bar.value;
    else box.lastChild.removeAttribute("value");
  }
}

function remover(title) {
  return element("button", { type: "button", onclick: remove }, title);
}

async function remove() {
  const { study } = current;
  if (study.state === "done" && !confirm("Delete the study with all its files?")) return;
  try {
    await send("DELETE", `/api/studies/${study.id}`);
    location.hash = "#/";
  } catch (problem) {
    say(problem);
  }
}

$("#delete").addEventListener("click", remove);

async function showResult(study) {
  $("#result").hidden = false;
  showDownloads(study);
  showDelivery(study);
  await showFindings(null);
  drawHeatMaps(study, (url) => viewer.setHeat(url));
  const has = (name) => study.files.includes(name);
  const segmentation = has("vertebrae.seg.nrrd") && fileOf(study.id, "vertebrae.seg.nrrd");
  try {
    $("#position").textContent = "Loading the images …";
    if (!has("ct.nrrd")) throw new Error("The images of this study can't be shown here; the 3D Slicer scene has them.");
    const heat = has("heat.nrrd") && fileOf(study.id, "heat.nrrd");
    const render = $("#show-render").checked;
    await viewer.open({ ct: fileOf(study.id, "ct.nrrd"), segmentation, heat, render });
    viewer.setBoxes(boxesOf(current.findings));
    applySwitches();
    const called = current.findings.levels.filter((level) => level.status === "positive");
    const first = called.sort((one, other) => other.probability - one.probability)[0];
    const start = first || current.findings.levels.find((level) => level.center);
    if (start) jump(start);
    else $("#position").textContent = "Ready";
  } catch (error) {
    $("#position").textContent = error.message;
  }
}

/** Findings at an operating point; null: the one that they were made with, or the one chosen before. */
export async function showFindings(point) {
  current.point = point || current.point;
  const query = current.point ? `?operating_point=${current.point}` : "";
  const identifier = current.id;
  let findings;
  try {
    findings = await get(`/api/studies/${identifier}/findings${query}`);
  } catch (problem) {
    say(problem);
    return;
  }
  if (current?.id !== identifier) return;
  current.findings = findings;
  for (const radio of document.getElementsByName("point")) radio.checked = radio.value === findings.operating_point;
  const call = CALLS[findings.patient_status];
  const fractured = findings.patient_status === "not seen" ? "No cervical spine found" : `Fracture ${call}`;
  const probability = figure(findings.patient_probability);
  $("#call").replaceChildren(
    element("strong", { class: findings.patient_status }, fractured),
    probability ? ` · probability ${probability}` : "",
  );
  showLevels(findings, { jump, reviewed: () => showFindings(null), study: identifier });
  const named = findings.naming.certain ? [] : [findings.naming.reason];
  const notes = [...named, ...findings.warnings.map((warning) => warning.text)].filter(Boolean);
  $("#warnings").replaceChildren(...notes.map((note) => element("p", { class: "warning" }, note)));
  const making = [findings.training, findings.prevalence_text, findings.disclaimer, findings.software];
  $("#making").textContent = making.filter(Boolean).join(" ");
  if (viewer.nv?.volumes.length) {
    viewer.setBoxes(boxesOf(findings));
    applySwitches();
  }
}

/** Where fractures are suspected, networks and readers together; what a reader rejected is out. */
function boxesOf(findings) {
  const reviews = new Map(findings.reviews.map((review) => [review.level, review]));
  return findings.levels
    .map((level) => {
      const review = reviews.get(level.level);
      if (!review) return level.box;
      return review.verdict === "rejected" ? null : review.box || level.region;
    })
    .filter(Boolean);
}

function jump(level) {
  const box = level.box || level.region;
  const point = box ? [0, 1, 2].map((axis) => (box.lower[axis] + box.upper[axis]) / 2) : level.center;
  if (point) viewer.jump(point);
}

function showDownloads(study) {
  const names = Object.keys(TITLES).filter((name) => study.files.includes(name));
  const items = names.map((name) => {
    const shown = ["report.html", "overview.png"].includes(name);
    const how = shown ? { target: "_blank", rel: "noopener" } : { download: "" };
    return element("li", {}, element("a", { href: fileOf(study.id, name), ...how }, TITLES[name]));
  });
  $("#downloads").replaceChildren(...items);
}

function showDelivery(study) {
  const { delivery } = study;
  if (!delivery) {
    $("#delivery").replaceChildren();
    return;
  }
  const said = {
    waiting: delivery.tries ? `PACS: will be tried again (${delivery.error})` : "PACS: waiting to be sent",
    sending: "PACS: being sent",
    delivered: "PACS: delivered",
    failed: `PACS: not delivered. ${delivery.error}`,
  }[delivery.state];
  const again = async () => {
    try {
      await send("POST", `/api/studies/${study.id}/delivery`);
      showDelivery(await get(`/api/studies/${study.id}`));
    } catch (problem) {
      say(problem);
    }
  };
  $("#delivery").replaceChildren(said, " ", element("button", { type: "button", onclick: again }, "Send again"));
}

function applySwitches() {
  for (const what of ["segmentation", "boxes", "heat", "render"]) viewer.show(what, $(`#show-${what}`).checked);
}

// 3D is slow without a graphics card: who hides it need not hide it again.
$("#show-render").checked = localStorage.getItem("neckfrac-render") !== "off";
for (const what of ["segmentation", "boxes", "heat", "render"]) {
  $(`#show-${what}`).addEventListener("change", (event) => {
    viewer.show(what, event.target.checked);
    if (what === "render") localStorage.setItem("neckfrac-render", event.target.checked ? "on" : "off");
  });
}
for (const radio of document.getElementsByName("point")) {
  radio.addEventListener("change", () => showFindings(radio.value));
}
