// Alerts for an analyst: the list, and for the chosen one its story in steps, its facts, its orders as a timeline and as a table.

import { signIn } from "/web/session.js";

const POLL_MS = 2_000;
const $ = (id) => document.getElementById(id);
let alerts = [], chosenId = decodeURIComponent(location.hash.slice(1)) || null, drawn = "";

function element(name, attributes = {}, ...children) {
  const svg = ["line", "rect", "text", "g", "title", "circle"].includes(name);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function say(id, text, isError = false) {
  const note = $(id);
  note.textContent = text;
  note.hidden = !text;
  note.classList.toggle("error", isError);
}

// RFC 3339 with nine decimals -> "12:34:56.789" and ms with the fraction that Date drops
const clock = (time) => time ? `${new Date(time).toLocaleTimeString("en-GB")}.${time.slice(20, 23)}` : "still open";
const ms = (time) => Date.parse(time.slice(0, 19) + "Z") + Number(`0.${time.slice(20, 29)}`) * 1_000;

function stood(order, end) {
  const span = (order.ended_at ? ms(order.ended_at) : end) - ms(order.placed_at);
  return span < 1_000 ? `${span.toFixed(1)} ms` : `${(span / 1_000).toFixed(2)} s`;
}

async function load() {
  try {
    const response = await fetch("/surveillance/alerts?limit=500", { headers: { "X-Poll": "1" } });
    if (response.status === 401) return signIn();
    const body = await response.json();
    if (!response.ok) throw new Error(body.message);
    alerts = body;
    $("state").dataset.state = "live";
    $("state").textContent = `${alerts.length} alert${alerts.length === 1 ? "" : "s"}`;
    show();
  } catch (error) {
    $("state").dataset.state = "lost";
    $("state").textContent = "not reachable";
    say("alerts-note", `Alerts cannot be loaded: ${error.message}`, true);
  }
  setTimeout(load, POLL_MS);
}

function fill(id, values) {
  const select = $(id), kept = select.value;
  const wanted = ["", ...values];
  if ([...select.options].map((o) => o.value).join() === wanted.join()) return;
  select.replaceChildren(...wanted.map((value) => element("option", { value }, value || "all")));
  select.value = wanted.includes(kept) ? kept : "";
}

function show() {
  fill("symbol", [...new Set(alerts.map((a) => a.symbol))].sort());
  fill("account", [...new Set(alerts.flatMap((a) => a.accounts.map(String)))].sort((a, b) => a - b));
  for (const name of ["pattern", "severity", "status"]) fill(name, [...new Set(alerts.map((a) => a[name]).filter(Boolean))].sort());
  const passes = (a, id, value) => !$(id).value || value === $(id).value;
  const listed = alerts.filter((a) => passes(a, "symbol", a.symbol) && (!$("account").value || a.accounts.map(String).includes($("account").value))
    && passes(a, "pattern", a.pattern) && passes(a, "severity", a.severity) && passes(a, "status", a.status));
  const chosen = listed.find((a) => a.alert_id === chosenId) || listed[0];
  const now = JSON.stringify([listed.map((a) => [a.alert_id, a.revision]), chosen?.alert_id]);
  if (now === drawn) return;
  drawn = now;
  $("alerts").replaceChildren(...listed.map((alert) => row(alert, alert === chosen)));
  say("alerts-note", listed.length ? "" : alerts.length ? "No alert passes the filters." : "No alerts. Nothing suspicious has been seen so far.");
  $("alert").hidden = !chosen;
  say("alert-note", chosen ? "" : "Choose an alert to see why it was raised.");
  if (chosen) detail(chosen);
}

function row(alert, isChosen) {
  const button = element("button", { type: "button" }, clock(alert.detected_at));
  button.addEventListener("click", () => {
    chosenId = alert.alert_id;
    history.replaceState(null, "", `#${encodeURIComponent(chosenId)}`);
    show();
  });
  return element("tr", { "aria-selected": String(isChosen) },
    element("td", {}, button), element("td", {}, alert.pattern), element("td", {}, alert.symbol), element("td", { class: "num" }, String(alert.account)),
    element("td", {}, alert.severity.toLowerCase()), element("td", { class: "num" }, alert.score.toFixed(2)), element("td", { class: "num" }, String(alert.occurrences)),
    element("td", {}, alert.status.toLowerCase()));
}

function detail(alert) {
  const who = `account${alert.accounts.length === 1 ? "" : "s"} ${alert.accounts.join(", ")}`;
  $("alert-title").textContent = `${alert.pattern.replaceAll("_", " ")} in ${alert.symbol} by ${who}`;
  $("steps").replaceChildren(...alert.steps.map((step) => element("li", {}, step)));
  say("counterfactual", alert.counterfactual);
  const end = Math.max(ms(alert.window_end), ...alert.evidence.map((e) => e.ended_at ? ms(e.ended_at) : 0));
  const facts = { "Alert": alert.alert_id, "Window": `${clock(alert.window_start)} to ${clock(alert.window_end)}`, "Side": alert.side,
    "Seen": `${alert.occurrences} time${alert.occurrences === 1 ? "" : "s"}; revision ${alert.revision}, ${alert.status.toLowerCase()}`,
    "Rules": alert.rule_refs.join("; ") || "not said", "Measured": Object.entries(alert.features).map(([name, value]) => `${name.replaceAll("_", " ")} ${value}`).join("; ") || "not said",
    "Detector": alert.config_digest ? `version ${alert.detector_version}, parameters ${alert.config_digest.slice(0, 12)}` : "an earlier version, which did not say",
    "Last frame": alert.source };
  $("facts").replaceChildren(...Object.entries(facts).flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
  $("orders").replaceChildren(...alert.evidence.map((order) => element("tr", {},
    element("td", {}, order.role.toLowerCase()), element("td", { class: "num" }, order.account === null ? "" : String(order.account)),
    element("td", { class: order.side === "buy" ? "up" : "down" }, order.side),
    element("td", { class: "num" }, Number(order.price).toFixed(2)), element("td", { class: "num" }, order.qty), element("td", { class: "num" }, order.traded_qty),
    element("td", {}, clock(order.placed_at)), element("td", {}, clock(order.ended_at)), element("td", { class: "num" }, stood(order, end)),
    element("td", { class: "soft", title: order.order_id }, order.order_id.slice(-12)),
    element("td", { class: "soft" }, order.seq === null ? "" : `${order.topic}/${order.partition}@${order.offset} row ${order.seq}`))));
  const more = alert.evidence_total - alert.evidence.length;
  say("orders-note", more > 0 ? `${more} more are counted and not listed.` : "");
  timeline(alert, end);
}

function timeline(alert, end) {
  const svg = $("timeline"), orders = [...alert.evidence].sort((a, b) => ms(a.placed_at) - ms(b.placed_at));
  const line = 20, left = 140, width = svg.clientWidth || 720, height = orders.length * line + 26;
  const start = Math.min(...orders.map((o) => ms(o.placed_at))), span = Math.max(end - start, 1);
  const x = (time) => left + (time - start) / span * (width - left - 20);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("height", height);
  svg.replaceChildren();
  for (let i = 0; i <= 4; i++) {
    const at = start + span * i / 4;
    svg.append(element("line", { x1: x(at), x2: x(at), y1: 0, y2: height - 20, stroke: "var(--line)" }),
      element("text", { x: x(at), y: height - 5, fill: "var(--soft)", "font-size": 11, "text-anchor": i === 4 ? "end" : "middle" },
        span < 10_000 ? `+${(span * i / 4).toFixed(0)} ms` : `+${(span * i / 4_000).toFixed(1)} s`));
  }
  orders.forEach((order, i) => {
    const tone = order.side === "buy" ? "var(--up)" : "var(--down)", top = i * line + 4;
    const from = x(ms(order.placed_at)), to = order.ended_at ? x(ms(order.ended_at)) : width - 20;
    const isTrade = order.trade_id !== null || order.role === "EXECUTION";
    svg.append(element("g", {},
      element("title", {}, `${order.role} ${order.side} ${order.qty} at ${order.price}, ${clock(order.placed_at)} to ${clock(order.ended_at)}`),
      element("text", { x: 0, y: top + 11, fill: "var(--soft)", "font-size": 12 }, `${order.side} ${order.qty} @ ${Number(order.price).toFixed(2)}`),
      isTrade ? element("circle", { cx: from, cy: top + 7, r: 6, fill: tone }) :
        element("rect", { x: from, y: top, width: Math.max(to - from, 3), height: line - 7, rx: 3, fill: tone, opacity: 0.7 })));
  });
}

for (const id of ["symbol", "account", "pattern", "severity", "status"]) $(id).addEventListener("change", show);
addEventListener("resize", () => { drawn = ""; show(); });
load();
