// One file: how it stands, and its states so far, each of which can be compared, brought back and downloaded.

import { download, get, of, post } from "./api.js";
import { ask } from "./ask.js";
import { difference, watch } from "./diff.js";
import { h } from "./dom.js";
import { linkTo } from "./overview.js";
import { heading } from "./project.js";
import { doing } from "./say.js";
import { soon } from "./soon.js";
import { clock, name, sentence, size, state, visible } from "./words.js";

const PLACES = {
  bucket: "in the bucket",
  trash: "in this folder's trash",
  "bucket-trash": "in the bucket's trash",
  versions: "a version of the store",
};

export function open(project, path, redraw) {
  let [why, history, wrong] = [null, null, null];
  let shown = null;
  const failed = (problem) => {
    wrong = problem;
    redraw();
  };
  const read = () => {
    get(of(project, "why", { path })).then((found) => {
      why = found;
      redraw();
    }, failed);
    get(of(project, "history", { path })).then((found) => {
      [history, wrong] = [found, null];
      redraw();
    }, failed);
  };
  const compare = async (item) => {
    const found = await doing(() => get(of(project, "diff", { path, before: atOf(item) })));
    if (!found) return;
    shown = { key: atOf(item), found };
    redraw();
    document.getElementById("compared")?.focus();
  };
  const restore = async (item) => {
    const yes = await ask({
      title: "Restore this state?",
      lines: [
        [
          `${visible(path)} gets the content of `,
          item.at ? clock(item.at) : "that state",
          `, ${size(item.size)}, as a new version.`,
        ],
        "What stands there now goes to the trash. Every device of the team follows.",
      ],
      action: "Restore",
    });
    if (!yes) return;
    const told = await doing(
      () => post(of(project, "restore"), { path, at: atOf(item) }),
      (done) => (done.items.every((each) => each.done) ? `Restored ${visible(path)}.` : visible(done.items[0].detail)),
    );
    if (told) read();
  };
  const unwatch = watch(redraw);
  const again = soon(read, 500);
  read();
  return {
    title: visible(path),
    draw: () => [
      heading(project, "files", name(path)),
      crumbs(project, path),
      wrong && !wrong.ended && h("p", { class: "note bad" }, wrong.message),
      why &&
        h(
          "p",
          { "data-key": "why" },
          state(why.state),
          " ",
          sentence(why.explanation),
          why.state === "conflict" && [" ", h("a", { href: linkTo(project, "conflicts") }, "Settle it here")],
        ),
      h("h2", { "data-key": "h-history" }, "Its states"),
      history === null && !wrong && h("p", { class: "dim" }, "Reading …"),
      history?.missing &&
        h(
          "p",
          { class: "note warn" },
          "The bucket could not be asked, so there may be more: ",
          visible(history.missing),
        ),
      history?.items.length === 0 && h("p", null, "Nothing is known of it."),
      history?.items.length > 0 &&
        h(
          "ol",
          { class: "states", "data-key": "states" },
          history.items.map((item) =>
            line(item, { compare, restore, fetch: () => doing(() => download(project, path, atOf(item))) }),
          ),
        ),
      history &&
        h(
          "p",
          { class: "dim", "data-key": "kept" },
          visible(history.retention.replace(/^./, (first) => first.toUpperCase())),
          ".",
        ),
      shown && [
        h("h2", { id: "compared", tabindex: -1, "data-key": "compared" }, "That state and what is here now"),
        difference(shown.found, ["That state", "Here now"], `diff ${shown.key}`),
      ],
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

const atOf = (item) => item.version ?? item.digest;

function crumbs(project, path) {
  const parts = path.split("/");
  const folders = parts.slice(0, -1).map((part, n) => [part, `${parts.slice(0, n + 1).join("/")}/`]);
  return h(
    "nav",
    { class: "crumbs", "aria-label": "Folders above", "data-key": "crumbs" },
    h("a", { href: linkTo(project, "files") }, name(project)),
    folders.map(([part, folder]) => [" / ", h("a", { href: linkTo(project, "files", folder) }, name(part))]),
    " / ",
    name(parts.at(-1)),
  );
}

function line(item, { compare, restore, fetch: get_ }) {
  const at = atOf(item);
  const gone = !item.kept.length || !at;
  const places = item.kept.filter((where) => where !== "bucket").map((where) => PLACES[where] ?? where);
  const button = (word, act) =>
    h(
      "button",
      { type: "button", "data-key": word, onclick: () => act(item) },
      word,
      h("span", { class: "unseen" }, " the state of ", item.at ? clock(item.at) : "an unknown time"),
    );
  return h(
    "li",
    { "data-key": `${at} ${item.at}` },
    h(
      "p",
      null,
      h("strong", null, item.at ? clock(item.at) : item.until ? ["until ", clock(item.until)] : "time unknown"),
      item.current && [" ", h("span", { class: "badge good" }, "now in the bucket")],
      " ",
      h("span", null, size(item.size), item.device && [", by ", name(item.device)]),
      h(
        "span",
        { class: "dim" },
        ` ${(item.digest ?? "digest unknown").replace(/^sha256:/, "").slice(0, 12)}`,
        places.length > 0 && `, ${places.join(", ")}`,
        gone && ", its bytes are gone",
      ),
    ),
    !gone &&
      h(
        "div",
        { class: "buttons" },
        !item.current && [button("Compare", compare), button("Restore", restore)],
        button("Download", get_),
      ),
  );
}
