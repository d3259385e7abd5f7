// What moved in the last day, and what was left to do. Drawn at the size it is shown at, so that its text is never small.

import { get, of } from "./api.js";
import { h, s } from "./dom.js";
import { soon } from "./soon.js";
import { count, plural, size } from "./words.js";

const DAY = 24 * 60 * 60;
const NARROW = 520;
const HEIGHT = { moved: 96, pending: 56, gap: 22, foot: 22, left: 70, right: 8, top: 24 };
const EVERY_MS = 30_000;
const SOON_MS = 1000;
const HOUR = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });

export function make(project, redraw) {
  let samples = null;
  let width = 0;
  const read = () =>
    get(of(project, "samples")).then(
      (page) => {
        samples = page.items;
        redraw();
      },
      () => {},
    );
  const again = soon(read, SOON_MS);
  const timer = setInterval(read, EVERY_MS);
  const measured = () => {
    const room = document.querySelector(".chart")?.clientWidth;
    if (room && room !== width) {
      width = room;
      redraw();
    }
  };
  window.addEventListener("resize", measured);
  read();
  return {
    draw() {
      queueMicrotask(measured);
      if (!samples) return h("p", { class: "dim", "data-key": "chart" }, "Reading …");
      return figure(samples, width);
    },
    changed(name) {
      if (name === project) again();
    },
    close() {
      clearInterval(timer);
      again.cancel();
      window.removeEventListener("resize", measured);
    },
  };
}

// Minutes to steps that can be seen: sums of what moved, the most that was left.
function steps(samples, length) {
  const last = Math.floor(Date.now() / 1000 / length) * length;
  const first = last - DAY + length;
  const found = Array.from({ length: DAY / length }, (_, n) => ({
    at: first + n * length,
    up: 0,
    down: 0,
    pending: 0,
    known: false,
  }));
  for (const each of samples) {
    const step = found[Math.floor((each.at - first) / length)];
    if (!step) continue;
    step.known = true;
    step.up += each.up;
    step.down += each.down;
    step.pending = Math.max(step.pending, each.pending);
  }
  return found;
}

function figure(samples, width) {
  const up = samples.reduce((sum, each) => sum + each.up, 0);
  const down = samples.reduce((sum, each) => sum + each.down, 0);
  const most = Math.max(0, ...samples.map((each) => each.pending));
  const told = `${size(up)} sent, ${size(down)} fetched; at most ${plural(most, "path")} left to do at once.`;
  const since = samples.length ? HOUR.format(samples[0].at * 1000) : null;
  return h(
    "figure",
    { class: "chart", "data-key": "chart" },
    width > 0 && drawing(samples, width, told),
    h("figcaption", null, told, since && samples.length < DAY / 60 - 10 ? ` Watched since ${since}.` : ""),
    h("details", null, h("summary", null, "The same as a table"), table(steps(samples, 600))),
  );
}

function drawing(samples, width, told) {
  const length = width < NARROW ? 1800 : 600;
  const all = steps(samples, length);
  const { moved, pending, gap, foot, left, right, top } = HEIGHT;
  const room = width - left - right;
  const x = (n) => left + (n * room) / all.length;
  const bar = Math.max(1, room / all.length - 1);
  const most = Math.max(1, ...all.flatMap((each) => [each.up, each.down]));
  const much = Math.max(1, ...all.map((each) => each.pending));
  const middle = top + moved / 2;
  const floor = top + moved + gap + pending;
  const high = (value) => (value ? Math.max(2, (value / most) * (moved / 2)) : 0);
  const deep = (value) => (value ? Math.max(2, (value / much) * pending) : 0);
  const rect = (kind, n, y, tall) =>
    tall > 0 &&
    s("rect", { class: kind, x: x(n).toFixed(1), y: y.toFixed(1), width: bar.toFixed(1), height: tall.toFixed(1) });
  const every = width < NARROW ? 6 : 3;
  const marks = all.flatMap(({ at }, n) => {
    const time = new Date(at * 1000);
    return time.getMinutes() === 0 && time.getHours() % every === 0 && x(n) > left + 12 && x(n) < width - 24 ? [n] : [];
  });
  return s(
    "svg",
    {
      width,
      height: floor + foot,
      viewBox: `0 0 ${width} ${floor + foot}`,
      role: "img",
      "aria-label": `The last day: ${told}`,
    },
    all[0].known ? null : unknown(all, x, top, floor),
    s("text", { x: left - 6, y: top + moved / 4 + 4, "text-anchor": "end" }, "↑ sent"),
    s("text", { x: left - 6, y: top + (3 * moved) / 4 + 4, "text-anchor": "end" }, "↓ fetched"),
    s("text", { x: left, y: top - 5 }, `${size(most)} in ${length / 60} min`),
    all.map((each, n) => [
      rect("up", n, middle - high(each.up), high(each.up)),
      rect("down", n, middle, high(each.down)),
    ]),
    s("path", { class: "axis", d: `M${left} ${middle}H${width - right}` }),
    s("text", { x: left - 6, y: floor - pending / 2 + 4, "text-anchor": "end" }, "to do"),
    s("text", { x: left, y: top + moved + gap - 5 }, plural(much, "path")),
    all.map((each, n) => rect("pending", n, floor - deep(each.pending), deep(each.pending))),
    s("path", { class: "axis", d: `M${left} ${floor}H${width - right}` }),
    marks.map((n) => [
      s("path", { class: "tick", d: `M${x(n).toFixed(1)} ${floor}v4` }),
      s("text", { x: x(n), y: floor + 18, "text-anchor": "middle" }, HOUR.format(all[n].at * 1000)),
    ]),
  );
}

// The part of the day in which nobody watched.
function unknown(all, x, top, floor) {
  const first = all.findIndex((each) => each.known);
  const until = first < 0 ? all.length : first;
  const wide = x(until) - x(0);
  return [
    wide > 0 && s("rect", { class: "unknown", x: x(0), y: top, width: wide, height: floor - top }),
    wide > 120 &&
      s("text", { x: x(0) + wide / 2, y: top + HEIGHT.moved / 4 + 4, "text-anchor": "middle" }, "not watched yet"),
  ];
}

function table(all) {
  const hours = [];
  for (let n = 0; n < all.length; n += 6) {
    const part = all.slice(n, n + 6);
    if (!part.some((each) => each.known)) continue;
    const sum = (of_) => part.reduce((total, each) => total + each[of_], 0);
    hours.push([part[0].at, sum("up"), sum("down"), Math.max(...part.map((each) => each.pending))]);
  }
  return h(
    "table",
    null,
    h(
      "thead",
      null,
      h(
        "tr",
        null,
        ["From", "Sent", "Fetched", "Most to do"].map((word) => h("th", { scope: "col" }, word)),
      ),
    ),
    h(
      "tbody",
      null,
      hours.map(([at, up, down, most]) =>
        h(
          "tr",
          null,
          h("th", { scope: "row" }, HOUR.format(at * 1000)),
          h("td", null, size(up)),
          h("td", null, size(down)),
          h("td", null, count(most)),
        ),
      ),
    ),
  );
}
