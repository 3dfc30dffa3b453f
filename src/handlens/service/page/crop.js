// The box that marks the specimen: dragged with the pointer, moved with the arrow keys, or written as numbers. It is
// kept in whole pixels of the upright, turned photo; the server does the cutting.

import { byId } from "./dom.js";
import { words } from "./language.js";
import { place, viewSize } from "./stage.js";
import { state, update } from "./state.js";

const LEAST = 16; // pixels a side that the server wants
const STEP = 0.02; // of the photo's longer side, for a key
const FIRST = 0.7; // of each side, in the middle
const FIELDS = { x: "crop-x", y: "crop-y", width: "crop-width", height: "crop-height" };
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const clamp = (value, low, high) => Math.round(Math.min(Math.max(value, low), high));

// The box nearest to the one wished for that lies within the photo and is not too small.
function fitted({ x, y, width, height }) {
  const size = viewSize();
  const wide = clamp(width, Math.min(LEAST, size.width), size.width);
  const high = clamp(height, Math.min(LEAST, size.height), size.height);
  return { x: clamp(x, 0, size.width - wide), y: clamp(y, 0, size.height - high), width: wide, height: high };
}

function setCrop(crop) {
  update({ crop: crop && fitted(crop), heatView: "off", heat: null });
}

function mark() {
  const { width, height } = viewSize();
  const margin = (1 - FIRST) / 2;
  setCrop({ x: margin * width, y: margin * height, width: FIRST * width, height: FIRST * height });
  byId("crop-box").focus({ preventScroll: true });
}

export function renderCrop() {
  const { crop, photos } = state;
  const box = byId("crop-box");
  const isOn = crop !== null && photos.length === 1;
  box.hidden = !isOn;
  byId("shade").hidden = !isOn;
  byId("crop-fields").hidden = !isOn;
  byId("mark").hidden = isOn;
  if (!isOn) {
    return;
  }
  place(box, crop);
  const { width, height } = viewSize();
  const [left, right] = [crop.x, crop.x + crop.width].map((x) => `${(100 * x) / width}%`);
  const [top, bottom] = [crop.y, crop.y + crop.height].map((y) => `${(100 * y) / height}%`);
  const hole = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]];
  const outline = ["0 0", "100% 0", "100% 100%", "0 100%", "0 0", ...hole.map((corner) => corner.join(" "))];
  byId("shade").style.clipPath = `polygon(evenodd, ${outline.join(", ")})`;
  box.setAttribute("aria-roledescription", words().cropRole);
  box.setAttribute("aria-label", words().cropBox(crop.x, crop.y, crop.width, crop.height));
  const most = { x: width, y: height, width, height };
  for (const [name, id] of Object.entries(FIELDS)) {
    const field = byId(id);
    field.max = String(most[name]);
    if (document.activeElement !== field) {
      field.value = String(crop[name]);
    }
  }
}

export function listenForCrop() {
  byId("mark").addEventListener("click", mark);
  byId("whole").addEventListener("click", () => {
    setCrop(null);
    byId("mark").focus();
  });
  for (const [name, id] of Object.entries(FIELDS)) {
    byId(id).addEventListener("change", (event) => {
      const value = event.target.valueAsNumber;
      setCrop(Number.isNaN(value) ? state.crop : { ...state.crop, [name]: value });
      event.target.value = String(state.crop[name]); // as it was fitted
    });
  }
  listenForKeys(byId("crop-box"));
  listenForPointer(byId("crop-box"));
}

function listenForKeys(box) {
  box.addEventListener("keydown", (event) => {
    const arrow = ARROWS[event.key];
    if (!arrow || event.ctrlKey || event.altKey || event.metaKey) {
      return;
    }
    event.preventDefault();
    const size = viewSize();
    const step = Math.max(1, Math.round(STEP * Math.max(size.width, size.height)));
    const [right, down] = arrow.map((way) => way * step);
    const { x, y, width, height } = state.crop;
    setCrop(
      event.shiftKey
        ? // Not past the edge, where the box would begin to move instead.
          { x, y, width: Math.min(width + right, size.width - x), height: Math.min(height + down, size.height - y) }
        : { x: x + right, y: y + down, width, height },
    );
  });
}

function listenForPointer(box) {
  let drag = null; // where the pointer went down, the box at that time, which corner

  box.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) {
      return;
    }
    event.preventDefault();
    box.focus({ preventScroll: true });
    box.setPointerCapture(event.pointerId);
    drag = { left: event.clientX, top: event.clientY, crop: state.crop, corner: event.target.dataset.corner ?? "" };
  });
  box.addEventListener("pointermove", (event) => {
    if (!drag) {
      return;
    }
    const scale = viewSize().width / byId("stage").getBoundingClientRect().width;
    setCrop(dragged(drag, (event.clientX - drag.left) * scale, (event.clientY - drag.top) * scale));
  });
  for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) {
    box.addEventListener(name, () => {
      drag = null;
    });
  }
}

// The box after its corner, or all of it, was drawn by so many pixels; the opposite corner stays where it is.
function dragged({ crop, corner }, right, down) {
  if (!corner) {
    return { ...crop, x: crop.x + right, y: crop.y + down };
  }
  const size = viewSize();
  const [x, width] = edge(crop.x, crop.width, right, corner.includes("w"), size.width);
  const [y, height] = edge(crop.y, crop.height, down, corner.includes("n"), size.height);
  return { x, y, width, height };
}

function edge(start, length, by, isFirst, most) {
  if (isFirst) {
    const moved = clamp(start + by, 0, start + length - LEAST);
    return [moved, start + length - moved];
  }
  return [start, clamp(length + by, LEAST, most - start)];
}
