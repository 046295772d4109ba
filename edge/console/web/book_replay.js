// The book around an alert, replayed step by step: ten levels a side, the accounts' own orders marked, never to be taken for the live one.

import { drawChart, moveCursor } from "/web/replay_chart.js";
import { $, clock, element, get, ms, plural, rows, say, words } from "/web/page_parts.js";

const LEVELS = 10, SPEEDS = { 1: "1×", 10: "10×", 100: "100×" }, PAUSE_MS_MAX = 2_000;
let replay = null, states = [], at = 0, timer = null, wanted = null;

const key = (level) => `${level.side}@${level.price}`;

// State n is the book after step n; state 0 is the beginning. Kept every 50 steps, so that going back costs little.
function stateAt(number) {
  const from = Math.floor(number / 50);
  if (states[from] === undefined) states[from] = advanced(stateAt((from - 1) * 50), (from - 1) * 50, from * 50);
  return advanced(states[from], from * 50, number);
}

function advanced(state, from, to) {
  const levels = new Map(state.levels), own = new Map(state.own);
  for (const step of replay.steps.slice(from, to)) {
    for (const level of step.levels) if (Number(level.qty) > 0) levels.set(key(level), level); else levels.delete(key(level));
    for (const order of step.own) if (Number(order.qty) > 0) own.set(order.order_id, order); else own.delete(order.order_id);
  }
  return { levels, own };
}

export async function openReplay(alert) {
  close();
  wanted = alert.alert_id;
  say("replay-note", "The book is being read from the log.");
  try {
    const found = await get(`/surveillance/alerts/${encodeURIComponent(alert.alert_id)}/book`);
    if (wanted !== alert.alert_id) return;
    replay = found;
  } catch (error) {
    if (wanted === alert.alert_id) say("replay-note", `The book cannot be replayed: ${error.message}`, true);
    return;
  }
  states = [{ levels: new Map(replay.start.levels.map((one) => [key(one), one])), own: new Map(replay.start.own.map((one) => [one.order_id, one])) }];
  at = Math.max(0, replay.steps.findIndex((step) => isOwn(step)));
  $("replay").hidden = false;
  $("replay-at").max = replay.steps.length;
  drawChart(replay);
  say("replay-note", [
    replay.steps.length ? "" : "Nothing happened in this book in the window.",
    replay.complete ? "" : "The beginning of the book was not read: levels that have not changed since are missing.",
    replay.full ? `Only the first ${replay.steps.length} steps are shown.` : "",
  ].filter(Boolean).join(" "));
  draw();
}

export function close() {
  stop();
  wanted = replay = null;
  $("replay").hidden = true;
  say("replay-note", "");
}

const isOwn = (step) => step.own.length > 0 || step.events.some((one) => one.own);

function draw() {
  const { levels, own } = stateAt(at), step = replay.steps[at - 1];
  const time = step ? step.at : replay.begin;
  $("replay-banner").textContent = `REPLAY, not live: ${replay.symbol} as it was at ${time.slice(0, 10)} ${clock(time)}`;
  moveCursor(time);
  $("replay-at").value = at;
  $("replay-at").setAttribute("aria-valuetext", `step ${at} of ${replay.steps.length}, ${clock(time)}`);
  $("replay-step").textContent = `Step ${at} of ${replay.steps.length}`;
  $("replay-event").textContent = step ? `${clock(step.at)} ${step.events.map(told).join("; ")} (${replay.topic}/${replay.partition}@${step.offset})` : "The book before the first step.";
  const mine = new Map();
  for (const order of own.values()) mine.set(key(order), (mine.get(key(order)) ?? 0) + Number(order.qty));
  const changed = new Set((step?.levels ?? []).map(key));
  rows("replay-asks", ladder(levels, "sell", mine, changed));
  rows("replay-bids", ladder(levels, "buy", mine, changed));
}

function ladder(levels, sideName, mine, changed) {
  const all = [...levels.values()].filter((one) => one.side === sideName).sort((a, b) => b.price - a.price);
  const shown = sideName === "buy" ? all.slice(0, LEVELS) : all.slice(-LEVELS);
  const most = Math.max(1, ...shown.map((one) => Number(one.qty)));
  if (!shown.length) return [element("tr", {}, element("td", { colspan: "5", class: "soft" }, `no ${sideName === "buy" ? "bids" : "asks"}`))];
  return shown.map((level) => {
    const quantity = mine.get(key(level));
    const marks = [quantity ? "mine" : "", changed.has(key(level)) ? "changed" : ""].filter(Boolean).join(" ");
    return element("tr", marks ? { class: marks } : {},
      element("th", { scope: "row", class: sideName === "buy" ? "up" : "down" }, sideName === "buy" ? "bid" : "ask"),
      element("td", { class: "num" }, Number(level.price).toFixed(2)), element("td", { class: "num" }, level.qty), element("td", { class: "num" }, String(level.orders)),
      element("td", { class: "num" }, quantity ? `● ${quantity}` : "", element("progress", { max: most, value: level.qty, "aria-hidden": "true" })));
  });
}

function told(event) {
  const who = event.own ? ` by account ${event.own.join(" and ")}` : "";
  return `${words(event.kind)} ${event.side ?? ""} ${event.qty} at ${Number(event.price).toFixed(2)}${who}`.replace(/\s+/g, " ");
}

function go(number) {
  at = Math.min(Math.max(number, 0), replay.steps.length);
  draw();
}

function play() {
  const next = replay?.steps[at];
  if (!next) return stop();
  const span = (ms(next.at) - ms(at ? replay.steps[at - 1].at : next.at)) / Number($("replay-speed").value);
  timer = setTimeout(() => { go(at + 1); play(); }, Math.min(Math.max(span, 40), PAUSE_MS_MAX));
  $("replay-play").textContent = "Pause";
  $("replay-play").setAttribute("aria-pressed", "true");
  return undefined;
}

function stop() {
  clearTimeout(timer);
  timer = null;
  $("replay-play").textContent = "Play";
  $("replay-play").setAttribute("aria-pressed", "false");
}

const jump = (from, by) => {
  for (let n = from + by; n >= 1 && n <= replay.steps.length; n += by) if (isOwn(replay.steps[n - 1])) return go(n);
  $("replay-event").textContent = `No ${by > 0 ? "later" : "earlier"} step of ${plural(replay.accounts.length, "account")} ${replay.accounts.join(", ")}.`;
  return undefined;
};
const ACTIONS = {
  "replay-play": () => { if (timer) stop(); else { if (at === replay.steps.length) go(0); play(); } },
  "replay-back": () => { stop(); go(at - 1); },
  "replay-next": () => { stop(); go(at + 1); },
  "replay-own-back": () => { stop(); jump(at, -1); },
  "replay-own-next": () => { stop(); jump(at, 1); },
};
const KEYS = { " ": "replay-play", ArrowLeft: "replay-back", ArrowRight: "replay-next", "[": "replay-own-back", "]": "replay-own-next" };
for (const [id, act] of Object.entries(ACTIONS)) $(id).addEventListener("click", act);
$("replay-at").addEventListener("input", () => { stop(); go(Number($("replay-at").value)); });
$("replay").addEventListener("keydown", (event) => {
  const name = KEYS[event.key];
  if (!name || event.target.matches("select, input") || (event.key === " " && event.target.matches("button"))) return;
  event.preventDefault();
  ACTIONS[name]();
});
$("replay-speed").replaceChildren(...Object.entries(SPEEDS).map(([value, text]) => element("option", { value }, text)));
