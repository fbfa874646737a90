// Small helpers; text is only ever set as text, never as HTML.

export const $ = (selector) => document.querySelector(selector);

/** An element with attributes, listeners (onclick) and children (elements or text). */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function say(problem) {
  const text = problem instanceof Error ? [problem.message, problem.where, problem.advice] : [problem];
  $("#message").textContent = text.filter(Boolean).join(" ");
}

/** 0.87, 0.034, <0.001, as the report has it. */
export function figure(probability) {
  if (probability === null || probability === undefined) return "";
  if (probability >= 0.0995) return probability.toFixed(2);
  return probability >= 0.001 ? String(Number(probability.toPrecision(2))) : "<0.001";
}

export function day(date) {
  return /^\d{8}$/.test(date) ? `${date.slice(0, 4)}-${date.slice(4, 6)}-${date.slice(6)}` : date;
}

export function patient(study) {
  const name = study.patient_name.replaceAll("^", " ").trim();
  return [name, study.patient_id].filter(Boolean).join(", ") || `Study ${study.id.slice(0, 8)}`;
}

export const STATES = {
  receiving: "being received",
  queued: "waiting",
  running: "running",
  done: "done",
  failed: "no result",
  cancelled: "cancelled",
};

export const CALLS = { positive: "suspected", negative: "not suspected", "not seen": "not seen" };
