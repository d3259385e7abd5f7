// Elements from values, and a page that follows them in place, so that focus, scrolling and what was typed stay.
// Text is only ever text: there is no way here to make markup of it, and the page's policy forbids the browser's own.

const HANDLERS = ["onclick", "onsubmit", "oninput", "onchange", "onkeydown", "ontoggle", "onfocusin"];
const SVG = "http://www.w3.org/2000/svg";

export function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function s(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (HANDLERS.includes(name)) element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...flat(children));
  return element;
}

function flat(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}

// Make the children of `parent` what `children` are, keeping every element that is still meant.
export function show(parent, ...children) {
  const focused = document.activeElement;
  follow(
    parent,
    flat(children).map((child) => (child instanceof Node ? child : document.createTextNode(String(child)))),
  );
  if (focused !== document.activeElement && focused.isConnected && parent.contains(focused)) focused.focus();
}

const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.getAttribute("data-key") : null);

const alike = (one, other) =>
  one.nodeType === other.nodeType && one.nodeName === other.nodeName && keyOf(one) === keyOf(other);

function follow(parent, wanted) {
  const keyed = new Map();
  for (const child of parent.childNodes) if (keyOf(child) !== null) keyed.set(keyOf(child), child);
  const meant = new Set(wanted.map(keyOf));
  let at = parent.firstChild;
  for (const node of wanted) {
    const key = keyOf(node);
    const known = key === null ? at : keyed.get(key);
    if (known && known.parentNode === parent && alike(known, node)) {
      if (known !== at) {
        // What stood here may have gone: then what is wanted comes next anyway, and nothing that has focus is moved.
        while (at && at !== known && keyOf(at) !== null && !meant.has(keyOf(at))) {
          const gone = at;
          at = at.nextSibling;
          gone.remove();
        }
        if (known !== at) parent.insertBefore(known, at);
      }
      if (known === at) at = at.nextSibling;
      become(known, node);
    } else {
      parent.insertBefore(node, at);
    }
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

function become(known, node) {
  if (known.nodeType !== Node.ELEMENT_NODE) {
    if (known.data !== node.data) known.data = node.data;
    return;
  }
  // A person opens and closes these.
  const own = known.nodeName === "DETAILS" ? ["open"] : [];
  for (const { name } of [...known.attributes]) {
    if (!node.hasAttribute(name) && !own.includes(name)) known.removeAttribute(name);
  }
  for (const { name, value } of node.attributes) {
    if (known.getAttribute(name) !== value) known.setAttribute(name, value);
  }
  for (const name of HANDLERS) known[name] = node[name];
  follow(known, [...node.childNodes]);
}
