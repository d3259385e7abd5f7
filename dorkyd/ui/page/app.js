// The page: which view the address asks for, and drawing it whenever something it shows has changed.

import * as activity from "./activity.js";
import { Problem } from "./api.js";
import * as conflicts from "./conflicts.js";
import { h, show } from "./dom.js";
import * as file from "./file.js";
import * as overview from "./overview.js";
import * as problems from "./problems.js";
import * as project from "./project.js";
import { listen, run, store } from "./store.js";
import * as tree from "./tree.js";
import { name, shape, visible } from "./words.js";

const AGES_MS = 10_000;
let view = null;
let drawing = 0;

function wanted() {
  const [kind, of, part, path] = location.hash.replace(/^#\//, "").split("/").map(decodeURIComponent);
  if (kind === "activity") return activity.open(redraw);
  if (kind !== "p" || !of) return overview.open();
  if (part === "files") return tree.open(of, path ?? "", redraw);
  if (part === "conflicts") return conflicts.open(of, redraw);
  if (part === "problems") return problems.open(of, redraw);
  if (part === "file" && path) return file.open(of, path, redraw);
  if (part === "activity") return logOf(of);
  return project.open(of, redraw);
}

function logOf(of) {
  const log = activity.make([of], redraw);
  return {
    title: `Activity of ${visible(of)}`,
    draw: () => [project.heading(of, "activity", ["Activity of ", name(of)]), log.draw()],
    changed: log.changed,
    close: log.close,
  };
}

function redraw(now = false) {
  if (now === true) {
    cancelAnimationFrame(drawing);
    drawing = 0;
    draw();
  } else if (!drawing) {
    drawing = requestAnimationFrame(() => {
      drawing = 0;
      draw();
    });
  }
}

function draw() {
  const waiting = store.projects.some((each) => each.halt || each.conflicts || each.problems);
  document.title = `${waiting ? "(!) " : ""}${view.title} - dorkyd`;
  document.getElementById("device").textContent = store.daemon ? visible(store.daemon.device) : "";
  show(document.getElementById("nav"), links());
  show(document.getElementById("link"), link());
  show(document.getElementById("main"), view.draw());
}

function links() {
  const here = decodeURIComponent(location.hash.split("/")[2] ?? "");
  const kind = location.hash.split("/")[1] ?? "";
  const one = (href, word, current) =>
    h("a", { href, "aria-current": current ? "true" : null, "data-key": href }, word);
  return [
    one("#/", "All projects", kind === ""),
    one("#/activity", "Activity", kind === "activity"),
    store.projects.map((each) => one(overview.linkTo(each.name), name(each.name), kind === "p" && here === each.name)),
  ];
}

function link() {
  const wrong = store.link instanceof Problem ? store.link : null;
  if (store.link === "live") return h("span", { class: "state good" }, shape("check"), h("span", null, "live"));
  if (!wrong) return h("span", { class: "dim" }, "connecting …");
  return h("span", { class: "note bad" }, shape("cross"), ` ${wrong.message} ${wrong.hint}`);
}

function go() {
  if (location.hash && !location.hash.startsWith("#/")) return;
  const first = view === null;
  view?.close?.();
  view = wanted();
  draw();
  if (first) return;
  scrollTo(0, 0);
  document.querySelector("main h1")?.focus({ preventScroll: true });
}

window.addEventListener("hashchange", go);
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  document.getElementById("main").focus();
});
listen((of, moved) => {
  if (moved) view.changed?.(of);
  redraw();
});
setInterval(redraw, AGES_MS);
go();
run();
