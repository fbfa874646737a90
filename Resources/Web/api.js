// Requests to the service. An error is a Problem with what is wrong, where in the upload, and advice.

export class Problem extends Error {
  constructor(status, said) {
    super(said.what || "The service does not answer.");
    this.status = status;
    this.where = said.where || "";
    this.advice = said.advice || "";
  }
}

const HEADERS = { "X-NeckFrac": "1" };

async function request(method, address, { body, headers = {} } = {}) {
  const json = body === undefined ? {} : { "Content-Type": "application/json" };
  let answer;
  try {
    answer = await fetch(address, {
      method,
      headers: { ...HEADERS, ...json, ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin",
    });
  } catch {
    throw new Problem(0, { what: "The service does not answer.", advice: "Is it still running?" });
  }
  if (!answer.ok) throw await problemOf(answer);
  return answer;
}

async function problemOf(answer) {
  try {
    return new Problem(answer.status, await answer.json());
  } catch {
    return new Problem(answer.status, {});
  }
}

export async function get(address) {
  return (await request("GET", address)).json();
}

export async function getWithTag(address) {
  const answer = await request("GET", address);
  return { content: await answer.json(), tag: answer.headers.get("ETag") };
}

export async function send(method, address, body, headers) {
  const answer = await request(method, address, { body, headers });
  return answer.status === 204 ? null : answer.json();
}

/** Send files; progressed(share) from 0 to 1. Gives { promise, cancel }. */
export function upload(files, key, progressed) {
  const form = new FormData();
  for (const file of files) form.append("files", file, file.name);
  const sending = new XMLHttpRequest();
  const promise = new Promise((resolve, reject) => {
    sending.open("POST", "/api/studies");
    for (const [name, value] of Object.entries(HEADERS)) sending.setRequestHeader(name, value);
    sending.setRequestHeader("Idempotency-Key", key);
    sending.responseType = "json";
    sending.upload.onprogress = (event) => event.lengthComputable && progressed(event.loaded / event.total);
    sending.onload = () => {
      const said = sending.response || {};
      if (sending.status === 202) resolve(said);
      else reject(new Problem(sending.status, said));
    };
    sending.onerror = () => reject(new Problem(0, { what: "The upload broke off.", advice: "Send it again." }));
    sending.onabort = () => reject(new Problem(-1, { what: "The upload was cancelled." }));
    sending.send(form);
  });
  return { promise, cancel: () => sending.abort() };
}
