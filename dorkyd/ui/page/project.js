// One project: its facts, its last day, and what was just done.

import * as activity from "./activity.js";
import * as chart from "./chart.js";
import { h } from "./dom.js";
import { about, linkTo } from "./overview.js";
import { project, store } from "./store.js";
import { name, state, visible } from "./words.js";

export const PARTS = [
  ["", "Overview"],
  ["files", "Files"],
  ["conflicts", "Conflicts"],
  ["problems", "Problems"],
  ["activity", "Activity"],
];

export function heading(of, part, title) {
  const now = project(of);
  const badge = { conflicts: now?.conflicts, problems: now?.problems };
  return [
    h("h1", { tabindex: -1, "data-key": "h1" }, title ?? name(of), " ", !title && now && state(now.state)),
    h(
      "nav",
      { class: "parts", "aria-label": `Parts of ${visible(of)}`, "data-key": "parts" },
      PARTS.map(([each, word]) =>
        h(
          "a",
          {
            href: each ? linkTo(of, each) : linkTo(of),
            "aria-current": each === part ? (title && each === "files" ? "true" : "page") : null,
          },
          word,
          badge[each] ? h("span", { class: "badge" }, String(badge[each])) : null,
        ),
      ),
    ),
  ];
}

export const missing = (of) =>
  store.daemon
    ? h("p", { "data-key": "missing" }, "There is no project ", name(of), ". ", h("a", { href: "#/" }, "All projects"))
    : h("p", { class: "dim", "data-key": "missing" }, "Reading …");

export function open(of, redraw) {
  const drawn = chart.make(of, redraw);
  const log = activity.make([of], redraw, 12);
  return {
    title: visible(of),
    draw: () =>
      project(of)
        ? [
            heading(of, ""),
            h("div", { class: "card wide", "data-key": "about" }, about(project(of))),
            h("h2", { "data-key": "h-chart" }, "The last day"),
            drawn.draw(),
            h("h2", { "data-key": "h-log" }, "Just done"),
            log.draw(),
          ]
        : [missing(of)],
    changed: (name_) => {
      drawn.changed(name_);
      log.changed(name_);
    },
    close: () => {
      drawn.close();
      log.close();
    },
  };
}
