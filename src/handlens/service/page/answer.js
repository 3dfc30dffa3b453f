// The answer: a name, how likely, what else, what it rests on, what does not fit, and which test to do next.

import { renderBars } from "./bars.js";
import { warning } from "./cards.js";
import { byId, isStill, make, put } from "./dom.js";
import { found, goTo } from "./evidence.js";
import { identify } from "./identify.js";
import { capital, listed, number, percent, shown, word, words } from "./language.js";
import { record } from "./records.js";
import { state } from "./state.js";
import { weigh } from "./weigh.js";
import { SAME_WORDS } from "./words.js";

const FIRST_MISFITS = 3;
const OUT_OF_SIGHT = 0.6; // of the height of the window: what begins further down is not seen
const AGAIN = ["no-answer", "internal-error", "not-ready", "busy"];
let drawn = null; // what of the answer is in the document, and in which language
let drawnView = "start";

export function renderAnswer() {
  const { view, answer, photos, weighing } = state;
  const panel = byId("answer");
  panel.hidden = view === "start";
  panel.setAttribute("aria-busy", String(view === "loading" || weighing === "busy"));
  byId("columns").classList.toggle("answered", view !== "start");
  byId("loading").hidden = view !== "loading";
  byId("error").hidden = view !== "error";
  byId("result").hidden = answer === null;
  byId("result").classList.toggle("old", view === "loading");
  byId("weigh-error").hidden = weighing !== "failed";
  if (view === "loading") {
    const waiting = photos.length > 1 ? words().loadingMany : words().loading;
    put("loading-text", waiting);
    say(waiting);
  } else if (view === "error") {
    say(renderError());
  } else if (view === "result") {
    const said = renderResult();
    if (weighing === "") {
      say(said);
    }
  }
  if (drawnView !== view) {
    drawnView = view;
    bringIntoView(panel, view);
  }
}

// On a phone the answer is below the photo.
function bringIntoView(panel, view) {
  if (panel.getBoundingClientRect().top > OUT_OF_SIGHT * innerHeight) {
    const behavior = isStill() ? "instant" : "smooth";
    panel.scrollIntoView({ block: view === "loading" ? "nearest" : "start", behavior });
  }
}

// The status is read out politely; the same again would not be.
function say(text) {
  const status = byId("status");
  if (status.textContent !== text) {
    status.textContent = text;
  }
}

function renderError() {
  const code = SAME_WORDS[state.code] ?? state.code;
  const known = Object.hasOwn(words().errors, code) ? code : "other";
  const one = known === "body-too-large" && state.photos.length === 1 ? "image-too-large" : known;
  const [title, text] = words().errors[one];
  const about = state.about && state.photos.length > 1 ? words().about(state.about) : "";
  put("error-title", title);
  put("error-text", [text, about].filter(Boolean).join(" "));
  byId("retry").hidden = !AGAIN.includes(code);
  return [title, text, about].filter(Boolean).join(". ");
}

function renderResult() {
  const { answer, lang } = state;
  const { decision, candidates, prediction_set: set, unknown_score: unknownScore, model } = answer;
  const isUnknown = decision.rank === "unknown";
  const isNothing = answer.warnings?.includes("no-specimen");
  const name = capital(shown(decision.name));
  const likely = isUnknown ? "" : words().likely(percent(decision.probability));
  const isSum =
    !isUnknown && (candidates[0].name !== decision.name || candidates[0].probability < decision.probability - 0.005);
  put("rank", words().ranks[decision.rank]);
  put("decision", name);
  put("likely", likely);
  put(
    "explanation",
    isNothing
      ? words().noSpecimen
      : isUnknown
        ? words().unknownText(percent(decision.probability))
        : isSum
          ? words().sum(shown(decision.name))
          : "",
  );
  put("several", answer.warnings?.includes("several-specimens") ? words().several : "");
  const hazards = new Map((answer.hazards ?? []).map((one) => [one.mineral, one.hazards]));
  byId("hazards").replaceChildren(
    ...(hazards.get(decision.name) ?? []).map((hazard) => warning(word("hazards", hazard))),
  );
  renderBars(byId("candidates"), answer, hazards);
  put("set", set.length ? words().set(listed(set), set.length === 1) : "");
  const tests = Object.entries(answer.evidence ?? {}).map(([test, value]) => found(test, value));
  put("weighed", tests.length ? words().weighed(tests.join("; ")) : "");
  renderNext(answer.next_test);
  put("unknown-score", number(unknownScore));
  put("model", model);
  const contradictions = (answer.contradictions ?? []).map((one) => one.text);
  const key = `${lang} ${JSON.stringify([set, contradictions, [...hazards.keys()]])}`;
  if (drawn !== key) {
    drawn = key;
    renderMisfits(contradictions);
    const above = new Set([decision.name, ...candidates.map((one) => one.name)]);
    warnOfNames([...hazards.keys()].filter((one) => !above.has(one)), key);
  }
  return [[name, words().ranks[decision.rank], likely].filter(Boolean).join(", "), ...contradictions].join(". ");
}

function renderMisfits(texts) {
  const rows = texts.map((one) => make("li", { textContent: one }));
  byId("contradiction").hidden = rows.length === 0;
  const seen = rows.length > FIRST_MISFITS + 1 ? FIRST_MISFITS : rows.length;
  byId("contradictions").replaceChildren(...rows.splice(0, seen));
  byId("misfits").hidden = rows.length === 0;
  put("misfits-count", rows.length ? words().furtherMisfits(rows.length) : "");
  byId("misfits-list").replaceChildren(...rows);
}

// Names that stand in the prediction set or in a sentence alone get their warnings from their records.
async function warnOfNames(names, key) {
  const { lang } = state;
  const target = byId("set-hazards");
  target.replaceChildren();
  try {
    const known = await Promise.all(names.map(record));
    if (drawn === key) {
      target.replaceChildren(
        ...known.flatMap((one) => one.warnings[lang].map((text) => warning(text, capital(one.names[lang])))),
      );
    }
  } catch {
    drawn = null; // the next rendering tries again
  }
}

function renderNext(next) {
  byId("next").hidden = !next;
  if (next) {
    put("next-text", next.text);
    byId("next-do").hidden = !Object.hasOwn(words().tests, next.test);
  }
}

export function listenForAnswer() {
  byId("retry").addEventListener("click", identify);
  byId("weigh-retry").addEventListener("click", weigh);
  byId("next-do").addEventListener("click", () => goTo(state.answer.next_test.test));
  window.addEventListener("online", () => {
    if (state.weighing === "failed") {
      weigh();
    }
  });
  // A panel taller than the window sticks with its lower end, a shorter one with its upper.
  new ResizeObserver(([entry]) => {
    byId("answer").style.setProperty("--tall", `${entry.borderBoxSize[0].blockSize}px`);
  }).observe(byId("answer"));
}
