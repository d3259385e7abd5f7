// Paths that cannot sync, why, and what to do.

import { get, of } from "./api.js";
import { h } from "./dom.js";
import { linkTo } from "./overview.js";
import { heading } from "./project.js";
import { soon } from "./soon.js";
import { length, name, plural, visible } from "./words.js";

export function open(project, redraw) {
  let items = null;
  let wrong = null;
  const read = () =>
    get(of(project, "problems")).then(
      (page) => {
        [items, wrong] = [page.items, null];
        redraw();
      },
      (problem) => {
        wrong = problem;
        redraw();
      },
    );
  const again = soon(read, 300);
  read();
  return {
    title: `Problems of ${visible(project)}`,
    draw: () => [
      heading(project, "problems", ["Problems of ", name(project)]),
      wrong && !wrong.ended && h("p", { class: "note bad" }, wrong.message),
      items === null && !wrong && h("p", { class: "dim" }, "Reading …"),
      items?.length === 0 && h("p", { "data-key": "none" }, "No problems: every path can sync."),
      items?.length > 0 && h("p", { "data-key": "count" }, `${plural(items.length, "path")} cannot sync.`),
      items?.map((item) =>
        h(
          "article",
          { class: "card wide", "data-key": item.path },
          h("h2", null, h("a", { href: linkTo(project, "file", item.path) }, name(item.path))),
          h("p", null, visible(item.detail)),
          item.hint && h("p", { class: "hint" }, "What to do: ", visible(item.hint)),
          h(
            "p",
            { class: "dim" },
            `Tried ${item.attempts} times, `,
            item.next_try_s === null ? "again when it changes." : `again in ${length(Math.max(0, item.next_try_s))}.`,
          ),
        ),
      ),
    ],
    changed(name_) {
      if (name_ === project) again();
    },
    close: again.cancel,
  };
}
