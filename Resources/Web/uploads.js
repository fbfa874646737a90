// Files from a drop or a choice, sent as one study, with progress, cancelling and sending again.

import { upload } from "/web/api.js";
import { $, element } from "/web/dom.js";

// Names stay here: the service numbers the files, so that no name, which may be a patient's, is written there.
const sent = new Map();

/** The local name of the file that an error's "file 12 of 340" means. */
export function localName(study, where) {
  const number = where.match(/^file (\d+)/);
  const names = sent.get(study);
  return number && names ? names[Number(number[1]) - 1] : undefined;
}

export function startUploads() {
  const drop = $("#drop");
  for (const kind of ["dragenter", "dragover"]) {
    drop.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
  }
  for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => drop.classList.remove("over"));
  drop.addEventListener("drop", async (event) => {
    event.preventDefault();
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
    start(entries.length ? await filesOf(entries) : [...event.dataTransfer.files]);
  });
  // A file that is dropped beside the area must not replace the page.
  for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => event.preventDefault());
  for (const id of ["#files", "#folder"]) {
    $(id).addEventListener("change", (event) => {
      start([...event.target.files]);
      event.target.value = "";
    });
  }
}

/** All files below the entries of a drop. */
async function filesOf(entries) {
  const files = [];
  const waiting = [...entries];
  while (waiting.length) {
    const entry = waiting.shift();
    if (entry.isFile) {
      files.push(await new Promise((resolve, reject) => entry.file(resolve, reject)));
      continue;
    }
    const reader = entry.createReader();
    for (;;) {
      // A reader gives some hundred entries at a time, and none at the end.
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!some.length) break;
      waiting.push(...some);
    }
  }
  return files;
}

function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function start(files) {
  if (!files.length) return;
  const names = files.map((file) => file.webkitRelativePath || file.name);
  const title = files.length === 1 ? names[0] : `${files.length} files`;
  const key = newKey();
  const progress = element("progress", { max: 1, value: 0, "aria-label": `Upload of ${title}` });
  const state = element("span", {}, "");
  const buttons = element("span", {});
  const row = element("div", { class: "upload" }, element("strong", {}, title), progress, state, buttons);
  $("#uploads").prepend(row);

  async function go() {
    state.textContent = "Sending …";
    const sending = upload(files, key, (share) => {
      progress.value = share;
      state.textContent = share < 1 ? `${Math.floor(share * 100)} %` : "Being written to the disk …";
    });
    buttons.replaceChildren(element("button", { type: "button", onclick: sending.cancel }, "Cancel"));
    try {
      const study = await sending.promise;
      sent.set(study.id, names);
      row.remove();
      location.hash = `#/study/${study.id}`;
    } catch (problem) {
      const where = problem.where && (names[Number((problem.where.match(/^file (\d+)/) || [])[1]) - 1] || problem.where);
      state.textContent = [problem.message, where, problem.advice].filter(Boolean).join(" ");
      const again = element("button", { type: "button", onclick: go }, "Send again");
      const close = element("button", { type: "button", onclick: () => row.remove() }, "Close");
      buttons.replaceChildren(again, close);
    }
  }
  go();
}
