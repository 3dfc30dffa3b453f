// The photo in the preview, upright and turned as asked, and the buttons that turn it. What lies upon it (crop box,
// heat map) is placed in shares of the stage, whatever its size on the screen.

import { byId } from "./dom.js";
import { identify } from "./identify.js";
import { words } from "./language.js";
import { isStale, state, update } from "./state.js";

// { width, height } of the upright, turned photo; zeros until the browser has decoded it.
export function viewSize() {
  const { width = 0, height = 0 } = state.photos[state.shown] ?? {};
  return state.rotate % 180 ? { width: height, height: width } : { width, height };
}

// Puts an element over a part of the photo.
export function place(element, { x, y, width, height }) {
  const size = viewSize();
  element.style.insetInlineStart = `${(100 * x) / size.width}%`;
  element.style.insetBlockStart = `${(100 * y) / size.height}%`;
  element.style.inlineSize = `${(100 * width) / size.width}%`;
  element.style.blockSize = `${(100 * height) / size.height}%`;
}

export function renderStage() {
  const photo = state.photos[state.shown];
  const { width, height } = viewSize();
  const stage = byId("stage");
  const preview = byId("preview");
  byId("figure").hidden = !photo;
  if (!photo) {
    preview.removeAttribute("src");
    return;
  }
  if (preview.getAttribute("src") !== photo.url) {
    preview.src = photo.url;
  }
  preview.alt = words().previewAlt(photo.file.name);
  stage.hidden = photo.isUnseen;
  // Of a broken file the error speaks.
  byId("no-preview").hidden = !photo.isUnseen || state.view === "error";
  const isKnown = width > 0;
  byId("tools").hidden = !isKnown || state.photos.length !== 1 || state.view === "error";
  byId("stale").hidden = !isStale();
  if (isKnown) {
    const isTurned = state.rotate % 180 !== 0;
    stage.style.setProperty("--ratio", String(width / height));
    // The picture lies in the middle of the stage and is turned there: on its side it is as wide as the stage is high.
    preview.style.inlineSize = isTurned ? `${(100 * height) / width}%` : "100%";
    preview.style.blockSize = isTurned ? `${(100 * width) / height}%` : "100%";
    preview.style.rotate = `${state.rotate}deg`;
  }
}

function turn(quarters) {
  const { width, height } = viewSize();
  const { crop } = state;
  const turned = (state.rotate + 90 * quarters + 360) % 360;
  const moved =
    crop &&
    (quarters > 0
      ? { x: height - crop.y - crop.height, y: crop.x, width: crop.height, height: crop.width }
      : { x: crop.y, y: width - crop.x - crop.width, width: crop.height, height: crop.width });
  update({ rotate: turned, crop: moved, heatView: "off", heat: null });
}

export function listenForTurns() {
  byId("turn-left").addEventListener("click", () => turn(-1));
  byId("turn-right").addEventListener("click", () => turn(1));
  byId("ask-again").addEventListener("click", () => {
    identify();
    byId("answer").focus({ preventScroll: true });
  });
}
