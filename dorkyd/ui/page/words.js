// Values as people read them. What somebody else chose (names of files, devices, buckets) goes through `visible`.

import { h, s } from "./dom.js";

// As dorkyd's `core/printable.py`: everything that is not printed as itself is written out, so that no name can hide or
// reorder anything. `keep`: characters that stay.
export function visible(text, keep = "") {
  let told = "";
  for (const char of String(text)) {
    const hidden = char !== " " && /[\p{C}\p{Z}]/u.test(char);
    told += hidden && !keep.includes(char) ? escaped(char) : char;
  }
  return told;
}

const NAMED = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function escaped(char) {
  const point = char.codePointAt(0);
  const hex = point.toString(16);
  if (NAMED[char]) return NAMED[char];
  return point < 256
    ? `\\x${hex.padStart(2, "0")}`
    : point < 65536
      ? `\\u${hex.padStart(4, "0")}`
      : `\\U${hex.padStart(8, "0")}`;
}

export const count = (number) => number.toLocaleString("en");
export const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;

export function size(bytes) {
  if (bytes === null || bytes === undefined) return "size unknown";
  let amount = bytes;
  for (const unit of ["B", "KiB", "MiB", "GiB", "TiB"]) {
    if (amount < 1024 || unit === "TiB") return unit === "B" ? `${bytes} B` : `${amount.toFixed(1)} ${unit}`;
    amount /= 1024;
  }
  return "";
}

export function length(seconds) {
  for (const [unit, least] of [
    ["d", 86400],
    ["h", 3600],
    ["min", 60],
  ]) {
    if (seconds >= 2 * least) return `${Math.round(seconds / least)} ${unit}`;
  }
  return `${Math.round(seconds)} s`;
}

function ago(then) {
  const past = Math.max(0, (Date.now() - then) / 1000);
  for (const [unit, least] of [
    ["d", 86400],
    ["h", 3600],
    ["min", 60],
  ]) {
    if (past >= least) return `${Math.floor(past / least)} ${unit} ago`;
  }
  return past < 10 ? "just now" : `${Math.floor(past / 10) * 10} s ago`;
}

const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DATE = new Intl.DateTimeFormat("en-CA", { year: "numeric", month: "2-digit", day: "2-digit" });

const parsed = (moment) => {
  const stamp = /^(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)$/.exec(moment);
  return stamp ? Date.UTC(stamp[1], stamp[2] - 1, ...stamp.slice(3)) : Date.parse(moment);
};

export function clock(moment) {
  const then = parsed(moment);
  if (Number.isNaN(then)) return visible(moment);
  const today = DATE.format(then) === DATE.format(Date.now());
  return h(
    "time",
    { datetime: new Date(then).toISOString() },
    today ? CLOCK.format(then) : `${DATE.format(then)} ${CLOCK.format(then)}`,
  );
}

export function since(moment, never = "never") {
  if (!moment) return never;
  const then = parsed(moment);
  const whole = `${DATE.format(then)} ${CLOCK.format(then)}`;
  return h("time", { datetime: new Date(then).toISOString(), title: whole }, ago(then));
}

// A sentence of the daemon, with its moments as clocks show them here.
export function sentence(text) {
  return text.split(/(\d{4}-\d\d-\d\dT[\d:.]+Z)/).map((part, n) => (n % 2 ? clock(part) : visible(part)));
}

// A name, kept apart from the text around it whatever its writing direction.
export const name = (text) => h("bdi", { class: "name" }, visible(text));

// --- states: a shape and a word for each, colour only beside them -----------------------------------------------------

const SHAPES = {
  check: "M3 8.5 6.5 12 13 4.5",
  arrows: "M3 8a5 5 0 0 1 9-3M13 8a5 5 0 0 1-9 3M12 2v3H9M4 14v-3h3",
  bars: "M5.5 3v10M10.5 3v10",
  square: "M4 4h8v8H4z",
  ring: "M8 3a5 5 0 1 0 .01 0z",
  cross: "M4 4l8 8M12 4l-8 8",
  up: "M8 13V3M4 7l4-4 4 4",
  down: "M8 3v10M4 9l4 4 4-4",
  unequal: "M3 6h10M3 10h10M11 3 5 13",
  dash: "M4 8h8",
  bang: "M8 3v6M8 12v1",
};

const STATES = {
  "in-sync": ["check", "in sync", "good"],
  syncing: ["arrows", "syncing", "busy"],
  paused: ["bars", "paused", "warn"],
  halted: ["square", "halted", "bad"],
  offline: ["ring", "offline", "warn"],
  "auth-expired": ["cross", "credentials expired", "bad"],
  error: ["cross", "error", "bad"],
  synced: ["check", "in sync", "good"],
  sending: ["up", "sending", "busy"],
  local: ["up", "only here", "busy"],
  remote: ["down", "only in bucket", "busy"],
  changing: ["arrows", "changing", "busy"],
  pending: ["arrows", "changing", "busy"],
  conflict: ["unequal", "conflict", "bad"],
  problem: ["bang", "problem", "bad"],
  ignored: ["dash", "ignored", "dim"],
};

export const shape = (of) =>
  s("svg", { class: "shape", viewBox: "0 0 16 16", "aria-hidden": "true" }, s("path", { d: SHAPES[of] }));

export const wordOf = (code) => (STATES[code] ?? [0, code])[1];

export function state(code) {
  const [form, word, kind] = STATES[code] ?? ["dash", code, "dim"];
  return h("span", { class: `state ${kind}` }, shape(form), h("span", null, visible(word)));
}

export function pending(project) {
  const { pending: work, speed } = project;
  const parts = [
    [work.upload, "↑", "to send"],
    [work.download, "↓", "to fetch"],
    [work.delete_local + work.delete_remote, "✗", "to delete"],
  ].filter(([number]) => number);
  if (!parts.length) return "nothing";
  const counts = parts.map(([number, arrow, word]) => `${arrow} ${count(number)} ${word}`).join(", ");
  const more = [
    work.bytes ? size(work.bytes) : "",
    speed.up ? `↑ ${size(speed.up)}/s` : "",
    speed.down ? `↓ ${size(speed.down)}/s` : "",
    speed.left_s === null ? "" : `${length(speed.left_s)} left`,
  ].filter(Boolean);
  return more.length ? `${counts} (${more.join(", ")})` : counts;
}
