// Calls to the service that the page comes from: the key, the graph's version and what went wrong.
import { button, element } from "./dom.js";

const KEY = "raykg.key"; // in this tab's session storage alone: closing the tab forgets it
const listeners = new Set();
let memory = ""; // the key, where the browser forbids storage
let version = null;

export function key() {
  try {
    return sessionStorage.getItem(KEY) ?? memory;
  } catch {
    return memory;
  }
}

export function setKey(text) {
  memory = text;
  try {
    if (text) sessionStorage.setItem(KEY, text);
    else sessionStorage.removeItem(KEY);
  } catch {
    // The key stays in memory.
  }
}

/** Calls back whenever the graph's version, as the responses tell it, changes. */
export function onVersion(listener) {
  listeners.add(listener);
}

/** What the service refused, in its own words. */
export class ServiceError extends Error {
  constructor(message, { status = 0, type = null, code = null, requestId = null, retryAfter = null } = {}) {
    super(message);
    Object.assign(this, { status, type, code, requestId, retryAfter });
  }
}

/** Sends a request below the page's own address and returns the response, which is a good one. */
export async function request(path, { method = "GET", body = null, signal = null } = {}) {
  const headers = { Accept: "application/json, text/event-stream" };
  if (body !== null) headers["Content-Type"] = "application/json";
  if (key()) headers.Authorization = `Bearer ${key()}`;
  if (version) headers["X-KG-Version"] = version; // whoever accepts a fact sees it in the next answer
  let response;
  try {
    const text = body === null ? undefined : JSON.stringify(body);
    response = await fetch(new URL(path, document.baseURI), { method, headers, body: text, signal, credentials: "same-origin", cache: "no-store" });
  } catch (cause) {
    if (cause.name === "AbortError") throw cause;
    throw new ServiceError("The service cannot be reached: is it still running?", { type: "connection" });
  }
  if (!response.ok) throw await refusal(response);
  remember(response.headers.get("X-KG-Version"));
  return response;
}

export async function json(path, options = {}) {
  return (await request(path, options)).json();
}

/** Keeps the newest version met: responses may arrive in another order than they were made. */
export function remember(met) {
  if (!met || met === version) return;
  const [base, sequence] = met.split("+");
  const [knownBase, known] = (version ?? "").split("+");
  if (base === knownBase && Number(sequence ?? 0) < Number(known ?? 0)) return;
  version = met;
  for (const listener of listeners) listener(version);
}

/** Returns a box that says what went wrong, under which request id, and what to do next. */
export function errorBox(error, onkey) {
  const details = [
    error.status ? `HTTP ${error.status}` : null,
    error.code ?? error.type ?? null,
    error.requestId ? `request ${error.requestId}` : null,
    error.retryAfter ? `try again in ${error.retryAfter} s` : null,
  ].filter(Boolean);
  return element(
    "div",
    { class: "error", role: "alert" },
    element("p", {}, error.message || String(error)),
    details.length ? element("p", { class: "small" }, details.join(" · ")) : null,
    error.status === 401 || error.status === 403 ? button(key() ? "Change the key" : "Enter a key", onkey) : null,
  );
}

async function refusal(response) {
  const found = { status: response.status, requestId: response.headers.get("X-Request-ID"), retryAfter: response.headers.get("Retry-After") };
  try {
    const { error } = await response.json();
    if (String(error.code).includes("kg_version")) version = null; // another graph stands behind this address now
    return new ServiceError(error.message, { ...found, type: error.type, code: error.code, requestId: found.requestId ?? error.request_id });
  } catch {
    return new ServiceError(`The service answered with HTTP ${response.status}.`, found);
  }
}
