// The replay as one picture: best bid and ask as lines, trades as points, own orders as bars from their entry to their end, and where the replay stands.

import { $, clock, element, ms } from "/web/page_parts.js";

const HEIGHT = 240, LEFT = 56, RIGHT = 8, BOTTOM = 22, TOP = 8;
let scale = null;

// replay: of /surveillance/alerts/{id}/book. Steps are read once; the cursor alone moves.
export function drawChart(replay) {
  const svg = $("replay-chart"), read = readSteps(replay), width = svg.parentElement.clientWidth || 360;
  scale = null;
  svg.replaceChildren();
  svg.toggleAttribute("hidden", !read.prices.length);
  if (!read.prices.length) return;
  const low = Math.min(...read.prices), high = Math.max(...read.prices), span = Math.max(read.end - read.begin, 1e-6), room = Math.max(high - low, 0.01);
  scale = {
    begin: read.begin, x: (time) => LEFT + (time - read.begin) / span * (width - LEFT - RIGHT), y: (price) => TOP + (high - price) / room * (HEIGHT - TOP - BOTTOM),
  };
  svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  svg.setAttribute("height", HEIGHT);
  svg.setAttribute("aria-label", `${replay.symbol} from ${clock(replay.steps[0].at)} to ${clock(replay.steps.at(-1).at)}: best bid and ask between ${low.toFixed(2)} and ${high.toFixed(2)}, ${read.trades.length} trades, ${read.trades.filter((one) => one.own).length} of the alert's accounts, ${read.bars.length} of their orders; the steps below tell each`);
  svg.append(...axes(read, low, high, width), line(read.bids, "var(--up)"), line(read.asks, "var(--down)"), ...read.bars.map(bar), ...read.trades.map(point),
    element("line", { id: "replay-cursor", y1: 0, y2: HEIGHT - BOTTOM, stroke: "var(--warn)", "stroke-width": 2 }));
}

export function moveCursor(time) {
  const cursor = document.getElementById("replay-cursor");
  if (!scale || !cursor) return;
  const x = scale.x(Math.max(ms(time), scale.begin));
  cursor.setAttribute("x1", x);
  cursor.setAttribute("x2", x);
}

function readSteps(replay) {
  const levels = new Map(replay.start.levels.map((one) => [`${one.side}@${one.price}`, one])), open = new Map();
  const begin = replay.steps.length ? ms(replay.steps[0].at) : 0, end = replay.steps.length ? ms(replay.steps.at(-1).at) : 0;
  const found = { begin, end, bids: [], asks: [], trades: [], bars: [], prices: [] };
  const enter = (order, time) => open.set(order.order_id, { ...order, from: time });
  const leave = (id, time) => { found.bars.push({ ...open.get(id), to: time }); open.delete(id); };
  for (const order of replay.start.own) enter(order, begin);
  for (const step of replay.steps) {
    const time = ms(step.at);
    for (const level of step.levels) if (Number(level.qty) > 0) levels.set(`${level.side}@${level.price}`, level); else levels.delete(`${level.side}@${level.price}`);
    for (const order of step.own) {
      if (Number(order.qty) > 0 && !open.has(order.order_id)) enter(order, time);
      else if (Number(order.qty) === 0 && open.has(order.order_id)) leave(order.order_id, time);
    }
    for (const one of step.events) if (one.kind === "TRADE") found.trades.push({ time, price: Number(one.price), own: Boolean(one.own), qty: one.qty });
    if (step.levels.length || !found.bids.length) best(levels, time, found);
  }
  for (const id of open.keys()) leave(id, end);
  found.prices = [...found.bids, ...found.asks, ...found.trades].map((one) => one.price).filter((one) => one > 0);
  return found;
}

function best(levels, time, found) {
  const prices = (side) => [...levels.values()].filter((one) => one.side === side).map((one) => Number(one.price));
  const bids = prices("buy"), asks = prices("sell");
  if (bids.length) found.bids.push({ time, price: Math.max(...bids) });
  if (asks.length) found.asks.push({ time, price: Math.min(...asks) });
}

function axes(read, low, high, width) {
  const text = (x, y, anchor, told) => element("text", { x, y, "text-anchor": anchor, fill: "var(--soft)", "font-size": 11 }, told);
  const made = [low, (low + high) / 2, high].flatMap((price) => [
    element("line", { x1: LEFT, x2: width - RIGHT, y1: scale.y(price), y2: scale.y(price), stroke: "var(--line)" }), text(LEFT - 6, scale.y(price) + 4, "end", price.toFixed(2))]);
  const seconds = (read.end - read.begin) / 1_000;
  return [...made, text(LEFT, HEIGHT - 6, "start", "0 s"), text(width - RIGHT, HEIGHT - 6, "end", `+${seconds.toFixed(seconds < 10 ? 2 : 0)} s`)];
}

function line(points, tone) {
  const steps = points.map((one, i) => `${i ? `H${scale.x(one.time)} V` : `M${scale.x(one.time)} `}${scale.y(one.price)}`).join(" ");
  return element("path", { d: steps || "M0 0", fill: "none", stroke: tone, "stroke-width": 1.5 });
}

// Own orders far from the market would flatten the rest: they are drawn at the edge.
const inside = (price) => Math.min(Math.max(scale.y(price), TOP), HEIGHT - BOTTOM);

function bar(order) {
  const from = scale.x(order.from), y = inside(Number(order.price));
  return element("rect", { x: from, y: y - 2, width: Math.max(scale.x(order.to) - from, 2), height: 4, rx: 2, fill: order.side === "buy" ? "var(--up)" : "var(--down)", opacity: 0.55 },
    element("title", {}, `own ${order.side} ${order.qty} at ${order.price}`));
}

function point(trade) {
  return element("circle", { cx: scale.x(trade.time), cy: scale.y(trade.price), r: trade.own ? 4 : 2.5, fill: trade.own ? "var(--accent)" : "none", stroke: trade.own ? "var(--text)" : "var(--soft)" },
    element("title", {}, `${trade.qty} at ${trade.price.toFixed(2)}${trade.own ? ", own" : ""}`));
}
