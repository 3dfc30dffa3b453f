// The API key of a service that asks for one: entered once, kept for this tab, sent with every request.

import { setKey } from "./api.js";
import { byId } from "./dom.js";
import { identify } from "./identify.js";
import { state } from "./state.js";

const NAME = "handlens-key";

export function listenForKey() {
  setKey(remembered());
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const key = byId("key").value.trim();
    if (!key) {
      byId("key").focus();
      return;
    }
    byId("key").value = "";
    setKey(key);
    try {
      sessionStorage.setItem(NAME, key);
    } catch {
      // Storage is switched off: then the key lasts as long as the page.
    }
    identify();
  });
}

export function renderKey() {
  byId("key-form").hidden = !(state.view === "error" && state.code === "unauthorised");
}

function remembered() {
  try {
    return sessionStorage.getItem(NAME);
  } catch {
    return null;
  }
}
