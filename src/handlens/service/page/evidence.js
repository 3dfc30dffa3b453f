// The form of the field tests. Every change is weighed at once.

import { byId, make, put } from "./dom.js";
import { CHOICES, GRAVITY, HARDNESS, STREAK_COLOURS, hasEvidence } from "./evidence-fields.js";
import { capital, number, percent, shown, words } from "./language.js";
import { state } from "./state.js";
import { setEvidence } from "./weigh.js";

const NOT_TESTED = "";

function set(test, answer) {
  const { [test]: _, ...others } = state.evidence;
  setEvidence(answer === NOT_TESTED ? others : { ...others, [test]: answer });
}

export function buildEvidence() {
  for (const [test, { isMore, isTool }] of Object.entries(CHOICES)) {
    byId(isTool ? "tests-tools" : isMore ? "tests-more" : test === "streak" ? "tests-streak" : "tests-plain").append(
      choice(test),
    );
  }
  byId("tests-more").append(byId("test-gravity")); // last
  buildScale();
  byId("hardness").addEventListener("input", ({ target }) => {
    set("hardness", target.valueAsNumber > HARDNESS.off ? String(target.valueAsNumber) : NOT_TESTED);
  });
  byId("gravity").addEventListener("input", ({ target }) => {
    const value = target.valueAsNumber;
    const isGiven = value >= GRAVITY.least && value <= GRAVITY.most; // false for NaN, too
    const isEmpty = target.value === "" && target.validity.valid;
    byId("gravity-range").hidden = isGiven || isEmpty;
    target.setAttribute("aria-invalid", String(!isGiven && !isEmpty));
    set("gravity", isGiven ? String(Math.round(1000 * value) / 1000) : NOT_TESTED);
  });
  byId("clear").addEventListener("click", () => {
    byId("gravity").value = "";
    byId("gravity").setAttribute("aria-invalid", "false");
    byId("gravity-range").hidden = true;
    setEvidence({});
    byId("hardness").focus({ preventScroll: true });
  });
  byId("live").addEventListener("click", () => {
    byId("answer").scrollIntoView({ block: "start" });
    byId("answer").focus({ preventScroll: true });
  });
}

// A row of answers, of which one holds; "not tested" is the first.
function choice(test) {
  const { answers, isTool } = CHOICES[test];
  const title = make("span", { className: "title", id: `title-${test}`, dataset: { text: `tests.${test}` } });
  const hint = words().hints[test]
    ? make("span", { className: "quiet hint", id: `hint-${test}`, dataset: { text: `hints.${test}` } })
    : null;
  const none = make("span", { className: "unseen", dataset: { text: "notTested" } });
  const options = make(
    "div",
    { className: "options" },
    option(test, NOT_TESTED, make("span", { className: "none", textContent: "–", aria: { hidden: "true" } }), none),
    ...answers.map((answer) => {
      const name = make("span", { dataset: { text: `answers.${test}.${answer}` } });
      return test === "streak" ? option(test, answer, swatch(answer), name) : option(test, answer, name);
    }),
  );
  const asked = isTool && test !== "glass" ? `scratches ${title.id}` : title.id; // "What scratches it? A steel knife"
  const aria = { role: "radiogroup", labelledby: asked, ...(hint && { describedby: hint.id }) };
  const className = isTool ? "test tool" : "test";
  const group = make("div", { className, id: `test-${test}`, aria }, title, hint, options);
  group.addEventListener("change", (event) => set(test, event.target.value));
  return group;
}

function option(test, answer, ...inside) {
  const checked = answer === NOT_TESTED;
  const input = make("input", { type: "radio", name: test, value: answer, className: "unseen", checked });
  return make("label", { className: "chip" }, input, ...inside);
}

function swatch(colour) {
  const dot = make("span", { className: "swatch", aria: { hidden: "true" } });
  dot.style.backgroundColor = STREAK_COLOURS[colour];
  return dot;
}

// The numbers below the slider, each where its thumb stands; first the place for "not measured".
function buildScale() {
  const scale = byId("hardness-scale");
  for (const value of [HARDNESS.off, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]) {
    const mark = make("span", { textContent: value === HARDNESS.off ? "–" : String(value) });
    const share = (value - HARDNESS.off) / (HARDNESS.most - HARDNESS.off);
    mark.style.insetInlineStart = `calc(var(--thumb) / 2 + (100% - var(--thumb)) * ${share})`;
    scale.append(mark);
  }
}

// Opens what holds the control of a test, and gives it the focus.
export function goTo(test) {
  const target = byId(test) ?? byId(`test-${test}`);
  const more = target.closest("details");
  if (more) {
    more.open = true;
  }
  (target.matches("input") ? target : target.querySelector(":checked")).focus({ preventScroll: true });
  byId(`test-${test}`).scrollIntoView({ block: "center" });
}

// What a test found, in words: "hardness 3 ± 0.5".
export function found(test, value) {
  const name = words().short[test] ?? (words().tests[test] ?? test).toLocaleLowerCase(state.lang);
  const answer = words().answers[test]?.[value];
  if (answer) {
    return `${name}: ${answer.toLocaleLowerCase(state.lang)}`;
  }
  return `${name} ${value.replace(/[\d.]+/g, (digits) => number(Number(digits))).replace("±", "\u00a0±\u00a0")}`;
}

export function renderEvidence() {
  const { evidence, answer, view } = state;
  byId("tests").hidden = answer === null;
  byId("clear").hidden = !hasEvidence();
  renderHardness(evidence.hardness);
  for (const test of Object.keys(CHOICES)) {
    const value = evidence[test] ?? NOT_TESTED;
    const input = [...byId(`test-${test}`).querySelectorAll("input")].find((one) => one.value === value);
    input.checked = true;
  }
  if (!hasEvidence() && view !== "result") {
    byId("gravity").value = ""; // another specimen
  }
  if (answer) {
    const { name, rank, probability } = answer.decision;
    put("live-name", capital(shown(name)));
    put("live-likely", rank === "unknown" ? "" : percent(probability));
  }
}

function renderHardness(given) {
  const slider = byId("hardness");
  const value = given ? Number(given) : HARDNESS.off;
  if (slider.valueAsNumber !== value) {
    slider.value = String(value);
  }
  slider.classList.toggle("off", !given);
  slider.style.setProperty("--share", `${(100 * (value - HARDNESS.off)) / (HARDNESS.most - HARDNESS.off)}%`);
  const measured = given ? `${number(value)}\u00a0±\u00a0${number(HARDNESS.error)}` : words().notMeasured;
  const { mohs } = words();
  const low = mohs[Math.floor(value) - 1];
  const like = !given ? "" : value % 1 ? words().between(low, mohs[Math.ceil(value) - 1]) : words().like(low);
  put("hardness-value", measured);
  put("hardness-like", like);
  slider.setAttribute("aria-valuetext", [measured, like].filter(Boolean).join(", "));
}
