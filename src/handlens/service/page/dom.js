// Elements, made and found. Every text from outside goes into the document as text.

export const byId = (id) => document.getElementById(id);

// make("li", { className: "row" }, child, "text"): properties, then children; `dataset` and `aria` are objects.
export function make(tag, { dataset = {}, aria = {}, ...properties } = {}, ...children) {
  const element = document.createElement(tag);
  Object.assign(element, properties);
  Object.assign(element.dataset, dataset);
  for (const [name, value] of Object.entries(aria)) {
    element.setAttribute(name === "role" ? name : `aria-${name}`, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

export function put(element, text) {
  const target = typeof element === "string" ? byId(element) : element;
  if (target.textContent !== text) {
    target.textContent = text; // only what changes: a screen reader would tell it again
  }
  target.hidden = text === "";
}

export const isStill = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
