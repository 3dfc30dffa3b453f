// The texts of the page, by language.

import { EN } from "./words-en.js";
import { ES } from "./words-es.js";

export const WORDS = { en: EN, es: ES };

// Codes that mean the same to the person in front of the page.
export const SAME_WORDS = {
  "bad-rotation": "bad-crop",
  overloaded: "busy",
  "request-timeout": "busy",
  "slow-body": "no-answer",
  "too-many-requests": "busy",
};
