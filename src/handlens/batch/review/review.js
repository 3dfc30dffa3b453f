"use strict";
// One script for the index and for the pages. Corrections: file name → [label, group], kept by the browser for the run.

const filter = document.getElementById("filter");
const key = `handlens-review-${document.body.dataset.run}`;
let kept = {};
try { kept = JSON.parse(localStorage.getItem(key)) || {}; } catch { /* no storage here: they last as long as the page */ }
let corrections = new Map(Object.entries(kept));

function keep() {
  try { localStorage.setItem(key, JSON.stringify(Object.fromEntries(corrections))); } catch { /* as above */ }
  document.getElementById("corrected").textContent = String(corrections.size);
}

// The filter stands in the address, so that it goes along to other pages.

function wanted() {
  const given = new FormData(filter);
  return { mineral: given.get("mineral"), low: Number(given.get("low")), high: Number(given.get("high") || 100), show: given.get("show") };
}

function address() {
  const given = new URLSearchParams([...new FormData(filter)].filter(([name, value]) => value !== (name === "high" ? "100" : name === "low" ? "0" : "")));
  return String(given) ? `#${given}` : "";
}

function fromAddress() {
  for (const [name, value] of new URLSearchParams(location.hash.slice(1))) {
    const field = filter.elements.namedItem(name);
    if (!field) continue;
    // A mineral that this page does not have is looked for all the same, and not found.
    if (field.name === "mineral" && ![...field.options].some((option) => option.value === value)) field.add(new Option(value, value));
    field.value = value;
    if (field.selectedIndex === -1) field.value = "";
  }
}

function fits(row, want) {
  return (!want.mineral || row.name === want.mineral) && row.percent >= want.low && row.percent <= want.high && (!want.show || row.has(want.show));
}

// The index: how many rows of each page fit.

const index = document.getElementById("index");
const data = index && JSON.parse(index.textContent);
const packed = data && Uint8Array.from(atob(data.rows), (character) => character.charCodeAt(0));

function showPages(want) {
  const counts = new Array(data.pages).fill(0);
  let all = 0;
  for (let place = 0; place < packed.length / 4; place += 1) {
    const flags = packed[4 * place + 3];
    const row = { name: data.names[packed[4 * place] + 256 * packed[4 * place + 1]], percent: packed[4 * place + 2], has: (flag) => (flags & data.flags[flag]) !== 0 };
    if (fits(row, want)) { counts[Math.floor(place / data.size)] += 1; all += 1; }
  }
  const found = document.getElementById("pages");
  found.replaceChildren();
  counts.forEach((count, page) => {
    if (!count) return;
    const link = document.createElement("a");
    link.href = `page-${String(page + 1).padStart(4, "0")}.html${address()}`;
    link.textContent = `Page ${page + 1}: ${count}`;
    const item = document.createElement("li");
    item.append(link);
    found.append(item);
  });
  return all;
}

// A page: which cards are shown, and which one is chosen.

const cards = [...document.querySelectorAll("article")];
const form = document.getElementById("correct");
let chosen = null;

const filesOf = (card) => JSON.parse(card.dataset.files);
const verdictOf = (card) => { const [first] = filesOf(card); return first === undefined ? undefined : corrections.get(first); };

function showCards(want) {
  let all = 0;
  for (const card of cards) {
    const verdict = verdictOf(card);
    const flags = card.dataset.flags.split(" ");
    const has = (flag) => flag === "corrected" ? verdict !== undefined : flag === "open" ? verdict === undefined : flags.includes(flag);
    card.hidden = !fits({ name: card.dataset.name, percent: Number(card.dataset.percent), has }, want);
    card.querySelector(".verdict").textContent = verdict ? `Saved as ${verdict[0]}` : "";
    card.classList.toggle("done", verdict !== undefined);
    all += card.hidden ? 0 : 1;
  }
  return all;
}

function show() {
  const count = data ? showPages(wanted()) : showCards(wanted());
  document.getElementById("count").textContent = `${count} shown`;
  history.replaceState(null, "", address() || location.pathname);
  for (const link of document.querySelectorAll("nav a")) link.hash = address();
}

function choose(card) {
  if (chosen) chosen.classList.remove("chosen");
  chosen = card;
  chosen.classList.add("chosen");
  chosen.focus({ preventScroll: true });
  chosen.scrollIntoView({ block: "nearest" });
}

function move(step) {
  const shown = cards.filter((card) => !card.hidden || card === chosen);
  const next = shown[Math.max(0, Math.min(shown.length - 1, shown.indexOf(chosen) + step))];
  if (next) choose(next);
}

function decide(card, label) {
  const files = filesOf(card);
  const said = card.querySelector(".verdict");
  if (!files.length) { said.textContent = "A name that is no valid text cannot be put into a table."; return; }
  if (!label) { said.textContent = "There is no name to accept: press c and type one."; return; }
  for (const file of files) corrections.set(file, [label, card.dataset.group]);
  keep();
  said.textContent = `Saved as ${label}`;
  card.classList.add("done");
}

function undo(card) {
  for (const file of filesOf(card)) corrections.delete(file);
  keep();
  card.querySelector(".verdict").textContent = "";
  card.classList.remove("done");
}

function correct(card) {
  form.hidden = false;
  const field = form.elements.namedItem("label");
  field.value = (verdictOf(card) || [""])[0];
  field.focus();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !cards.length) return;
  if (event.key === "Escape" && !form.hidden) { form.hidden = true; if (chosen) chosen.focus(); return; }
  if (event.target.matches("input, select, textarea")) return;
  if (event.key === "j") { move(1); event.preventDefault(); return; }
  if (event.key === "k") { move(-1); event.preventDefault(); return; }
  if (!chosen) return;
  if (event.key === "a") { decide(chosen, chosen.dataset.accept); move(1); }
  else if (event.key === "c") { correct(chosen); event.preventDefault(); }
  else if (event.key === "u") undo(chosen);
  else if (/^[1-9]$/.test(event.key)) {
    const label = JSON.parse(chosen.dataset.candidates)[Number(event.key) - 1];
    if (label) { decide(chosen, label); move(1); }
  }
});

for (const card of cards) {
  card.addEventListener("click", (event) => {
    if (event.target.closest("a")) return;
    choose(card);
    const button = event.target.closest("button[data-label]");
    if (button) decide(card, button.dataset.label);
  });
}

if (form) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const label = form.elements.namedItem("label").value.trim().toLowerCase();
    if (chosen && label) decide(chosen, label);
    form.hidden = true;
    move(1);
  });
  document.getElementById("cancel").addEventListener("click", () => { form.hidden = true; });
}

// The export: a table that `handlens train` takes.

const cell = (text) => (/[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

document.getElementById("export").addEventListener("click", () => {
  const rows = [...corrections].sort(([one], [other]) => (one < other ? -1 : 1));
  const lines = [["file", "label", "group"], ...rows.map(([file, [label, group]]) => [file, label, group])];
  const table = lines.map((line) => `${line.map(cell).join(",")}\n`).join("");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([table], { type: "text/csv" }));
  link.download = "corrections.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
});

window.addEventListener("storage", (event) => {
  if (event.key !== key) return;
  corrections = new Map(Object.entries(JSON.parse(event.newValue) || {}));
  keep();
  show();
});
window.addEventListener("hashchange", () => { fromAddress(); show(); });
filter.addEventListener("input", show);
filter.addEventListener("submit", (event) => event.preventDefault());
fromAddress();
keep();
show();
