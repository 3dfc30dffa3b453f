// The tests that the page offers, and what was found, as the fields that the server takes.

import { state } from "./state.js";

// With a word for an answer. `isMore`: behind "more tests". `isTool`: one of the scratch tests.
export const CHOICES = {
  streak: {
    answers: ["white", "grey", "black", "brown", "red", "orange", "yellow", "green", "blue", "purple", "pink"],
  },
  nail: { answers: ["no", "yes"], isTool: true },
  coin: { answers: ["no", "yes"], isTool: true },
  knife: { answers: ["no", "yes"], isTool: true },
  file: { answers: ["no", "yes"], isTool: true },
  glass: { answers: ["no", "yes"], isTool: true },
  magnet: { answers: ["none", "weak", "strong"] },
  acid: { answers: ["none", "warm", "weak", "vigorous"] },
  heft: { answers: ["light", "medium", "heavy", "very heavy"], isMore: true },
  lustre: {
    answers: [
      "metallic", "submetallic", "adamantine", "vitreous", "resinous", "waxy", "greasy", "pearly", "silky", "dull",
    ],
    isMore: true,
  },
  transparency: { answers: ["transparent", "translucent", "opaque"], isMore: true },
  cleavage: { answers: ["none", "poor", "good", "perfect"], isMore: true },
  fluorescence: { answers: ["no", "yes"], isMore: true },
};
export const STREAK_COLOURS = {
  white: "#f5f5f0", grey: "#8c8c8c", black: "#232323", brown: "#734b2d", red: "#a02d23", orange: "#d77d2d",
  yellow: "#dcc34b", green: "#468255", blue: "#3c5aa5", purple: "#784b8c", pink: "#e1a5aa",
};
export const HARDNESS = { off: 0.5, most: 10, step: 0.5, error: 0.5 };
export const GRAVITY = { least: 1, most: 20 };

export const hasEvidence = () => Object.keys(state.evidence).length > 0;

// For `/v1/reweigh` as they are; what was not tested is left out.
export function evidenceFields() {
  const { hardness, streak, gravity, ...others } = state.evidence;
  return {
    ...(hardness && { hardness: `${hardness}±${HARDNESS.error}` }),
    ...(streak && { streak }),
    ...(gravity && { gravity }),
    test: Object.entries(others).map(([name, answer]) => `${name}=${answer}`),
  };
}
