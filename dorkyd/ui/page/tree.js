// The tree: a folder's entries are read when it is opened, some hundreds at a time, so that 100,000 files are no more to the
// browser than what is open. One row has the focus; the arrow keys move it, as in any tree.

import { get, of } from "./api.js";
import { h } from "./dom.js";
import { linkTo } from "./overview.js";
import { heading } from "./project.js";
import { soon } from "./soon.js";
import { plural, count, name, size, state, visible } from "./words.js";

const PAGE = 200;
const TYPED_MS = 250;
const SOON_MS = 600;

export function open(project, begin, redraw) {
  const folders = new Map();
  // By path ("" the root): { items, next, open }. What was read once is there at once when it is opened again.
  let [match, unsettled, found, wrong, focus] = ["", false, null, null, null];
  const searching = () => match !== "" || unsettled;

  const failed = (problem) => {
    wrong = problem;
    redraw();
  };
  async function read(folder, more = false) {
    const held = folders.get(folder) ?? { items: [], next: null, open: true };
    folders.set(folder, held);
    const known = more ? held.items : [];
    const limit = more ? PAGE : Math.min(2000, Math.max(PAGE, held.items.length));
    const page = await get(of(project, "tree", { folder, after: more ? held.next : "", limit }));
    held.items = [...known, ...page.items];
    held.next = page.next;
    wrong = null;
    redraw();
  }
  async function find(more = false) {
    const [text, only] = [match, unsettled];
    const page = await get(
      of(project, "tree", { match: text, unsettled: only || null, after: more ? found.next : "", limit: PAGE }),
    );
    if (text !== match || only !== unsettled) return;
    found = { items: [...(more ? found.items : []), ...page.items], next: page.next };
    wrong = null;
    redraw();
  }
  const look = () =>
    searching() ? find() : [...folders].filter(([, held]) => held.open).map(([folder]) => read(folder));
  const reread = () => Promise.all([look()].flat()).catch(failed);
  const again = soon(reread, SOON_MS);
  const typed = soon(reread, TYPED_MS);

  function rows() {
    if (searching()) {
      const items = (found?.items ?? []).map((item) => ({ item, level: 1, id: item.path }));
      return found?.next ? [...items, { more: "", level: 1, id: "\0more" }] : items;
    }
    const below = (folder, level) => {
      const held = folders.get(folder);
      const list = (held?.items ?? []).flatMap((item) => {
        const row = { item, level, id: item.path, folder: item.path.endsWith("/") && item.state !== "ignored" };
        row.open = row.folder && folders.get(item.path)?.open === true;
        return row.open ? [row, ...below(item.path, level + 1)] : [row];
      });
      return held?.next ? [...list, { more: folder, level, id: `${folder}\0more` }] : list;
    };
    return below("", 1);
  }
  function toggle(row, wanted = !row.open) {
    const held = folders.get(row.id);
    if (held) held.open = wanted;
    if (wanted) read(row.id).catch(failed);
    else redraw();
  }
  function act(row) {
    focus = row.id;
    if (row.more !== undefined) (searching() ? find(true) : read(row.more, true)).catch(failed);
    else if (row.folder) toggle(row);
    else location.hash = linkTo(project, "file", row.item.path);
  }
  function to(row) {
    focus = row.id;
    redraw(true);
    document.querySelector('[role="treeitem"][tabindex="0"]')?.focus();
  }
  function pressed(event) {
    const all = rows();
    const at = all.findIndex((row) => row.id === focus);
    const row = all[at];
    if (!row || event.altKey || event.ctrlKey || event.metaKey) return;
    const above = () => all.slice(0, at).findLast((each) => each.level < row.level);
    const moves = {
      ArrowDown: () => all[at + 1] && to(all[at + 1]),
      ArrowUp: () => all[at - 1] && to(all[at - 1]),
      Home: () => to(all[0]),
      End: () => to(all.at(-1)),
      ArrowRight: () =>
        row.folder && !row.open ? toggle(row, true) : row.open && all[at + 1]?.level > row.level && to(all[at + 1]),
      ArrowLeft: () => (row.open ? toggle(row, false) : above() && to(above())),
      Enter: () => act(row),
      " ": () => act(row),
    };
    if (!moves[event.key]) return;
    event.preventDefault();
    moves[event.key]();
  }

  const drawn = (row) => {
    const common = {
      role: "treeitem",
      "data-key": row.id,
      tabindex: row.id === focus ? 0 : -1,
      "aria-level": row.level,
      class: `row level-${Math.min(row.level, 8)}`,
      onclick: () => {
        focus = row.id;
        act(row);
      },
    };
    if (row.more !== undefined) return h("div", { ...common, class: `${common.class} more` }, "Show more …");
    const { item } = row;
    const label = searching() ? item.path : item.path.replace(/\/$/, "").split("/").at(-1);
    return h(
      "div",
      { ...common, "aria-expanded": row.folder ? String(row.open) : null },
      h("span", { class: row.folder ? "twist" : "twist none", "aria-hidden": "true" }),
      h("span", { class: "label" }, name(label), item.path.endsWith("/") && "/"),
      h(
        "span",
        { class: "amount dim" },
        row.folder ? plural(item.files, "file") : item.size === null ? "" : size(item.size),
      ),
      state(item.state),
    );
  };

  // The folder in the address is opened, with all above it.
  const parts = begin ? begin.replace(/\/$/, "").split("/") : [];
  const first = ["", ...parts.map((_, n) => `${parts.slice(0, n + 1).join("/")}/`)];
  focus = begin || null;
  Promise.all(first.map((folder) => read(folder))).catch(failed);

  return {
    title: `Files of ${visible(project)}`,
    draw() {
      const all = rows();
      const root = folders.get("");
      if (all.length && !all.some((row) => row.id === focus)) focus = all[0].id;
      return [
        heading(project, "files", ["Files of ", name(project)]),
        h(
          "form",
          { class: "filter", role: "search", "data-key": "filter", onsubmit: (event) => event.preventDefault() },
          h(
            "label",
            null,
            "Find a path ",
            h("input", {
              type: "search",
              autocomplete: "off",
              spellcheck: "false",
              oninput: (event) => {
                match = event.target.value;
                typed();
              },
            }),
          ),
          h(
            "label",
            null,
            h("input", {
              type: "checkbox",
              onchange: (event) => ([unsettled, found] = [event.target.checked, null]) && reread(),
            }),
            " Only what is not in sync",
          ),
        ),
        wrong && !wrong.ended && h("p", { class: "note bad", "data-key": "wrong" }, wrong.message),
        all.length > 0 &&
          h(
            "div",
            { class: "tree", role: "tree", "aria-label": "Files", "data-key": "tree", onkeydown: pressed },
            all.map(drawn),
          ),
        all.length === 0 && !wrong && h("p", { "data-key": "none" }, empty(searching() ? found : root)),
        searching() &&
          found?.items.length > 0 &&
          h(
            "p",
            { class: "dim", role: "status", "data-key": "count" },
            found.next ? `The first ${count(found.items.length)}.` : `${plural(found.items.length, "path")}.`,
          ),
      ];
    },
    changed(name_) {
      if (name_ === project) again();
    },
    close() {
      typed.cancel();
      again.cancel();
    },
  };

  function empty(read_) {
    if (!read_ || (!searching() && !read_.items)) return "Reading …";
    if (unsettled) return match ? "Nothing of that is out of sync." : "Everything is in sync.";
    return match ? "No path has this in it." : "No files yet.";
  }
}
