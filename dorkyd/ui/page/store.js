// What is known of the daemon now. Everything that is drawn follows it; nothing else remembers statuses.

import { events, get } from "./api.js";
import { say } from "./say.js";
import { visible, wordOf } from "./words.js";

export const store = {
  daemon: null,
  projects: [],
  warnings: [],
  link: "waiting",
  // `waiting`, `live`, or what is wrong: a Problem.
};

const listeners = new Set();
const FIRST_S = 0.5;
const LONGEST_S = 5;
const WHOLE_EVERY_S = 20;
let announced = new Map();

// `listener(name, moved)`: the status of this project changed; null: anything else did. `moved`: so that its files may have, too,
// and not only the time of the last look.
export function listen(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

const tell = (name, moved = true) => listeners.forEach((listener) => listener(name, moved));

const telling = ({ state, files, bytes, pending, conflicts, problems, halt, manual, requests }) =>
  JSON.stringify([
    state,
    files,
    bytes,
    pending,
    conflicts,
    problems,
    halt,
    manual,
    requests.PUT,
    requests.COPY,
    requests.DELETE,
    requests.bytes_down,
  ]);

export const project = (name) => store.projects.find((each) => each.name === name);

// `asked`: it is what a person just asked for, and was told of.
export function take(status, asked = false) {
  const at = store.projects.findIndex((each) => each.name === status.name);
  const moved = at < 0 || telling(store.projects[at]) !== telling(status);
  if (at < 0) store.projects.push(status);
  else store.projects[at] = status;
  announce(status, asked);
  tell(status.name, moved);
}

// Comings and goings of everyday work are no news; what a person waits for or must know is.
function announce(status, asked) {
  const now = status.halt ? "halted" : status.state === "syncing" ? null : status.state;
  const told = { state: now, conflicts: status.conflicts, problems: status.problems };
  const before = announced.get(status.name);
  if (now === null) told.state = before?.state ?? null;
  announced.set(status.name, told);
  if (!before || asked) return;
  const news = [];
  if (told.state !== before.state) news.push(wordOf(told.state));
  if (told.conflicts > before.conflicts) news.push("a new conflict");
  if (told.problems > before.problems) news.push("a new problem");
  if (news.length) say(`${visible(status.name)}: ${news.join(", ")}`);
}

async function whole() {
  const document = await get("/v1/status");
  store.daemon = document.daemon;
  store.warnings = document.warnings;
  const names = new Set(document.projects.map((each) => each.name));
  announced = new Map([...announced].filter(([name]) => names.has(name)));
  store.projects = document.projects;
  tell(null);
}

function linked(link) {
  store.link = link;
  tell(null);
}

export async function run() {
  // A project that is removed, and what concerns the daemon as a whole, come in no event.
  setInterval(() => store.link === "live" && whole().catch(() => {}), WHOLE_EVERY_S * 1000);
  let wait = FIRST_S;
  for (;;) {
    try {
      await whole();
      await events(() => {
        wait = FIRST_S;
        linked("live");
      }, (status) => take(status));
      linked("waiting");
    } catch (problem) {
      linked(problem);
    }
    await new Promise((done) => setTimeout(done, wait * 1000));
    wait = Math.min(LONGEST_S, wait * 2);
  }
}
