// A question before something is changed: what will happen, in words, and a way back that has the focus.

import { h, show } from "./dom.js";

let end = null;

export function ask({ title, lines, action, danger = false }) {
  // One that has just been closed may not have heard of it yet, and must not take the next one's place.
  end?.();
  const dialog = document.getElementById("dialog");
  const from = document.activeElement;
  return new Promise((answered) => {
    let yes = false;
    show(
      dialog,
      h("h2", { id: "dialog-title" }, title),
      lines.map((line) => h("p", null, line)),
      h(
        "div",
        { class: "buttons" },
        h("button", { type: "button", autofocus: true, onclick: () => dialog.close() }, "Cancel"),
        h(
          "button",
          {
            type: "button",
            class: danger ? "main danger" : "main",
            onclick: () => {
              yes = true;
              dialog.close();
            },
          },
          action,
        ),
      ),
    );
    end = () => {
      end = null;
      if (from.isConnected) from.focus();
      else document.getElementById("main").focus();
      answered(yes);
    };
    dialog.onclose = () => {
      if (!dialog.open) end?.();
    };
    dialog.showModal();
    dialog.querySelector("button").focus();
  });
}
