// The page: one photo in, the server's answer out. It does no arithmetic of its own on the answer, and every text
// from outside goes into the document as text.

import { SAME_WORDS, WORDS } from "./words.js";

const LANGUAGES = Object.keys(WORDS);
const SHOWN_IN_SET = 8;
const PATIENCE_MS = 90_000;

const byId = (id) => document.getElementById(id);
const parts = { loading: byId("loading"), error: byId("error"), result: byId("result") };

// view: "start", "loading", "result" or "error"; answer: what the server said; code: of the problem.
const state = { view: "start", lang: firstLanguage(), file: null, answer: null, code: "" };
const names = {};
let largestPhoto = Infinity;
let request = null;
let previewUrl = "";
let previewFails = false;

function firstLanguage() {
  const wanted = [remembered(), ...(navigator.languages ?? [navigator.language])];
  return wanted.map((tag) => (tag ?? "").slice(0, 2).toLowerCase()).find((tag) => LANGUAGES.includes(tag)) ?? "en";
}

function remembered() {
  try {
    return localStorage.getItem("handlens-language");
  } catch {
    return null; // storage is switched off
  }
}

function remember(lang) {
  try {
    localStorage.setItem("handlens-language", lang);
  } catch {
    // Then the choice lasts as long as the page.
  }
}

// What the server knows.

async function fetchJson(address) {
  const response = await fetch(address);
  if (!response.ok) {
    throw new Error(`${address}: ${response.status}`);
  }
  return response.json();
}

async function loadNames(lang) {
  if (names[lang]) {
    return;
  }
  try {
    names[lang] = (await fetchJson(`v1/minerals/names?lang=${lang}`)).names;
    render();
  } catch {
    // Canonical names are shown until the next try.
  }
}

async function loadLimits() {
  try {
    largestPhoto = (await fetchJson("v1/model")).max_photo_bytes;
  } catch {
    // Then the server says so when a photo is too large.
  }
}

const shown = (name) => (name === "unknown" ? words().unknown : (names[state.lang]?.[name] ?? name));

// One photo.

async function identify(file) {
  request?.abort();
  if (!file) {
    show("error", { code: "no-file", answer: null });
    return;
  }
  if (file.size > largestPhoto) {
    show("error", { file, code: "image-too-large", answer: null });
    return;
  }
  const mine = (request = new AbortController());
  const timer = setTimeout(() => mine.abort("patience"), PATIENCE_MS);
  show("loading", { file, answer: null, code: "" });
  const form = new FormData();
  form.append("photos", file, file.name || "photo");
  try {
    const response = await fetch("v1/identify", { method: "POST", body: form, signal: mine.signal });
    const document = await response.json().catch(() => ({}));
    if (mine === request) {
      if (response.ok) {
        show("result", { answer: document });
      } else {
        show("error", { code: document.code ?? (response.status >= 500 ? "internal-error" : "other") });
      }
    }
  } catch {
    if (mine === request && (!mine.signal.aborted || mine.signal.reason === "patience")) {
      show("error", { code: "no-answer" });
    }
  } finally {
    clearTimeout(timer);
  }
}

function show(view, change) {
  const before = state.file;
  Object.assign(state, change, { view });
  if (state.file !== before) {
    renderPreview();
  }
  render();
  loadNames(state.lang);
  if (view === "result" || view === "error") {
    byId("answer").scrollIntoView({ block: "nearest" });
  }
}

// Drawing the state.

const words = () => WORDS[state.lang];
const percent = (share) => {
  const format = new Intl.NumberFormat(state.lang, { style: "percent", maximumFractionDigits: 0 });
  if (share > 0 && share < 0.005) {
    return `< ${format.format(0.01)}`;
  }
  return share > 0.995 && share < 1 ? `> ${format.format(0.99)}` : format.format(share);
};
const capital = (text) => text.charAt(0).toLocaleUpperCase(state.lang) + text.slice(1);

function put(id, text) {
  const element = byId(id);
  element.textContent = text;
  element.hidden = text === "";
}

