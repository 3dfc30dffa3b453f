// The photos of one specimen: chosen, taken, dropped, pasted, added, removed.

import { byId, make, put } from "./dom.js";
import { identify } from "./identify.js";
import { text, words } from "./language.js";
import { MOST_PHOTOS, state, update } from "./state.js";

const WHOLE = { rotate: 0, crop: null };

// A new specimen: the tests were those of the one before.
function begin(files) {
  if (!files.length) {
    update({ notice: "noPhoto" });
    return;
  }
  state.photos.forEach(release);
  update({ view: "loading", photos: [], evidence: {}, answer: null, scores: null });
  add(files);
}

function add(files) {
  const room = MOST_PHOTOS - state.photos.length;
  const photos = [...state.photos, ...files.slice(0, room).map(photoOf)];
  update({
    photos,
    shown: photos.length > state.photos.length ? state.photos.length : state.shown,
    notice: files.length > room ? "tooMany" : "",
    ...WHOLE,
  });
  identify();
}

// There is none to remove the last one: another specimen takes its place.
function remove(at) {
  const photos = state.photos.filter((_, place) => place !== at);
  release(state.photos[at]);
  update({ photos, shown: Math.max(0, state.shown - (at <= state.shown ? 1 : 0)), notice: "", ...WHOLE });
  identify();
  (photos.length > 1 ? byId("thumbs").querySelector("[aria-pressed=true]") : byId("add")).focus();
}

function photoOf(file) {
  const photo = { file, url: URL.createObjectURL(file), width: 0, height: 0, isUnseen: false };
  const image = new Image();
  image.addEventListener("load", () => {
    // The natural size is that of the upright photo: browsers heed the orientation in the file.
    photo.width = image.naturalWidth;
    photo.height = image.naturalHeight;
    update({});
  });
  image.addEventListener("error", () => {
    photo.isUnseen = true; // the browser may not know a format that the server does
    update({});
  });
  image.src = photo.url; // not decoded here: in its full size that takes longer than the answer
  return photo;
}

const release = (photo) => URL.revokeObjectURL(photo.url);

export function renderPhotos() {
  const { photos, shown, notice, view } = state;
  const many = photos.length > 1;
  byId("invitation").hidden = photos.length > 0;
  byId("picker").classList.toggle("filled", photos.length > 0);
  for (const [id, isOffered] of [
    ["add", photos.length > (view === "error" ? 1 : 0) && photos.length < MOST_PHOTOS],
    ["camera", photos.length === 0],
  ]) {
    byId(id).hidden = !isOffered;
    byId(`${id}-label`).hidden = !isOffered;
  }
  const choose = byId("choose-label");
  choose.dataset.text = photos.length ? "another" : "choose";
  choose.textContent = text(choose.dataset.text);
  choose.classList.toggle("primary", photos.length === 0);
  put("file-name", many ? words().count(photos.length) : (photos[0]?.file.name ?? ""));
  put("notice", notice ? text(notice) : many ? words().onePhotoOnly : "");
  renderThumbs(many ? photos : [], shown);
}

function renderThumbs(photos, shown) {
  const list = byId("thumbs");
  list.hidden = photos.length === 0;
  const wanted = photos.map((photo) => photo.url).join(" ");
  if (list.dataset.photos !== wanted) {
    list.dataset.photos = wanted; // only then: the button that has the focus must stay
    list.replaceChildren(...photos.map(thumb));
  }
  [...list.children].forEach((item, at) => {
    const { name } = photos[at].file;
    const [show, drop] = item.children;
    show.setAttribute("aria-pressed", String(at === shown));
    show.setAttribute("aria-label", words().photoOf(at + 1, photos.length, name));
    show.classList.toggle("unseen-photo", photos[at].isUnseen);
    drop.setAttribute("aria-label", words().remove(at + 1, name));
  });
}

function thumb(photo, at) {
  const show = make("button", { type: "button", className: "thumb" }, make("img", { src: photo.url, alt: "" }));
  show.addEventListener("click", () => update({ shown: at }));
  const drop = make("button", { type: "button", className: "drop", textContent: "×" });
  drop.addEventListener("click", () => remove(at));
  return make("li", {}, show, drop);
}

// What the person does.

export function listenForPhotos() {
  for (const [id, take] of [["choose", begin], ["camera", begin], ["add", add]]) {
    const input = byId(id);
    input.addEventListener("change", () => {
      const files = [...input.files];
      input.value = ""; // so that the same file can be chosen again
      if (files.length) {
        take(files);
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
    const files = [...event.dataTransfer.files];
    const isAdded = files.length && event.target instanceof Element && event.target.closest("#thumbs, #add-label");
    (isAdded ? add : begin)(files);
  });
  document.addEventListener("paste", (event) => {
    if (event.clipboardData.files.length) {
      begin([...event.clipboardData.files]);
    }
  });
}
