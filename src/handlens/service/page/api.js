// The server's routes. Addresses are relative, so that the page works below any path.

const PATIENCE_MS = 90_000;
const PATIENCE_EXPLAIN_MS = 300_000;
let key = null;

// `text`: the API key to send from now on, or null.
export function setKey(text) {
  key = text;
}

// The server, or the way to it, refused: `code` is the word of the problem document, `photo` the one it is about.
export class Refusal extends Error {
  constructor(code, photo = "") {
    super(code);
    this.code = code;
    this.photo = photo;
  }
}

export async function fetchJson(address) {
  return asked(address, {}, PATIENCE_MS);
}

// `fields`: { name: text or texts }. With `signal` the request can be called off: it then throws an AbortError.
export function postPhotos(photos, fields, signal) {
  const form = new FormData();
  for (const photo of photos) {
    form.append("photos", photo.file, photo.file.name || "photo");
  }
  for (const [name, value] of Object.entries(fields)) {
    for (const one of [value].flat()) {
      form.append(name, one);
    }
  }
  const patience = fields.explain ? PATIENCE_EXPLAIN_MS : PATIENCE_MS;
  return asked("v1/identify", { method: "POST", body: form }, patience, signal);
}

export function postScores(body, signal) {
  const headers = { "content-type": "application/json" };
  return asked("v1/reweigh", { method: "POST", headers, body: JSON.stringify(body) }, PATIENCE_MS, signal);
}

async function asked(address, options, patience, signal) {
  const timeout = AbortSignal.timeout(patience);
  const headers = { ...options.headers, ...(key ? { authorization: `Bearer ${key}` } : {}) };
  const ending = signal ? AbortSignal.any([signal, timeout]) : timeout;
  let response;
  let document;
  try {
    response = await fetch(address, { ...options, headers, signal: ending });
    document = await response.json().catch((error) => {
      if (error.name === "AbortError" || error.name === "TimeoutError") {
        throw error;
      }
      return null; // a proxy's own page, say
    });
  } catch (error) {
    throw signal?.aborted ? error : new Refusal("no-answer");
  }
  if (response.ok && document) {
    return document;
  }
  throw new Refusal(document?.code ?? codeOf(response), document?.photo);
}

// Of a reply that is no document of the service.
function codeOf({ status, ok }) {
  if (status === 503) {
    return "busy";
  }
  return ok || status >= 500 ? "internal-error" : "other";
}
