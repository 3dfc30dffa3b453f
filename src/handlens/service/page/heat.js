// Which part of the photo the answer rests on: asked for with the button, since it takes the server a while, and drawn
// over the preview.

import { postPhotos } from "./api.js";
import { byId, make, put } from "./dom.js";
import { evidenceFields } from "./evidence-fields.js";
import { photoFields } from "./identify.js";
import { shown, words } from "./language.js";
import { place } from "./stage.js";
import { isStale, state, update } from "./state.js";

const WARM = [235, 60, 25];
const COLD = [35, 95, 215];
const STRONGEST = 0.72;
const SIDE = 400; // pixels of the drawing; the page scales it

let request = null;
let drawn = null;

async function toggle() {
  if (state.heatView === "waiting" || state.heatView === "on") {
    request?.abort();
    update({ heatView: "off" });
    return;
  }
  if (state.heat?.label === state.answer.candidates[0].name) {
    update({ heatView: "on" });
    return;
  }
  request?.abort();
  const mine = (request = new AbortController());
  const { answer, photos, lang } = state;
  update({ heatView: "waiting", heat: null });
  const fields = { explain: "1", lang, ...photoFields(), ...evidenceFields() };
  try {
    const { explanation } = await postPhotos(photos, fields, mine.signal);
    if (mine === request && state.heatView === "waiting") {
      update({ heat: explanation, heatView: "on" });
    }
  } catch {
    if (mine === request && state.heatView === "waiting" && state.answer === answer) {
      update({ heatView: "failed" });
    }
  }
}

export function renderHeat() {
  const { heat, heatView, photos, view, answer } = state;
  const photo = photos[state.shown];
  const canShow = view === "result" && answer !== null && photos.length === 1 && !photo.isUnseen && !isStale();
  const isOn = canShow && heatView === "on";
  const button = byId("heat");
  button.hidden = !canShow;
  button.setAttribute("aria-pressed", String(heatView === "on" || heatView === "waiting"));
  put("heat-status", !canShow ? "" : { waiting: words().heatWaiting, failed: words().heatFailed }[heatView] ?? "");
  byId("heat-status").classList.toggle("waits", heatView === "waiting");
  byId("stage").classList.toggle("heated", isOn);
  byId("heat-map").hidden = !isOn;
  byId("legend").hidden = !isOn;
  byId("nearest").hidden = !isOn || !heat.nearest;
  if (!isOn) {
    return;
  }
  const name = shown(heat.label);
  const [x, y, width, height] = heat.box;
  place(byId("heat-map"), { x, y, width, height });
  byId("heat-map").setAttribute("aria-label", words().heatAlt(name));
  put("legend-warm", words().heatFor(name));
  put("legend-cold", words().heatAgainst(name));
  const rows = (heat.nearest ?? []).map((one) => make("li", {}, `${shown(one.label)}: ${one.source}`));
  byId("nearest-list").replaceChildren(...rows);
  if (drawn !== heat) {
    drawn = heat;
    draw(byId("heat-map"), heat.heat);
  }
}

// One pixel a cell, then enlarged smoothly.
function draw(canvas, rows) {
  const most = Math.max(...rows.flat().map(Math.abs), 1e-12);
  const cells = new ImageData(rows[0].length, rows.length);
  rows.flat().forEach((value, at) => {
    const strength = value / most;
    const colour = strength > 0 ? WARM : COLD;
    cells.data.set([...colour, Math.round(255 * STRONGEST * Math.abs(strength))], 4 * at);
  });
  const small = new OffscreenCanvas(cells.width, cells.height);
  small.getContext("2d").putImageData(cells, 0, 0);
  canvas.width = SIDE;
  canvas.height = SIDE;
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(small, 0, 0, SIDE, SIDE);
}

export function listenForHeat() {
  byId("heat").addEventListener("click", toggle);
}
