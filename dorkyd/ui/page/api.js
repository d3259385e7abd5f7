// The daemon's routes, by way of the server that this page came from, and its events.

const KEY = localStorage.getItem("dorky-key") ?? "";

export class Problem extends Error {
  constructor(status, told) {
    super(told.detail || `The answer was ${status}.`);
    this.code = told.code || "http";
    this.hint = told.hint || "";
    this.ended = this.code === "page-ended";
  }
}

const ENDED = {
  code: "page-ended",
  detail: "This page has ended: the command that serves it does not run any more.",
  hint: "Start it again in a terminal: dorkyctl ui",
};

async function sent(method, path, body) {
  const headers = { "X-Dorky-Key": KEY };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Problem(0, ENDED);
  }
  if (!answer.ok) throw new Problem(answer.status, await answer.json().catch(() => ({})));
  return answer;
}

export const of = (project, verb, query) => {
  const given = Object.entries(query ?? {}).filter(
    ([, value]) => value !== undefined && value !== null && value !== "",
  );
  const told = new URLSearchParams(given).toString();
  return `/v1/projects/${encodeURIComponent(project)}/${verb}${told ? `?${told}` : ""}`;
};

export const get = async (path) => (await sent("GET", path)).json();
export const post = async (path, body = {}) => (await sent("POST", path, body)).json();

// The browser fetches a download itself, without our key: it gets a name for it that is good once.
export async function download(project, path, at) {
  const { url } = await post("/tickets", { project, path, at });
  const link = document.createElement("a");
  link.href = url;
  link.download = "";
  link.click();
}

// Statuses from now until the stream ends; resolves or throws then.
export async function events(begun, told) {
  const answer = await sent("GET", "/v1/events");
  begun();
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { value, done } = await reader.read().catch(() => ({ done: true }));
    if (done) return;
    const whole = (held + value).split("\n\n");
    held = whole.pop();
    for (const event of whole) {
      const data = event.split("\n").find((line) => line.startsWith("data: "));
      if (data) told(JSON.parse(data.slice(6)));
    }
  }
}
