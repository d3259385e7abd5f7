// How two states differ: side by side where there is room, in one column where there is none. Signs beside the colours.

import { h } from "./dom.js";
import { size, visible } from "./words.js";

const NARROW = window.matchMedia("(max-width: 45rem)");

export function watch(redraw) {
  NARROW.addEventListener("change", redraw);
  return () => NARROW.removeEventListener("change", redraw);
}

// `names`: what the two sides are called.
export function difference(found, names, key) {
  const { kind, text } = found;
  if (kind === "same") return h("p", { "data-key": key }, "Both hold the same content.");
  if (!text)
    return h(
      "p",
      { "data-key": key },
      kind === "masked"
        ? "They differ. It may hold secrets, so nothing of it is shown."
        : "They differ, and are no text that could be compared line by line.",
    );
  const scroll = (content) =>
    h(
      "div",
      { class: "scroll", tabindex: 0, role: "region", "aria-label": `${names[0]} and ${names[1]} compared` },
      content,
    );
  // What understands the format tells in words of its own.
  if (kind !== "text" && kind !== "masked") return h("div", { "data-key": key }, scroll(h("pre", null, visible(text, "\n\t"))));
  const rows = parsed(text);
  return h(
    "div",
    { class: "difference", "data-key": key },
    kind === "masked" && h("p", { class: "hint" }, "It may hold secrets, so values are masked."),
    scroll(NARROW.matches ? one(rows, names) : two(rows, names)),
  );
}

export const sides = (found) => [found.before, found.after].map((side) => (side.there ? size(side.size) : "nothing"));

function parsed(text) {
  const rows = [];
  let [before, after] = [0, 0];
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  lines.slice(2).forEach((line) => {
    const sign = line[0];
    const hunk = /^@@ -(\d+)(?:,\d+)? \+(\d+)/.exec(line);
    if (hunk) {
      [before, after] = [Number(hunk[1]), Number(hunk[2])];
      rows.push({ kind: "hunk", text: `Line ${hunk[2]}` });
    } else if (sign === "-") rows.push({ kind: "less", at: before ? before++ : "", text: line.slice(1) });
    else if (sign === "+") rows.push({ kind: "more", at: after ? after++ : "", text: line.slice(1) });
    else if (sign === "\\") rows.push({ kind: "word", text: line.slice(2) });
    else if (sign === " ")
      rows.push({ kind: "both", at: before ? before++ : "", to: after ? after++ : "", text: line.slice(1) });
    else rows.push({ kind: "word", text: line });
  });
  return rows;
}

const shown = (text) => visible(text, "\t");

function head(names) {
  return h(
    "thead",
    null,
    h(
      "tr",
      null,
      names.map((each) => h("th", { scope: "col", colspan: 2 }, each)),
    ),
  );
}

function two(rows, names) {
  const lines = [];
  let [less, more] = [[], []];
  const flush = () => {
    for (let n = 0; n < Math.max(less.length, more.length); n += 1) {
      lines.push(h("tr", null, cells("less", less[n], "del", "−"), cells("more", more[n], "ins", "+")));
    }
    [less, more] = [[], []];
  };
  for (const row of rows) {
    if (row.kind === "less") less.push(row);
    else if (row.kind === "more") more.push(row);
    else {
      flush();
      if (row.kind === "both")
        lines.push(
          h(
            "tr",
            null,
            h("td", { class: "at" }, row.at),
            h("td", null, shown(row.text)),
            h("td", { class: "at" }, row.to),
            h("td", null, shown(row.text)),
          ),
        );
      else lines.push(h("tr", { class: "hunk" }, h("td", { colspan: 4 }, shown(row.text))));
    }
  }
  flush();
  const widths = h(
    "colgroup",
    null,
    ["at", "text", "at", "text"].map((each) => h("col", { class: each })),
  );
  return h("table", { class: "diff two" }, widths, head(names), h("tbody", null, lines));
}

const cells = (kind, row, tag, sign) => [
  h("td", { class: "at" }, row ? row.at : ""),
  h(
    "td",
    { class: row ? kind : "none" },
    row && h(tag, null, h("span", { class: "sign" }, `${sign} `), shown(row.text)),
  ),
];

function one(rows, names) {
  return h(
    "table",
    { class: "diff" },
    h(
      "thead",
      null,
      h("tr", null, h("th", { scope: "col" }, "− ", names[0]), h("th", { scope: "col" }, "+ ", names[1])),
    ),
    h(
      "tbody",
      null,
      rows.map((row) => {
        if (row.kind === "less")
          return h(
            "tr",
            null,
            h("td", { class: "less", colspan: 2 }, h("del", null, h("span", { class: "sign" }, "− "), shown(row.text))),
          );
        if (row.kind === "more")
          return h(
            "tr",
            null,
            h("td", { class: "more", colspan: 2 }, h("ins", null, h("span", { class: "sign" }, "+ "), shown(row.text))),
          );
        return h(
          "tr",
          { class: row.kind === "both" ? null : "hunk" },
          h("td", { colspan: 2 }, row.kind === "both" ? `  ${shown(row.text)}` : shown(row.text)),
        );
      }),
    ),
  );
}
