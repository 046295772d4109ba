"use strict";
// Live prices: one picture over HTTP, then the public WebSocket from the sequence of that picture on, so no trade is missed or doubled.

const LEVELS = 10, TRADES = 14, MINUTE_MS = 60_000, FINE_MS = 2_000, BARS = 60;
const PHASES = {
  closed: "market closed", pre_open: "collecting orders before the opening", opening_auction: "opening auction", continuous: "trading",
  closing_auction: "closing auction", post_close: "market closed for today", halted: "trading halted",
  cancel_only: "trading halted, orders can be canceled", volatility_auction: "volatility auction",
};
const MINUTES_MIN = 5;       // with fewer minutes than this the chart shows candles of FINE_MS
const $ = (id) => document.getElementById(id);
const symbols = new Map();   // symbol -> summary row, kept current
let chosen = null;           // {symbol, bars, trades, bids, asks, seq} of the symbol in view
let socket = null, retryMs = 500, dirty = false, loading = 0, heardAt = 0;
const MUTE_MS = 5_000;       // a heartbeat comes each second

const money = (value) => value == null ? "–" : Number(value).toFixed(2);
const whole = (value) => value == null ? "–" : Number(value).toLocaleString("en-US");
const clock = (time) => new Date(time).toLocaleTimeString("en-GB");
const startOf = (time, interval) => Math.floor(Date.parse(time) / interval) * interval;

function element(name, attributes = {}, ...children) {
  const svg = ["line", "rect", "text", "path", "g", "title"].includes(name);
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

function state(kind, text) {
  const pill = $("state");
  if (pill.textContent !== text) { pill.dataset.state = kind; pill.textContent = text; }
}

async function get(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path} answered ${response.status}`);
  return response.json();
}

// ---- what arrives

function addToBars(bars, interval, trade) {
  const start = startOf(trade.t, interval);
  let bar = bars[bars.length - 1];
  if (!bar || bar.start < start) {
    bar = { start, o: trade.p, h: trade.p, l: trade.p, c: trade.p, v: 0 };
    bars.push(bar);
    if (bars.length > 4 * BARS) bars.shift();
  } else if (bar.start > start) return;
  bar.h = Math.max(bar.h, trade.p); bar.l = Math.min(bar.l, trade.p); bar.c = trade.p; bar.v += trade.s;
}

const handlers = {
  t(message) {
    const row = symbols.get(message.S);
    if (row) { row.last = message.p; row.volume = Number(row.volume) + message.s; }
    if (!chosen || chosen.symbol !== message.S || message.seq <= chosen.seq) return;
    chosen.seq = message.seq;
    chosen.trades.push(message);
    if (chosen.trades.length > 200) chosen.trades.splice(0, 100);
    addToBars(chosen.bars, MINUTE_MS, message);
    addToBars(chosen.fine, FINE_MS, message);
  },
  x(message) {  // a trade that never happened; the chart keeps it, as bars do
    const row = symbols.get(message.S);
    if (row) row.volume = Number(row.volume) - message.s;
    if (chosen?.symbol === message.S) chosen.trades = chosen.trades.filter((trade) => trade.i !== message.i);
  },
  q(message) {
    const row = symbols.get(message.S);
    if (row) { row.bid = message.bp; row.ask = message.ap; }
  },
  s(message) {
    const row = symbols.get(message.S);
    if (!row) return;
    row.phase = message.phase;
    if (!message.phase.endsWith("auction") && message.phase !== "pre_open") row.auction_price = null;
  },
  l(message) {
    const row = symbols.get(message.S);
    if (row) { row.upper_band = message.u; row.lower_band = message.d; }
  },
  i(message) {
    const row = symbols.get(message.S);
    if (row) { row.auction_price = message.p; row.auction_size = message.s; }
  },
  o(message) {
    if (!chosen || chosen.symbol !== message.S) return;
    if (message.r) { chosen.bids.clear(); chosen.asks.clear(); }
    for (const [side, levels] of [[chosen.bids, message.b], [chosen.asks, message.a]])
      for (const level of levels) {
        if (level.s) side.set(level.p, level.s);
        else side.delete(level.p);
      }
  },
  heartbeat(message) { state(message.live ? "live" : "lost", message.live ? "live" : "prices may be old: the exchange's log cannot be read"); },
  error(message) { state("lost", `server says: ${message.msg}`); },
};

function connect() {
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/public-prices`);
  socket.onopen = () => {
    retryMs = 500;
    state("live", "live");
    send({ action: "subscribe", trades: ["*"], quotes: ["*"], statuses: ["*"], lulds: ["*"], imbalances: ["*"], heartbeats: true });
    refresh();  // what was missed while away
  };
  heardAt = Date.now();
  socket.onmessage = (event) => {
    heardAt = Date.now();
    for (const message of JSON.parse(event.data)) handlers[message.T]?.(message);
    dirty = true;
  };
  socket.onclose = lost;
}

