// Photos to an answer: one request for all photos of the specimen. A newer request calls off the older one.

import { Refusal, fetchJson, postPhotos } from "./api.js";
import { evidenceFields } from "./evidence-fields.js";
import { loadNames } from "./language.js";
import { state, update, viewKey } from "./state.js";
import { weigh } from "./weigh.js";

let request = null;
let largestPhoto = Infinity;

export async function loadLimits() {
  try {
    largestPhoto = (await fetchJson("v1/model")).max_photo_bytes;
  } catch {
    // Then the server says so when a photo is too large.
  }
}

// How the photos are to be looked at, as the form's fields.
export function photoFields() {
  const { rotate, crop } = state;
  return {
    ...(rotate ? { rotate: String(rotate) } : {}),
    ...(crop ? { crop: [crop.x, crop.y, crop.width, crop.height].join(",") } : {}),
  };
}

export async function identify() {
  request?.abort();
  const tooLarge = state.photos.find((photo) => photo.file.size > largestPhoto);
  if (tooLarge) {
    update({ view: "error", code: "image-too-large", about: tooLarge.file.name, answer: null, scores: null });
    return;
  }
  const mine = (request = new AbortController());
  const asked = viewKey();
  update({ view: "loading", code: "", about: "", weighing: "", heat: null, heatView: "off" });
  loadNames();
  try {
    const { lang, photos, evidence } = state;
    const answer = await postPhotos(photos, { scores: "1", lang, ...photoFields(), ...evidenceFields() }, mine.signal);
    if (mine === request) {
      const { scores, novelty } = answer;
      const several = answer.warnings?.includes("several-specimens") ?? false;
      update({ view: "result", answer, scores, novelty, several, asked });
      if (state.evidence !== evidence || state.lang !== lang) {
        weigh(); // changed meanwhile
      }
    }
  } catch (error) {
    if (mine === request) {
      const { code, photo } = error instanceof Refusal ? error : new Refusal("no-answer");
      update({ view: "error", code, about: photo ?? "", answer: null, scores: null });
    }
  }
}
