// One alert: why it was raised, its facts, its orders as a picture and as a table, who took part, and others like it.

import { $, cell, clock, day, element, get, ms, plural, rows, say, severity, side, words } from "/web/page_parts.js";

let shown = null;

export async function showAlert(row, choose) {
  const id = row.alert_id;
  if (shown?.id !== id) $("alert").hidden = true;
  shown = { id, revision: row.revision };
  try {
    const [alert, related] = await Promise.all([
      get(`/surveillance/alerts/${encodeURIComponent(id)}`), get(`/surveillance/alerts/${encodeURIComponent(id)}/related`),
    ]);
    if (shown.id !== id) return null;
    $("alert").hidden = false;
    draw(alert);
    drawRelated(related, choose);
    say("alert-note", "");
    return alert;
  } catch (error) {
    if (shown.id === id) say("alert-note", `The alert cannot be shown: ${error.message}`, true);
    return null;
  }
}

function draw(alert) {
  $("alert-title").replaceChildren(`${words(alert.pattern)} in ${alert.symbol} by ${plural(alert.accounts.length, "account").replace(/^\d+ /, "")} ${alert.accounts.join(", ")}`);
  rows("steps", alert.steps.map((step) => element("li", {}, step)));
  say("counterfactual", alert.counterfactual);
  const end = Math.max(ms(alert.window_end), ...alert.evidence.map((one) => one.ended_at ? ms(one.ended_at) : 0));
  const facts = {
    "Severity": severity(alert.severity), "Score": alert.score.toFixed(2), "Window": `${day(alert.window_start)} to ${clock(alert.window_end)}`, "Side": side(alert.side),
    "Seen": `${plural(alert.occurrences, "time")}; revision ${alert.revision}, ${words(alert.status)}`, "Rules": alert.rule_refs.join("; ") || "not said",
    "Measured": Object.entries(alert.features).map(([name, value]) => `${words(name)} ${value}`).join("; ") || "not said",
    "Detector": alert.config_digest ? `version ${alert.detector_version}, parameters ${alert.config_digest.slice(0, 12)}` : "an earlier version, which did not say",
    "Alert": alert.alert_id, "Last frame": alert.source,
  };
  rows("facts", Object.entries(facts).flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
  rows("orders", alert.evidence.map((order) => orderRow(order, end, alert.symbol)));
  const more = alert.evidence_total - alert.evidence.length;
  say("orders-note", more > 0 ? `${more} more are counted and not listed.` : "");
  rows("accounts", alert.accounts.map((account) => accountRow(alert, account)));
  timeline(alert, end);
}

function orderRow(order, end, symbol) {
  const span = (order.ended_at ? ms(order.ended_at) : end) - ms(order.placed_at);
  return element("tr", {}, cell(words(order.role) + (order.symbol === symbol ? "" : ` in ${order.symbol}`)), cell(order.account, "num"), element("td", {}, side(order.side)), cell(Number(order.price).toFixed(2), "num"), cell(order.qty, "num"), cell(order.traded_qty, "num"),
    cell(clock(order.placed_at)), cell(clock(order.ended_at)), cell(span < 1_000 ? `${span.toFixed(1)} ms` : `${(span / 1_000).toFixed(2)} s`, "num"),
    element("td", { class: "soft", title: order.order_id }, order.order_id.slice(-12)),
    cell(order.seq === null ? "" : `${order.topic}/${order.partition}@${order.offset} row ${order.seq}`, "soft"));
}

function accountRow(alert, account) {
  const mine = alert.evidence.filter((one) => one.account === account);
  const sum = (name) => mine.filter((one) => one.side === name && one.symbol === alert.symbol).reduce((total, one) => total + Number(one.traded_qty), 0);
  const [bought, sold] = [sum("buy"), sum("sell")];
  return element("tr", {}, cell(account, "num"), cell(mine.length, "num"), cell(bought, "num"), cell(sold, "num"), cell(bought - sold, "num"));
}

function drawRelated(related, choose) {
  rows("related", related.map((one) => element("tr", {},
    element("td", {}, element("button", { type: "button", onclick: () => choose(one) }, day(one.detected_at))), cell(words(one.pattern)), cell(one.symbol), cell(one.accounts.join(", ")),
    element("td", {}, severity(one.severity)), cell(words(one.state)), cell(one.reason ? `${words(one.outcome)}: ${words(one.reason)}` : ""))));
  say("related-note", related.length ? "" : "No other alert of this account, or of this pattern and symbol.");
}

function timeline(alert, end) {
  const svg = $("timeline"), orders = [...alert.evidence].sort((a, b) => ms(a.placed_at) - ms(b.placed_at));
  const line = 20, width = svg.parentElement.clientWidth || 720, left = Math.min(150, width * 0.38), height = orders.length * line + 26;
  const start = Math.min(ms(alert.window_start), ...orders.map((one) => ms(one.placed_at))), span = Math.max(end - start, 1);
  const x = (time) => left + (time - start) / span * (width - left - 20);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("height", height);
  svg.setAttribute("aria-label", `When each of ${plural(orders.length, "order or trade").replace(/order or trades/, "orders and trades")} stood in the book, from ${clock(alert.window_start)} on; the table below has the same`);
  svg.replaceChildren();
  for (let i = 0; i <= 4; i++) {
    const time = start + span * i / 4;
    svg.append(element("line", { x1: x(time), x2: x(time), y1: 0, y2: height - 20, stroke: "var(--line)" }),
      element("text", { x: x(time), y: height - 5, fill: "var(--soft)", "font-size": 11, "text-anchor": i === 4 ? "end" : "middle" },
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
