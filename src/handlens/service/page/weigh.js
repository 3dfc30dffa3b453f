// Evidence to an answer, live: the kept scores and the tests go to the server shortly after the last change. A newer
// request calls off the older one, so an older reply never takes the place of a newer; a failure keeps the last answer.

import { postScores } from "./api.js";
import { evidenceFields } from "./evidence-fields.js";
import { state, update } from "./state.js";

const PAUSE_MS = 150;
let timer = 0;
let request = null;

export function setEvidence(evidence) {
  update({ evidence });
  weighSoon();
}

export function weighSoon(pause = PAUSE_MS) {
  clearTimeout(timer);
  timer = setTimeout(weigh, pause);
}

export async function weigh() {
  clearTimeout(timer);
  request?.abort();
  if (state.view !== "result") {
    return; // the photos are being looked at: `identify` weighs anew what changed meanwhile
  }
  const mine = (request = new AbortController());
  const { answer, scores, novelty, several, lang } = state;
  const photos = answer.photos ?? [answer.photo];
  update({ weighing: "busy" });
  try {
    const weighed = await postScores({ scores, novelty, several, photos, lang, ...evidenceFields() }, mine.signal);
    if (mine === request && state.scores === scores) {
      update({ answer: weighed, weighing: "" });
    }
  } catch {
    if (mine === request && state.scores === scores) {
      update({ weighing: "failed" });
    }
  }
}
