// Projects at one glance: what state each is in, what is left to do, and what waits for a person.

import { of, post } from "./api.js";
import { ask } from "./ask.js";
import { h } from "./dom.js";
import { doing, say } from "./say.js";
import { store, take } from "./store.js";
import { count, name, pending, plural, since, size, state, visible } from "./words.js";

export const linkTo = (project, ...rest) => `#/p/${[project, ...rest].map(encodeURIComponent).join("/")}`;

export function open() {
  return {
    title: "Projects",
    draw: () => [
      h("h1", { tabindex: -1 }, "Projects"),
      notices(store.warnings),
      store.projects.length
        ? h(
            "div",
            { class: "cards" },
            store.projects.map((project) => card(project)),
          )
        : store.daemon &&
          h("p", null, "No projects yet. Add one in a terminal: ", h("code", null, "dorkyctl up FOLDER")),
    ],
  };
}

function card(project) {
  const id = `card-${encodeURIComponent(project.name)}`;
  return h(
    "article",
    { class: "card", "data-key": project.name, "aria-labelledby": id },
    h("h2", { id }, h("a", { href: linkTo(project.name) }, name(project.name)), " ", state(project.state)),
    about(project),
  );
}

// All of one project: facts, what needs a person, and what can be done about it.
export function about(project) {
  return [
    h("p", { class: "where" }, h("span", null, name(project.path)), " ↔ ", h("span", null, name(project.bucket))),
    needs(project),
    h(
      "dl",
      { class: "facts" },
      fact("Files", `${count(project.files)} (${size(project.bytes)})`),
      fact("To do", pending(project)),
      fact(
        "Conflicts",
        project.conflicts
          ? h(
              "a",
              { class: "bad", href: linkTo(project.name, "conflicts") },
              plural(project.conflicts, "conflict"),
              " to settle",
            )
          : "none",
      ),
      fact(
        "Problems",
        project.problems
          ? h(
              "a",
              { class: "bad", href: linkTo(project.name, "problems") },
              plural(project.problems, "path"),
              " cannot sync",
            )
          : "none",
      ),
      fact("Last in sync", since(project.last_success)),
      project.mode !== "two-way" && fact("Mode", project.mode),
      limits(project.bandwidth) && fact("Limit", limits(project.bandwidth)),
    ),
    notices(project.warnings),
    buttons(project),
  ];
}

const fact = (term, value) => h("div", null, h("dt", null, term), h("dd", null, value));

function limits({ up, down }) {
  return [up && `↑ ${size(up)}/s`, down && `↓ ${size(down)}/s`].filter(Boolean).join(" ");
}

function notices(list) {
  return list.map((notice) =>
    h(
      "div",
      { class: "note warn", "data-key": `note-${notice.code}-${notice.detail}` },
      h("p", null, visible(notice.detail)),
      notice.hint && h("p", { class: "hint" }, visible(notice.hint)),
    ),
  );
}

function buttons(project) {
  const paused = project.state === "paused";
  const button = (text, verb, body, said) =>
    h(
      "button",
      {
        type: "button",
        "data-key": verb,
        onclick: () =>
          doing(() => post(of(project.name, verb), body), said).then((told) => told?.requests && take(told, true)),
      },
      text,
      h("span", { class: "unseen" }, ` ${visible(project.name)}`),
    );
  return h(
    "div",
    { class: "buttons" },
    button("Sync now", "sync", {}, `${visible(project.name)}: looking at both sides`),
    paused
      ? button("Resume", "resume", {}, `${visible(project.name)} goes on`)
      : button("Pause", "pause", {}, `${visible(project.name)} is paused: nothing moves`),
  );
}

function needs(project) {
  if (project.halt) return halt(project);
  if (project.detail && ["offline", "auth-expired", "error"].includes(project.state)) {
    return h(
      "div",
      { class: project.state === "offline" ? "note warn" : "note bad", "data-key": "needs" },
      h("p", null, visible(project.detail)),
      project.hint && h("p", { class: "hint" }, visible(project.hint)),
    );
  }
  return null;
}

// --- halts ------------------------------------------------------------------------------------------------------------

function halt(project) {
  const { reason, detail, token } = project.halt;
  const [seen, ...rest] = detail.split("\n");
  const effects = new Map(
    rest.flatMap((line) => {
      const found = /^\s*dorkyctl (approve|reject) /.exec(line);
      return found && line.includes(token) ? [[found[1], line.slice(line.indexOf(token) + token.length).trim()]] : [];
    }),
  );
  const others = rest.filter(
    (line) => ![...effects.keys()].some((verb) => line.trim().startsWith(`dorkyctl ${verb} `)),
  );
  return h(
    "section",
    { class: "note bad", "data-key": "needs", "aria-label": `Stopped: ${reason}` },
    h("h3", null, "Stopped until you decide"),
    h("p", null, visible(seen)),
    others.map((line) => h("p", { class: "hint" }, visible(line.trim()))),
    effects.size > 0 &&
      h(
        "div",
        { class: "choices" },
        [...effects].map(([verb, effect]) => decide(project, verb, effect, seen)),
      ),
  );
}

function decide(project, verb, effect, seen) {
  const word = verb === "approve" ? "Approve" : "Reject";
  const clicked = async () => {
    const yes = await ask({
      title: `${word} in ${visible(project.name)}?`,
      lines: [visible(seen), `${word} ${visible(effect)}.`],
      action: word,
      danger: verb === "approve",
    });
    if (!yes) return;
    const told = await doing(() => post(of(project.name, verb), { token: project.halt.token }));
    if (told) {
      take(told, true);
      say(`${visible(project.name)} goes on`);
    }
  };
  return h(
    "div",
    { "data-key": verb },
    h("button", { type: "button", class: verb === "approve" ? "danger" : "", onclick: clicked }, `${word} …`),
    h("span", null, visible(effect)),
  );
}
