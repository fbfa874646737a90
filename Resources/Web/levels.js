// The table of levels: a row jumps to its level, arrows go from row to row, and a dialog takes the reader's review.

import { getWithTag, send } from "/web/api.js";
import { $, CALLS, element, figure, say } from "/web/dom.js";

let shown = null; // { findings, jump, reviewed, study }

export function showLevels(findings, how) {
  const focused = document.activeElement?.closest?.("#levels tr")?.dataset.level;
  shown = { findings, ...how };
  const reviews = new Map(findings.reviews.map((review) => [review.level, review]));
  $("#levels tbody").replaceChildren(...findings.levels.map((level) => row(level, reviews.get(level.level))));
  if (focused) $(`#levels tr[data-level="${focused}"] button`)?.focus();
}

function row(level, review) {
  const seen = level.probability !== null;
  const go = () => {
    for (const one of document.querySelectorAll("#levels tr")) one.classList.remove("chosen");
    $(`#levels tr[data-level="${level.level}"]`).classList.add("chosen");
    shown.jump(level);
  };
  const name = seen ? element("button", { type: "button", class: "level", onclick: go }, level.level) : level.level;
  const meter = seen && element("span", { class: "meter", "aria-hidden": "true" });
  if (meter) meter.style.setProperty("--share", level.probability);
  const call = level.status === "positive" ? `suspected, ${level.severity}` : CALLS[level.status];
  const said = review ? `${review.verdict}${review.note ? `: ${review.note}` : ""}` : "";
  const title = `Review ${level.level}`;
  const button = element("button", { type: "button", "aria-label": title, onclick: () => open(level, review) }, "Review");
  return element(
    "tr",
    { "data-level": level.level, class: level.status === "positive" ? "called" : "", onclick: (e) => onRow(e, seen, go) },
    element("th", { scope: "row" }, name),
    element("td", { class: "number" }, seen ? figure(level.probability) : "", meter || ""),
    element("td", { class: level.status }, call),
    element("td", { class: "review" }, element("span", {}, said), seen ? button : ""),
  );
}

function onRow(event, seen, go) {
  if (seen && !event.target.closest("button")) go();
}

$("#levels").addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  const buttons = [...document.querySelectorAll("#levels button.level")];
  const at = buttons.indexOf(document.activeElement.closest("tr")?.querySelector("button.level"));
  const next = buttons[at + step];
  if (!next) return;
  event.preventDefault();
  next.focus();
  next.click();
});

async function open(level, review) {
  const dialog = $("#review");
  const form = dialog.querySelector("form");
  const address = `/api/studies/${shown.study}/reviews/${level.level}`;
  let tag = null;
  if (review) {
    try {
      const found = await getWithTag(address);
      tag = found.tag;
      review = found.content; // another reader may have been here
    } catch (problem) {
      if (problem.status !== 404) return say(problem);
    }
  }
  $("#review-title").textContent = `Review of ${level.level}`;
  const positive = level.status === "positive";
  for (const radio of form.elements.verdict) {
    radio.checked = radio.value === (review?.verdict || (positive ? "confirmed" : "added"));
    // What the networks did not call can't be confirmed, what they called need not be added.
    radio.closest("label").hidden = radio.value !== review?.verdict && radio.value === (positive ? "added" : "confirmed");
  }
  form.elements.note.value = review?.note || "";
  $("#review-remove").hidden = !tag;
  dialog.returnValue = "cancel";
  dialog.onclose = async () => {
    const headers = tag ? { "If-Match": tag } : {};
    try {
      if (dialog.returnValue === "save") {
        const said = { verdict: form.elements.verdict.value, note: form.elements.note.value.trim() };
        await send("PUT", address, said, headers);
      } else if (dialog.returnValue === "remove") {
        await send("DELETE", address, undefined, headers);
      } else {
        return;
      }
      say("");
    } catch (problem) {
      say(problem);
    }
    await shown.reviewed();
  };
  dialog.showModal();
}