function lost() {
  state("lost", "connection lost, trying again");
  setTimeout(connect, retryMs * (0.5 + Math.random()));  // not all pages at once
  retryMs = Math.min(2 * retryMs, 10_000);
}

function dropIfMute() {
  if (socket?.readyState !== WebSocket.OPEN || Date.now() - heardAt < MUTE_MS) return;
  socket.onclose = socket.onmessage = null;  // it may take long to close
  socket.close();
  lost();
}

function send(message) {
  if (socket && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

async function refresh() {
  try {
    for (const row of await get("/public/prices")) symbols.set(row.symbol, row);
    say("symbols-note", symbols.size ? "" : "No symbols are traded here.");
    const wanted = chosen?.symbol || decodeURIComponent(location.hash.slice(1)) || symbols.keys().next().value;
    if (symbols.has(wanted)) await choose(wanted);
  } catch (error) {
    say("symbols-note", `Prices cannot be loaded: ${error.message}`, true);
  }
  dirty = true;
}

async function choose(symbol) {
  const number = ++loading;
  if (chosen && chosen.symbol !== symbol) send({ action: "unsubscribe", orderbooks: [chosen.symbol] });
  try {
    const picture = await get(`/public/prices/${encodeURIComponent(symbol)}`);
    if (number !== loading) return;  // another symbol was chosen meanwhile
    const view = { symbol, bars: [], fine: [], trades: [], bids: new Map(), asks: new Map(), seq: 0 };
    for (const bar of picture.bars) view.bars.push({ start: startOf(bar.t, MINUTE_MS), o: bar.o, h: bar.h, l: bar.l, c: bar.c, v: bar.v });
    const closed = view.bars.length ? view.bars[view.bars.length - 1].start : 0;
    for (const trade of picture.trades) {
      view.seq = trade.seq;
      view.trades.push(trade);
      addToBars(view.fine, FINE_MS, trade);
      if (startOf(trade.t, MINUTE_MS) > closed) addToBars(view.bars, MINUTE_MS, trade);
    }
    for (const level of picture.orderbook.b) view.bids.set(level.p, level.s);
    for (const level of picture.orderbook.a) view.asks.set(level.p, level.s);
    chosen = view;
    history.replaceState(null, "", `#${encodeURIComponent(symbol)}`);
    // the subscription begins with the whole book again; trades between the HTTP answer and now come again and are told apart by seq
    send({ action: "unsubscribe", orderbooks: [symbol] });
    send({ action: "subscribe", orderbooks: [symbol], resume: { [symbol]: view.seq } });
  } catch (error) {
    say("chart-note", `${symbol} cannot be loaded: ${error.message}`, true);
  }
  dirty = true;
}

// ---- what is drawn

function change(row) {
  if (row.last == null) return ["–", "soft"];
  const part = (row.last - row.reference) / row.reference * 100;
  return [`${part >= 0 ? "+" : "−"}${Math.abs(part).toFixed(2)} %`, part >= 0 ? "up" : "down"];
}

function drawSymbols() {
  const body = $("symbols");
  for (const row of symbols.values()) {
    let line = document.getElementById(`row-${row.symbol}`);
    if (!line) {
      const button = element("button", { type: "button", title: row.name }, row.symbol);
      button.addEventListener("click", () => choose(row.symbol));
      line = element("tr", { id: `row-${row.symbol}` }, element("td", {}, button));
      for (let i = 0; i < 5; i++) line.append(element("td", { class: "num" }));
      body.append(line);
    }
    line.setAttribute("aria-selected", String(chosen?.symbol === row.symbol));
    const [text, tone] = change(row);
    const values = [money(row.last), text, money(row.bid || null), money(row.ask || null), whole(row.volume)];
    values.forEach((value, i) => { line.cells[i + 1].textContent = value; });
    line.cells[2].className = `num ${tone}`;
  }
}

function drawHead(row) {
  $("symbol-title").textContent = `${row.symbol} · ${row.name}`;
  $("last").textContent = money(row.last);
  const [text, tone] = change(row);
  $("change").textContent = row.last == null ? "" : `${text} from the reference ${money(row.reference)}`;
  $("change").className = tone;
  const bands = row.upper_band ? `, between ${money(row.lower_band)} and ${money(row.upper_band)}` : "";
  const auction = row.auction_price ? `, would trade ${whole(row.auction_size)} at ${money(row.auction_price)}` : "";
  $("phase").textContent = `${PHASES[row.phase] || row.phase}${row.phase === "continuous" ? bands : auction}`;
}

function drawChart() {
  const fine = chosen.bars.length < MINUTES_MIN;
  const svg = $("chart"), bars = (fine ? chosen.fine : chosen.bars).slice(-BARS);
  svg.replaceChildren();
  svg.style.display = bars.length ? "" : "none";
  if (!bars.length) { say("chart-note", "No trades yet. The chart begins with the first one."); return; }
  say("chart-note", "");
  const width = svg.clientWidth || 600, height = svg.clientHeight || 360, right = 64, bottom = 22, volumeHeight = 50;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  let low = Math.min(...bars.map((b) => b.l)), high = Math.max(...bars.map((b) => b.h));
  const pad = Math.max((high - low) * 0.08, 0.02);
  low -= pad; high += pad;
  const plot = height - bottom - volumeHeight - 8;
  const y = (price) => 6 + (high - price) / (high - low) * (plot - 6);
  const step = Math.min((width - right) / bars.length, 26), most = Math.max(...bars.map((b) => b.v), 1);
  for (let i = 0; i <= 4; i++) {
    const price = low + (high - low) * i / 4;
    svg.append(element("line", { x1: 0, x2: width - right, y1: y(price), y2: y(price), stroke: "var(--line)" }),
      element("text", { x: width - right + 6, y: y(price) + 4, fill: "var(--soft)", "font-size": 11 }, price.toFixed(2)));
  }
  bars.forEach((bar, i) => {
    const tone = bar.c >= bar.o ? "var(--up)" : "var(--down)", x = i * step + step / 2, body = Math.max(step * 0.6, 1.5);
    svg.append(element("g", {},
      element("title", {}, `${clock(bar.start)}  open ${money(bar.o)}  high ${money(bar.h)}  low ${money(bar.l)}  close ${money(bar.c)}  volume ${whole(bar.v)}`),
      element("line", { x1: x, x2: x, y1: y(bar.h), y2: y(bar.l), stroke: tone }),
      element("rect", { x: x - body / 2, y: Math.min(y(bar.o), y(bar.c)), width: body, height: Math.max(Math.abs(y(bar.o) - y(bar.c)), 1.5), fill: tone }),
      element("rect", { x: x - body / 2, y: height - bottom - bar.v / most * volumeHeight, width: body, height: bar.v / most * volumeHeight, fill: tone, opacity: 0.35 })));
    if (i % Math.ceil(64 / step) === 0)
      svg.append(element("text", { x: i ? x : 0, y: height - 6, fill: "var(--soft)", "font-size": 11, "text-anchor": i ? "middle" : "start" },
        clock(bar.start).slice(0, fine ? 8 : 5)));
  });
  svg.setAttribute("aria-label", `${chosen.symbol} by ${fine ? "two seconds" : "minute"}, ${bars.length} candles, last ${money(bars[bars.length - 1].c)}`);
}

function drawBook() {
  const bids = [...chosen.bids].sort((a, b) => b[0] - a[0]).slice(0, LEVELS);
  const asks = [...chosen.asks].sort((a, b) => a[0] - b[0]).slice(0, LEVELS).reverse();
  const most = Math.max(1, ...bids.map((l) => l[1]), ...asks.map((l) => l[1]));
  const line = (side, [price, size]) => {
    const cell = element("td", { class: "num" }, whole(size));
    cell.style.setProperty("--fill", `${size / most * 100}%`);
    return element("tr", { class: side }, element("td", { class: side === "bid" ? "up" : "down" }, side), element("td", { class: "num" }, money(price)), cell);
  };
  $("book").replaceChildren(...asks.map((l) => line("ask", l)), ...bids.map((l) => line("bid", l)));
  say("book-note", bids.length || asks.length ? "" : "The book is empty.");
}

function drawTrades() {
  const rows = chosen.trades.slice(-TRADES).reverse().map((trade) => element("tr", {},
    element("td", { class: "soft" }, clock(trade.t)),
    element("td", { class: `num ${{ B: "up", S: "down" }[trade.tks] || ""}` }, money(trade.p)),
    element("td", { class: "num" }, whole(trade.s))));
  $("trades").replaceChildren(...rows);
  say("trades-note", rows.length ? "" : "No trades yet.");
}

function draw() {
  if (dirty) {
    dirty = false;
    drawSymbols();
    const row = chosen && symbols.get(chosen.symbol);
    if (row) { drawHead(row); drawChart(); drawBook(); drawTrades(); }
  }
  setTimeout(() => requestAnimationFrame(draw), 100);  // ten pictures a second are enough for eyes
}

addEventListener("resize", () => { dirty = true; });
connect();
setInterval(dropIfMute, 1_000);
draw();
