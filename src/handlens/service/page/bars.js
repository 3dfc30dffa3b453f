// The candidates as bars with their cards. A candidate keeps its row from one answer to the next, so that bars grow and
// shrink in place, rows change places visibly, and an open card stays open.

import { fillCard, warning } from "./cards.js";
import { isStill, make, put } from "./dom.js";
import { capital, percent, shown, word } from "./language.js";

const LEAST_SHOWN = 0.005;
const MOVE = { duration: 350, easing: "ease-out" };

// `hazards`: mineral to its hazards. The decision's own are told in full at the top of the answer.
export function renderBars(list, { candidates, decision }, hazards) {
  const before = new Map([...list.children].map((row) => [row.dataset.name, row]));
  const tops = new Map([...before.values()].map((row) => [row, row.offsetTop]));
  const rows = candidates.map(({ name }) => before.get(name) ?? newRow(name));
  const focused = document.activeElement;
  if (rows.length !== list.children.length || rows.some((row, at) => list.children[at] !== row)) {
    list.replaceChildren(...rows);
    if (focused !== document.activeElement && list.contains(focused)) {
      focused.focus({ preventScroll: true }); // a row that is put elsewhere loses it
    }
  }
  rows.forEach((row, at) => fillRow(row, candidates[at], hazards.get(candidates[at].name) ?? [], decision.name));
  if (!isStill()) {
    rows.filter((row) => tops.has(row)).forEach((row) => moved(row, tops.get(row) - row.offsetTop));
  }
}

function moved(row, by) {
  if (by) {
    row.animate([{ transform: `translateY(${by}px)` }, { transform: "none" }], MOVE);
  }
}

function newRow(name) {
  const card = make("div", { className: "mineral", id: `card-${name.replaceAll(" ", "-")}`, hidden: true });
  const button = make("button", { type: "button", className: "name", aria: { expanded: "false", controls: card.id } });
  button.addEventListener("click", () => {
    const opens = card.hidden;
    card.hidden = !opens;
    button.setAttribute("aria-expanded", String(opens));
    if (opens) {
      fillCard(card, name);
    }
  });
  const track = make("span", { className: "track", aria: { hidden: "true" } }, make("span", { className: "fill" }));
  const value = make("span", { className: "value" });
  return make("li", { dataset: { name } }, button, value, track, make("div", { className: "hazards" }), card);
}

function fillRow(row, { name, probability }, hazards, decided) {
  const [button, value, track, warned, card] = row.children;
  put(button, capital(shown(name)));
  put(value, percent(probability));
  track.firstElementChild.style.inlineSize = `${100 * Math.max(LEAST_SHOWN, probability)}%`;
  const sentences = hazards.map((hazard) => word("hazards", hazard));
  // Beside the name that has them at the top already, what it is about is enough.
  warned.replaceChildren(...sentences.map((one) => warning(name === decided ? `${one.split(":")[0]}.` : one)));
  if (!card.hidden) {
    fillCard(card, name);
  }
}
