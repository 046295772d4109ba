// The accounts around an alert on a ring, in order of their numbers, and the same as tables: trades as arrows from seller to buyer, owners and
// addresses that accounts share as broken lines.

import { $, cell, clock, day, element, get, plural, rows, say } from "/web/page_parts.js";

const NODE = 13, NODE_ROOM = 30, HEAD = 60, KINDS = { owner: "6 4", address: "2 4" };
let found = null, chosen = null, asked = 0;

export function close() {
  asked++;
  found = chosen = null;
  $("links").hidden = true;
  say("links-note", "");
}

export async function openLinks(alert) {
  const number = ++asked;
  say("links-note", "Reading who traded with whom");
  try {
    const answer = await get(`/surveillance/alerts/${encodeURIComponent(alert.alert_id)}/links?minutes=${$("links-minutes").value}&accounts=${$("links-accounts").value}`);
    if (number !== asked) return;
    found = answer;
    chosen = null;
    $("links").hidden = false;
    draw();
    say("links-note", "");
  } catch (error) {
    if (number === asked) say("links-note", `Linked accounts cannot be shown: ${error.message}`, true);
  }
}

function draw() {
  say("links-told", [
    `${found.symbol}, ${day(found.begin)} to ${clock(found.end)}.`,
    found.left_out ? `${plural(found.left_out, "more account")} left out: those that traded least.` : "",
    found.trades_since ? `There were too many trades: only those after ${clock(found.trades_since)} are counted.` : "",
    found.owners_known ? "" : "Owners are not known here: no owner sets.",
    `Addresses are those of sign-ins on the trading page since ${found.sign_ins_since.slice(0, 10)}. Devices are not recorded.`,
  ].filter(Boolean).join(" "));
  drawRing();
  rows("links-table", found.accounts.map((one) => element("tr", one.account === chosen ? { class: "chosen" } : {},
    cell(one.account, "num"), cell(one.is_subject ? "of the alert" : ""), cell(one.bought, "num"), cell(one.sold, "num"), cell(one.net, "num"), cell(linksOf(one.account), "words"))));
  rows("links-trades", shownTrades().map((one) => element("tr", {}, cell(one.seller, "num"), cell(one.buyer, "num"), cell(one.trades, "num"), cell(one.qty, "num"), cell(Number(one.average_price).toFixed(2), "num"))));
  $("links-trades-title").textContent = chosen === null ? "Who sold to whom" : `Who sold to whom: account ${chosen}`;
  say("links-trades-note", shownTrades().length ? "" : "No trades among these accounts.");
}

const shownTrades = () => found.trades.filter((one) => chosen === null || chosen === one.seller || chosen === one.buyer);
const linksOf = (account) => found.links.filter((one) => one.accounts.includes(account)).map(linkText).join("; ");
const linkText = (one) => one.kind === "owner" ? `${one.what}: ${one.accounts.join(", ")}` : `address ${one.what}: ${one.accounts.join(", ")} (${plural(one.times, "sign-in")}, ${day(one.first_at)} to ${day(one.last_at)})`;

function drawRing() {
  const svg = $("links-ring"), count = found.accounts.length;
  const width = Math.max(svg.parentElement.clientWidth || 360, Math.ceil(count * NODE_ROOM / Math.PI) + 2 * HEAD), radius = Math.min(width / 2 - HEAD, Math.max(150, count * NODE_ROOM / 2 / Math.PI));
  const height = 2 * radius + 2 * HEAD - 40, places = new Map(found.accounts.map((one, i) => {
    const angle = 2 * Math.PI * i / count - Math.PI / 2;
    return [one.account, { x: width / 2 + radius * Math.cos(angle), y: height / 2 + radius * Math.sin(angle), angle }];
  }));
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("width", width);
  svg.setAttribute("height", height);
  svg.setAttribute("aria-label", `${plural(count, "account")} on a ring, ${plural(found.trades.length, "pair")} that traded, ${plural(found.links.length, "link")} by owner or address; the tables below have the same`);
  const most = Math.max(1, ...found.trades.map((one) => Number(one.qty)));
  svg.replaceChildren(
    ...found.trades.filter((one) => one.seller !== one.buyer).flatMap((one) => arrow(one, places, most)),
    ...found.links.flatMap((one) => chords(one, places)),
    ...found.accounts.map((one) => node(one, places.get(one.account))),
  );
}

