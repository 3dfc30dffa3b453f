// The records of minerals, fetched once each.

import { fetchJson } from "./api.js";

const records = new Map();

// A promise of the record; a failed one is forgotten, so that the next call tries again.
export function record(name) {
  if (!records.has(name)) {
    const asked = fetchJson(`v1/minerals/${encodeURIComponent(name)}`);
    asked.catch(() => records.delete(name));
    records.set(name, asked);
  }
  return records.get(name);
}
