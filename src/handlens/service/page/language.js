// English or Spanish: which one, its words, the names of minerals in it, its numbers.

import { fetchJson } from "./api.js";
import { state, update } from "./state.js";
import { WORDS } from "./words.js";

const KEY = "handlens-language";
const LANGUAGES = Object.keys(WORDS);
const SHOWN_IN_SET = 8;
const names = {};
const properties = {};

export const words = () => WORDS[state.lang];

// The text at "errors.other" and the like.
export const text = (path) => path.split(".").reduce((at, key) => at[key], words());

export const shown = (name) => (name === "unknown" ? words().unknown : (names[state.lang]?.[name] ?? name));
export const capital = (name) => name.charAt(0).toLocaleUpperCase(state.lang) + name.slice(1);

// The knowledge base's word for a property (`titles`), and for a value of it.
export const title = (property) => properties[state.lang]?.titles[property] ?? property;
export const word = (property, value) => properties[state.lang]?.words[property]?.[value] ?? value;

export const number = (value) => value.toLocaleString(state.lang, { maximumFractionDigits: 2 });

export function percent(share) {
  const format = new Intl.NumberFormat(state.lang, { style: "percent", maximumFractionDigits: 0 });
  if (share > 0 && share < 0.005) {
    return `< ${format.format(0.01)}`;
  }
  return share > 0.995 && share < 1 ? `> ${format.format(0.99)}` : format.format(share);
}

export function listed(set) {
  const some = set.slice(0, set.length > SHOWN_IN_SET + 1 ? SHOWN_IN_SET : set.length).map(shown);
  const rest = set.length - some.length;
  const items = rest ? [...some, words().more(rest)] : some;
  return new Intl.ListFormat(state.lang, { type: rest ? "conjunction" : "disjunction" }).format(items);
}

export function firstLanguage() {
  const wanted = [remembered(), ...(navigator.languages ?? [navigator.language])];
  return wanted.map((tag) => (tag ?? "").slice(0, 2).toLowerCase()).find((tag) => LANGUAGES.includes(tag)) ?? "en";
}

export function switchLanguage(lang) {
  try {
    localStorage.setItem(KEY, lang);
  } catch {
    // Storage is switched off: then the choice lasts as long as the page.
  }
  update({ lang });
  loadNames();
}

function remembered() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

// Canonical names and words are shown until the server has given those of the language.
export async function loadNames() {
  const { lang } = state;
  await Promise.all([
    load(names, lang, `v1/minerals/names?lang=${lang}`, (document) => document.names),
    load(properties, lang, `v1/minerals/words?lang=${lang}`, (document) => document),
  ]);
}

async function load(known, lang, address, of) {
  if (known[lang]) {
    return;
  }
  try {
    known[lang] = of(await fetchJson(address));
    update({});
  } catch {
    // The next answer tries again.
  }
}

// Puts the words of the language into everything that says where its text is from.
export function translate() {
  document.documentElement.lang = state.lang;
  for (const element of document.querySelectorAll("[data-text]")) {
    const wanted = text(element.dataset.text);
    if (element.textContent !== wanted) {
      element.textContent = wanted;
    }
  }
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", text(element.dataset.label));
  }
  for (const button of document.querySelectorAll("[data-lang]")) {
    button.setAttribute("aria-pressed", String(button.dataset.lang === state.lang));
  }
}
