// Two edits of one file at once: both are kept, and a person says which one has the name.

import { get, of, post } from "./api.js";
import { ask } from "./ask.js";
import { difference, sides, watch } from "./diff.js";
import { h } from "./dom.js";
import { linkTo } from "./overview.js";
import { heading } from "./project.js";
import { doing } from "./say.js";
import { soon } from "./soon.js";
import { store } from "./store.js";
import { clock, name, plural, size, visible } from "./words.js";

const COMPARED_UNASKED = 5;

export function open(project, redraw) {
  let items = null;
  let wrong = null;
  const differences = new Map();
  // By copy: what was found, `reading`, or a Problem; with what both sides were then.
  const compare = (item) => {
    differences.set(item.copy, { of: both(item), found: "reading" });
    get(of(project, "diff", { path: item.path, other: item.copy })).then(
      (found) => keep(item, found),
      (problem) => keep(item, problem),
    );
  };
  const keep = (item, found) => {
    differences.set(item.copy, { of: both(item), found });
    redraw();
  };
  const read = () =>
    get(of(project, "conflicts")).then(
      (page) => taken(page.items),
      (problem) => {
        wrong = problem;
        redraw();
      },
    );
  const taken = (found) => {
    [items, wrong] = [found, null];
    for (const item of items.slice(0, COMPARED_UNASKED)) {
      if (differences.get(item.copy)?.of !== both(item)) compare(item);
    }
    redraw();
  };
  const settle = async (item, which, word) => {
    const mine = isMine(item);
    const lines = {
      mine: [
        `${visible(item.path)} gets this device's edit.`,
        `The other edit goes to the trash, from where it can be restored.`,
      ],
      theirs: [
        `${visible(item.path)} gets ${mine ? "the other device's" : `${visible(item.device)}'s`} edit.`,
        `This device's edit goes to the trash, from where it can be restored.`,
      ],
      both: [
        `${visible(item.path)} stays as it is, and the copy becomes an ordinary file beside it, under another name.`,
      ],
    };
    if (
      !(await ask({ title: `${word}?`, lines: [...lines[which], "Every device of the team follows."], action: word }))
    )
      return;
    const page = await doing(
      () => post(of(project, "resolve"), {
          path: item.copy,
          keep: which,
          seen: { copy: item.digest, named: item.named },
        }),
      (left) => `Settled ${visible(item.path)}; ${plural(left.items.length, "conflict")} left.`,
    );
    if (page) {
      taken(page.items);
      document.querySelector("main h1").focus();
    } else read();
  };
  // A comparison of what is no longer there is none.
  const shownOf = (item) => {
    const kept = differences.get(item.copy);
    return kept?.of === both(item) ? kept.found : undefined;
  };
  const unwatch = watch(redraw);
  const again = soon(read, 300);
  read();
  return {
    title: `Conflicts of ${visible(project)}`,
    draw: () => [
      heading(project, "conflicts", ["Conflicts of ", name(project)]),
      wrong && !wrong.ended && h("p", { class: "note bad" }, wrong.message),
      items === null && !wrong && h("p", { class: "dim" }, "Reading …"),
      items?.length === 0 && h("p", { "data-key": "none" }, "No conflicts: nobody edited what another did."),
      items?.map((item) => article(project, item, shownOf(item), settle, compare)),
    ],
    changed(name_) {
      if (name_ === project) again();
    },
    close() {
      again.cancel();
      unwatch();
    },
  };
}

const both = (item) => `${item.digest} ${item.named}`;

// The copy holds the edit of the device that it is named after.
const isMine = (item) => item.device === store.daemon?.device;

function article(project, item, found, settle, compare) {
  const mine = isMine(item);
  const id = `conflict-${encodeURIComponent(item.copy)}`;
  const named = mine ? "Theirs" : "Mine";
  const copied = mine ? "Mine" : "Theirs";
  const compared = found && found !== "reading" && !(found instanceof Error);
  const [, nameSize] = compared ? sides(found) : [];
  const button = (which, word) =>
    h(
      "button",
      { type: "button", "data-key": which, onclick: () => settle(item, which, word), "aria-describedby": id },
      word,
    );
  return h(
    "article",
    { class: "card wide", "data-key": item.copy, "aria-labelledby": id },
    h("h2", { id }, h("a", { href: linkTo(project, "file", item.path) }, name(item.path))),
    h(
      "dl",
      { class: "sides" },
      side(`${copied}: edit of ${visible(item.device)}`, [`${size(item.size)}, changed `, clock(item.at)], item.copy),
      side(`${named}: has the name now`, nameSize ? [nameSize] : [], item.path),
    ),
    found === "reading" && h("p", { class: "dim", "data-key": "diff" }, "Comparing …"),
    found instanceof Error && h("p", { class: "hint", "data-key": "diff" }, found.message),
    compared && difference(found, [`${copied} (copy)`, `${named} (has the name)`], "diff"),
    !found && h("button", { type: "button", "data-key": "compare", onclick: () => compare(item) }, "Compare"),
    h(
      "div",
      { class: "buttons", "data-key": "choices" },
      button("mine", "Keep mine"),
      button("theirs", "Keep theirs"),
      button("both", "Keep both"),
    ),
  );
}

const side = (title, facts, path) =>
  h(
    "div",
    null,
    h("dt", null, title),
    h("dd", null, facts.length ? [facts, h("br")] : null, h("span", { class: "dim" }, name(path))),
  );
