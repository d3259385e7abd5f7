// What was done, newest first, as it happens.

import { get, of } from "./api.js";
import { h } from "./dom.js";
import { linkTo } from "./overview.js";
import { soon } from "./soon.js";
import { store } from "./store.js";
import { clock, name, size, visible } from "./words.js";

const WORDS = {
  upload: ["↑", "sent"],
  download: ["↓", "fetched"],
  "delete-local": ["✗", "deleted here"],
  "delete-remote": ["✗", "deleted in the bucket"],
  conflict: ["≠", "conflict kept"],
  move: ["→", "moved"],
  adopt: ["=", "found equal"],
  restore: ["↶", "restored"],
  resolve: ["✓", "conflict settled"],
  merge: ["+", "merged"],
};
const MOST = 300;
const SOON_MS = 250;

// `names`: of which projects; empty: of all.
export function make(names, redraw, limit = MOST) {
  const logs = new Map();
  const dues = new Map();
  const wanted = () => (names.length ? names : store.projects.map((each) => each.name));
  async function read(project) {
    const held = logs.get(project) ?? [];
    const last = held.at(-1)?.seq ?? -1;
    const page = await get(of(project, "log", last < 0 ? { limit } : { after: last, limit }));
    logs.set(project, [...held, ...page.items].slice(-limit));
    redraw();
    if (page.next) await read(project);
  }
  const look = (project) => {
    if (!dues.has(project))
      dues.set(
        project,
        soon(() => read(project).catch(() => {}), SOON_MS),
      );
    dues.get(project)();
  };
  wanted().forEach(look);
  return {
    draw() {
      const lines = wanted()
        .flatMap((project) => (logs.get(project) ?? []).map((item) => [project, item]))
        .sort(([, one], [, other]) => (one.at < other.at ? 1 : -1))
        .slice(0, limit);
      if (!logs.size) return h("p", { class: "dim", "data-key": "log" }, "Reading …");
      if (!lines.length) return h("p", { "data-key": "log" }, "Nothing was done yet.");
      return h(
        "ol",
        { class: "log", "data-key": "log" },
        lines.map(([project, item]) => line(project, item, wanted().length > 1)),
      );
    },
    changed(project) {
      if (project === null) wanted().forEach(look);
      else if (wanted().includes(project)) look(project);
    },
    close: () => dues.forEach((due) => due.cancel()),
  };
}

function line(project, item, several) {
  const [arrow, word] = WORDS[item.verb] ?? ["·", item.verb];
  return h(
    "li",
    { "data-key": `${project} ${item.seq}` },
    clock(item.at),
    h("span", { class: "verb" }, h("span", { "aria-hidden": "true" }, `${arrow} `), visible(word)),
    h(
      "span",
      { class: "what" },
      several && [h("span", { class: "dim" }, name(project), ": ")],
      h("a", { href: linkTo(project, "file", item.path) }, name(item.path)),
    ),
    h(
      "span",
      { class: "dim more" },
      [item.size === null ? "" : size(item.size), visible(item.device)].filter(Boolean).join(" · "),
    ),
    item.detail && h("span", { class: "dim detail" }, visible(item.detail)),
  );
}

export function open(redraw) {
  const log = make([], redraw);
  return {
    title: "Activity",
    draw: () => [
      h("h1", { tabindex: -1 }, "Activity"),
      h("p", { class: "dim" }, "What this device did and saw, newest first."),
      log.draw(),
    ],
    changed: log.changed,
    close: log.close,
  };
}
