// What the analysts' pages share: elements (of elements.js), times, requests, notes.

import { element } from "/web/elements.js";
import { change, signIn } from "/web/session.js";

export * from "/web/elements.js";

// RFC 3339 in UTC with nine decimals -> "12:34:56.789"; with its day; and ms with the fraction that Date drops
export const clock = (time) => time ? time.slice(11, 23) : "still open";
export const day = (time) => time ? `${time.slice(0, 10)} ${time.slice(11, 19)}` : "";
export const ms = (time) => Date.parse(time.slice(0, 19) + "Z") + Number(`0.${time.slice(20, 29)}`) * 1_000;
export const words = (name) => name.toLowerCase().replaceAll("_", " ");
export const plural = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

// An answer that is not what was hoped for: its status and what the server said.
export class Refused extends Error {
  constructor(status, body) {
    super(body.message ?? `status ${status}`);
    this.status = status;
    this.body = body;
  }
}

// isPoll: the page asks by itself, which does not keep a session from being idle.
export async function get(address, isPoll = false) {
  const response = await fetch(address, isPoll ? { headers: { "X-Poll": "1" } } : {});
  return answerOf(response);
}

export async function post(address, value) {
  return answerOf(await change("POST", address, value));
}

async function answerOf(response) {
  if (response.status === 401) signIn();
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(response.status, body);
  return body;
}

const SIGNS = { HIGH: "▲", MEDIUM: "◆", LOW: "▽" };

// Severity and state are a sign and a word, never a colour alone.
export const severity = (name) => element("span", { class: `severity ${name.toLowerCase()}` }, element("span", { "aria-hidden": "true" }, `${SIGNS[name] ?? "·"} `), words(name || "not said"));
export const side = (name) => element("span", { class: name === "buy" ? "up" : "down" }, element("span", { "aria-hidden": "true" }, name === "buy" ? "▲ " : "▼ "), name);
