// Signing in, and which view is shown: the worklist at #/, a study at #/study/ID.

import { get, send } from "/web/api.js";
import { $, say } from "/web/dom.js";
import { startUploads } from "/web/uploads.js";
import { hideWorklist, showWorklist } from "/web/worklist.js";
import { hideStudy, showStudy } from "/web/study.js";

const VIEWS = ["#sign-in", "#home", "#study"];

function show(view) {
  for (const one of VIEWS) $(one).hidden = one !== view;
  $("#sign-out").hidden = view === "#sign-in";
}

async function signIn(secret) {
  await send("POST", "/api/session", { secret });
}

async function route() {
  say("");
  hideWorklist();
  hideStudy();
  const code = location.hash.match(/^#code=(.+)$/);
  if (code) {
    history.replaceState(null, "", "#/"); // the code is good once; it is not kept in the history
    try {
      await signIn(code[1]);
    } catch (problem) {
      say(problem);
    }
  }
  try {
    await get("/api/session");
  } catch (problem) {
    if (problem.status !== 401) say(problem);
    show("#sign-in");
    return;
  }
  const study = location.hash.match(/^#\/study\/([0-9a-f]{32})$/);
  if (study) {
    show("#study");
    document.title = "Study – NeckFrac";
    await showStudy(study[1]);
  } else {
    show("#home");
    document.title = "Worklist – NeckFrac";
    await showWorklist();
  }
}

$("#sign-in form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const field = event.target.elements.secret;
  try {
    await signIn(field.value.trim());
    field.value = "";
    await route();
  } catch (problem) {
    say(problem);
  }
});

$("#sign-out").addEventListener("click", async () => {
  await send("DELETE", "/api/session").catch(() => {});
  await route();
});

addEventListener("hashchange", () => {
  if (location.hash.startsWith("#/") || location.hash.startsWith("#code=")) route();
});
startUploads();
route();