function render() {
  document.documentElement.lang = state.lang;
  for (const element of document.querySelectorAll("[data-text]")) {
    element.textContent = words()[element.dataset.text];
  }
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", words()[element.dataset.label]);
  }
  for (const button of document.querySelectorAll("[data-lang]")) {
    button.setAttribute("aria-pressed", String(button.dataset.lang === state.lang));
  }
  byId("preview").hidden = previewFails;
  // The browser may not know a format that the server does; of a broken file the error speaks.
  byId("no-preview").hidden = !previewFails || state.view === "error";
  byId("preview").alt = state.file ? words().previewAlt(state.file.name) : "";
  document.querySelector('label[for="choose"]').textContent = state.file ? words().another : words().choose;
  byId("answer").hidden = state.view === "start";
  byId("answer").setAttribute("aria-busy", String(state.view === "loading"));
  for (const [view, element] of Object.entries(parts)) {
    element.hidden = view !== state.view;
  }
  const announce = { loading: () => words().loading, error: renderError, result: renderResult }[state.view];
  byId("status").textContent = announce?.() ?? "";
}

function renderError() {
  const code = SAME_WORDS[state.code] ?? state.code;
  const [title, text] = Object.hasOwn(words().errors, code) ? words().errors[code] : words().errors.other;
  put("error-title", title);
  put("error-text", text);
  byId("retry").hidden = !(state.file && ["no-answer", "internal-error", "not-ready"].includes(code));
  return `${title}. ${text}`;
}

function renderResult() {
  const { decision, candidates, prediction_set: set, unknown_score: unknownScore, model } = state.answer;
  const isUnknown = decision.rank === "unknown";
  const name = capital(shown(decision.name));
  const likely = isUnknown ? "" : words().likely(percent(decision.probability));
  const best = candidates[0];
  const isSum = !isUnknown && (best.name !== decision.name || best.probability < decision.probability - 0.005);
  put("rank", words().ranks[decision.rank]);
  put("decision", name);
  put("likely", likely);
  put(
    "explanation",
    isUnknown ? words().unknownText(percent(decision.probability)) : isSum ? words().sum(shown(decision.name)) : "",
  );
  byId("candidates").replaceChildren(...candidates.map(bar));
  put("set", set.length ? words().set(listed(set), set.length === 1) : "");
  put("unknown-score", unknownScore.toLocaleString(state.lang, { maximumFractionDigits: 2 }));
  put("model", model);
  return [name, words().ranks[decision.rank], likely].filter(Boolean).join(", ");
}

function bar({ name, probability }) {
  const item = document.createElement("li");
  const [label, track, fill, value] = ["name", "track", "fill", "value"].map((part) => {
    const element = document.createElement("span");
    element.className = part;
    return element;
  });
  label.textContent = capital(shown(name));
  value.textContent = percent(probability);
  fill.style.inlineSize = `${Math.max(0.5, 100 * probability)}%`;
  track.append(fill);
  track.setAttribute("aria-hidden", "true");
  item.append(label, value, track);
  return item;
}

function listed(set) {
  const some = set.slice(0, set.length > SHOWN_IN_SET + 1 ? SHOWN_IN_SET : set.length).map(shown);
  const rest = set.length - some.length;
  const items = rest ? [...some, words().more(rest)] : some;
  return new Intl.ListFormat(state.lang, { type: rest ? "conjunction" : "disjunction" }).format(items);
}

function renderPreview() {
  URL.revokeObjectURL(previewUrl);
  previewUrl = state.file ? URL.createObjectURL(state.file) : "";
  byId("figure").hidden = !state.file;
  byId("invitation").hidden = Boolean(state.file);
  previewFails = false;
  byId("preview").src = previewUrl;
  put("file-name", state.file?.name ?? "");
}

// What the person does.

for (const input of [byId("choose"), byId("camera")]) {
  input.addEventListener("change", () => {
    if (input.files.length) {
      identify(input.files[0]);
      input.value = ""; // so that the same file can be chosen again
    }
  });
}

const picker = byId("picker");
document.addEventListener("dragover", (event) => {
  event.preventDefault(); // a file dropped beside the field must not replace the page
  picker.classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) {
    picker.classList.remove("over");
  }
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  picker.classList.remove("over");
  identify(event.dataTransfer.files[0]);
});
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) {
    identify(event.clipboardData.files[0]);
  }
});

byId("preview").addEventListener("error", () => {
  previewFails = true;
  render();
});
byId("retry").addEventListener("click", () => identify(state.file));
for (const button of document.querySelectorAll("[data-lang]")) {
  button.addEventListener("click", () => {
    state.lang = button.dataset.lang;
    remember(state.lang);
    render();
    loadNames(state.lang);
  });
}
const showConnection = () => {
  byId("offline").hidden = navigator.onLine;
};
window.addEventListener("online", showConnection);
window.addEventListener("offline", showConnection);

showConnection();
render();
loadNames(state.lang);
loadLimits();
