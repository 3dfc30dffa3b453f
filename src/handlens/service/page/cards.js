// The card of a mineral: what the knowledge base knows of it, opened below its name.

import { make } from "./dom.js";
import { capital, number, title, word, words } from "./language.js";
import { record } from "./records.js";
import { state } from "./state.js";

const ROWS = [
  "formula", "mohs", "gravity", "streak", "lustre", "transparency", "system", "cleavage", "colours", "magnetism",
  "acid", "fluorescence",
];

// A sentence of warning with its sign; `of`: the mineral, where it does not stand beside it.
export function warning(sentence, of = "") {
  const sign = make("span", { className: "sign", textContent: "⚠", aria: { role: "img", label: words().caution } });
  return make("p", { className: "hazard" }, sign, of ? `${of}: ${sentence}` : sentence);
}

// Fills `card` with the record of `name` in the language of the page. Called again, it shows what is newest.
export async function fillCard(card, name) {
  const { lang } = state;
  const key = `${lang} ${title("mohs")}`; // in the language, and in its words once they are there
  if (card.dataset.key === key) {
    return;
  }
  card.dataset.key = key;
  if (!card.childElementCount) {
    card.append(make("p", { className: "quiet", textContent: words().card.loading }));
  }
  try {
    const known = await record(name);
    const alike = await Promise.all(known.look_alikes.map(record));
    if (card.dataset.key === key) {
      const own = known.warnings[lang].map((one) => warning(one));
      card.replaceChildren(...own, list(known, alike), ...warningsOf(alike));
    }
  } catch {
    card.replaceChildren(make("p", { className: "quiet", textContent: words().card.failed }));
    delete card.dataset.key; // so that opening it again tries again
  }
}

function list(known, alike) {
  const { lang } = state;
  return make(
    "dl",
    {},
    ...ROWS.filter((row) => known.properties[row] !== undefined).flatMap((row) =>
      entry(title(row), ...property(row, known.properties)),
    ),
    ...(alike.length ? entry(title("look_alikes"), alike.map(({ names }) => names[lang]).join(", ")) : []),
    ...entry(title("source"), sourceText(known)),
  );
}

const entry = (term, ...text) => [make("dt", { textContent: capital(term) }), make("dd", {}, ...text)];

// Those of the look-alikes: a name is not shown without its warnings.
const warningsOf = (alike) =>
  alike.flatMap(({ names, warnings }) =>
    warnings[state.lang].map((sentence) => warning(sentence, capital(names[state.lang]))),
  );

function property(row, properties) {
  const value = properties[row];
  switch (row) {
    case "formula":
      return formula(value);
    case "mohs":
    case "gravity":
      return [value.low === value.high ? number(value.low) : `${number(value.low)}–${number(value.high)}`];
    case "cleavage":
      return [
        value
          .map(({ quality, directions }) => words().card.directions(word("cleavage", quality), directions))
          .join(", ") || words().card.none,
      ];
    default:
      return [[value].flat().map((one) => word(row, one)).join(", ")];
  }
}

// Numbers of atoms stand low: those behind an element or a bracket, not the 2 in "·2H2O".
function formula(text) {
  return text
    .split(/(?<=[A-Za-z)\]□])(\d[\d.]*(?:-[\dx.]+)?)/)
    .map((part, at) => (at % 2 ? make("sub", { textContent: part }) : part));
}

function sourceText({ source, checked }) {
  const { unverified, checked: compared } = words().card;
  return source === "unverified" ? unverified : compared(checked.map(title).join(", "), source);
}
