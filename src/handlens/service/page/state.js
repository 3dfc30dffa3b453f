// What the page knows, and who wants to hear of a change.

export const MOST_PHOTOS = 5;

export const state = {
  view: "start", // "start", "loading", "result" or "error"
  lang: "en",
  photos: [], // of one specimen: { file, url, width, height, isUnseen }; sizes are 0 until the browser has decoded it
  shown: 0, // the place of the photo in the preview
  rotate: 0, // degrees clockwise, of the single photo
  crop: null, // { x, y, width, height } in pixels of the upright, rotated photo
  asked: "", // the view (`viewKey`) that the answer is of
  evidence: {}, // by test, as the form has it
  answer: null, // what the server said last
  scores: null, // of every label before any evidence
  several: false, // whether a photo shows several specimens
  novelty: undefined, // how far the photos are from all labels, where the model can tell
  code: "", // of the problem, and `about`: the photo that it is about
  about: "",
  weighing: "", // "", "busy" or "failed"
  heat: null, // the explanation that the server gave, and `heatView`: "off", "waiting", "on" or "failed"
  heatView: "off",
  notice: "", // a key of the words, about the photos
};

const listeners = [];

// `listener` is called after every change, in the order of subscribing.
export function subscribe(listener) {
  listeners.push(listener);
}

export function update(change) {
  Object.assign(state, change);
  for (const listener of listeners) {
    listener();
  }
}

export const viewKey = () => `${state.rotate} ${state.crop ? Object.values(state.crop).join(",") : ""}`;
export const isStale = () => state.answer !== null && state.asked !== viewKey();