const isFaint = (...accounts) => chosen !== null && !accounts.includes(chosen);

function chords(link, places) {
  const made = [], own = link.accounts;
  for (let i = 0; i + 1 < own.length; i++) {
    const [a, b] = [places.get(own[i]), places.get(own[i + 1])];
    made.push(element("line", { x1: a.x, y1: a.y, x2: b.x, y2: b.y, stroke: "var(--warn)", "stroke-width": 3, "stroke-dasharray": KINDS[link.kind], opacity: isFaint(...own) ? 0.15 : 1 }, element("title", {}, linkText(link))));
  }
  return made;
}

// Bent to its right, so that the two directions of a pair lie beside one another.
function arrow(one, places, most) {
  const a = places.get(one.seller), b = places.get(one.buyer), length = Math.hypot(b.x - a.x, b.y - a.y) || 1;
  const nx = -(b.y - a.y) / length, ny = (b.x - a.x) / length, bend = Math.min(40, length / 5);
  const mid = { x: (a.x + b.x) / 2 + nx * bend, y: (a.y + b.y) / 2 + ny * bend };
  const back = Math.hypot(b.x - mid.x, b.y - mid.y) || 1, ux = (b.x - mid.x) / back, uy = (b.y - mid.y) / back;
  const tip = { x: b.x - ux * NODE, y: b.y - uy * NODE }, thick = 1 + 4 * Math.sqrt(Number(one.qty) / most), wing = 4 + thick;
  const opacity = isFaint(one.seller, one.buyer) ? 0.12 : 0.8;
  return [element("g", { opacity, fill: "none", stroke: "var(--accent)" },
    element("title", {}, `${one.seller} sold ${one.qty} to ${one.buyer} in ${plural(one.trades, "trade")}`),
    element("path", { d: `M${a.x} ${a.y} Q${mid.x} ${mid.y} ${tip.x} ${tip.y}`, "stroke-width": thick }),
    element("path", { d: `M${tip.x} ${tip.y} l${-ux * 2 * wing - uy * wing} ${-uy * 2 * wing + ux * wing} l${2 * uy * wing} ${-2 * ux * wing} z`, fill: "var(--accent)", stroke: "none" }))];
}

function node(one, at) {
  const choose = () => {
    chosen = chosen === one.account ? null : one.account;
    draw();
    $("links-ring").querySelector(`[data-account="${one.account}"]`).focus();
  };
  const outside = { x: at.x + 24 * Math.cos(at.angle), y: at.y + 24 * Math.sin(at.angle) + 4 };
  const side = Math.cos(at.angle) > 0.3 ? "start" : Math.cos(at.angle) < -0.3 ? "end" : "middle";
  return element("g", {
    class: "node", role: "button", tabindex: "0", "data-account": one.account, "aria-pressed": String(one.account === chosen), onclick: choose,
    "aria-label": `Account ${one.account}${one.is_subject ? ", of the alert" : ""}: bought ${one.bought}, sold ${one.sold}, net ${one.net}${linksOf(one.account) ? `; ${linksOf(one.account)}` : ""}`,
    onkeydown: (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); choose(); } },
  },
  element("circle", { cx: at.x, cy: at.y, r: NODE, fill: one.is_subject ? "var(--warn)" : "var(--card)", stroke: "var(--text)", "stroke-width": one.account === chosen ? 4 : 1.5 }),
  element("text", { x: at.x, y: at.y + 5, "text-anchor": "middle", fill: one.is_subject ? "var(--card)" : "var(--text)", "font-size": 13, "aria-hidden": "true" }, one.is_subject ? "!" : ""),
  element("text", { x: outside.x, y: outside.y, "text-anchor": side, fill: "var(--text)", "font-size": 13 }, one.account));
}
