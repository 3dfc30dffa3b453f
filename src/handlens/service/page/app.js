// The page: photos of one specimen and simple tests in, the server's answer out. It does no arithmetic of its own on
// the answer. The parts below each draw what they are about from `state`, after every change of it.

import { listenForAnswer, renderAnswer } from "./answer.js";
import { listenForCrop, renderCrop } from "./crop.js";
import { byId } from "./dom.js";
import { buildEvidence, renderEvidence } from "./evidence.js";
import { listenForHeat, renderHeat } from "./heat.js";
import { loadLimits } from "./identify.js";
import { listenForKey, renderKey } from "./key.js";
import { firstLanguage, loadNames, switchLanguage, translate } from "./language.js";
import { listenForPhotos, renderPhotos } from "./photos.js";
import { listenForTurns, renderStage } from "./stage.js";
import { state, subscribe, update } from "./state.js";
import { weigh } from "./weigh.js";

state.lang = firstLanguage();
buildEvidence();
for (const render of [translate, renderPhotos, renderStage, renderCrop, renderHeat, renderEvidence, renderAnswer, renderKey]) {
  subscribe(render);
}
listenForAnswer();
listenForPhotos();
listenForTurns();
listenForCrop();
listenForHeat();
listenForKey();
for (const button of document.querySelectorAll("[data-lang]")) {
  button.addEventListener("click", () => {
    switchLanguage(button.dataset.lang);
    weigh(); // its sentences come in the language of the page
  });
}
const showConnection = () => {
  byId("offline").hidden = navigator.onLine;
};
window.addEventListener("online", showConnection);
window.addEventListener("offline", showConnection);

showConnection();
update({}); // draws for the first time
loadNames();
loadLimits();
