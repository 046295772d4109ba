// Prices: one picture over HTTP, then the public WebSocket from the sequence of that picture on, so no trade is missed or doubled.
//
// The state is one of: live; late (open, but nothing was heard for LATE_MS, though a heartbeat comes each second; or the exchange's log cannot be read);
// resuming (connecting, or loading the picture); gap (the server has told that trades are lost, or a sequence is missing: the picture is loaded again).

const MINUTE_MS = 60_000, BARS_MAX = 480, TRADES_MAX = 200, LOOK_MS = 500, LATE_MS = 3_000, MUTE_MS = 6_000, RETRY_MAX_MS = 10_000;

export const startOf = (time) => Math.floor(Date.parse(time) / MINUTE_MS) * MINUTE_MS;

export class Feed {
  // onChange is called after anything has changed, onState with (state, words).
  constructor(onChange, onState) {
    Object.assign(this, { onChange, onState, symbols: new Map(), chosen: null, state: "", retryMs: 500, heard: 0, socket: null, loading: 0, problem: "" });
    setInterval(() => this.#look(), LOOK_MS);
  }

  start(wanted) {
    this.wanted = wanted;
    this.#connect();
  }

  #tell(state, text) {
    this.state = state;
    this.onState(state, text);
  }

  #send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  // A connection on which nothing is heard is not taken for a quiet market. It may take minutes to close, so it is not waited for.
  #look() {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    const age = Date.now() - this.heard;
    if (age > MUTE_MS) {
      this.socket.onclose = this.socket.onmessage = null;
      this.socket.close();
      this.#lost("resuming: the connection was mute");
    } else if (age > LATE_MS) this.#tell("late", `late: nothing heard for ${Math.round(age / 1_000)} s`);
  }

  #lost(text) {
    this.#tell("resuming", text);
    setTimeout(() => this.#connect(), this.retryMs * (0.5 + Math.random()));
    this.retryMs = Math.min(2 * this.retryMs, RETRY_MAX_MS);
  }

  #heartbeat(message) {
    if (!message.live) this.#tell("late", "late: the exchange's log cannot be read");
    else if (this.state === "late") this.#tell("live", "live");
  }

  #connect() {
    this.#tell("resuming", "connecting");
    const socket = this.socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/public-prices`);
    socket.onopen = () => {
      this.heard = Date.now();
      this.retryMs = 500;
      this.#send({ action: "subscribe", trades: ["*"], quotes: ["*"], statuses: ["*"], lulds: ["*"], imbalances: ["*"], heartbeats: true });
      this.refresh();
    };
    socket.onmessage = (event) => {
      this.heard = Date.now();
      for (const message of JSON.parse(event.data)) this.#take(message);
      this.onChange();
    };
    socket.onclose = () => this.#lost("resuming: the connection was lost");
  }

  async refresh() {
    try {
      for (const row of await picture("/public/prices")) this.symbols.set(row.symbol, row);
      const wanted = this.chosen?.symbol ?? this.wanted;
      if (this.wanted === null) this.#tell("live", "live");
      else await this.choose(this.symbols.has(wanted) ? wanted : this.symbols.keys().next().value);
    } catch (error) {
      this.#failed(error);
    }
    this.onChange();
  }

  async choose(symbol) {
    const number = ++this.loading;
    if (this.chosen && this.chosen.symbol !== symbol) this.#send({ action: "unsubscribe", orderbooks: [this.chosen.symbol] });
    try {
      const found = await picture(`/public/prices/${encodeURIComponent(symbol)}`);
      if (number !== this.loading) return;
      this.chosen = viewOf(symbol, found);
      this.symbols.set(symbol, { ...this.symbols.get(symbol), ...found, bars: null, trades: null, orderbook: null });
      // the subscription begins with the whole book again; trades between the HTTP answer and now come again and are told apart by seq
      this.#send({ action: "unsubscribe", orderbooks: [symbol] });
      this.#send({ action: "subscribe", orderbooks: [symbol], resume: { [symbol]: this.chosen.seq } });
      if (this.socket?.readyState === WebSocket.OPEN) this.#tell("live", "live");
    } catch (error) {
      this.#failed(error);
    }
    this.onChange();
  }

  #failed(error) {
    this.#tell("resuming", `resuming: ${error.message}`);
    this.socket?.close();
  }

  #gap(text) {
    this.#tell("gap", text);
    this.choose(this.chosen.symbol);
  }

  #take(message) {
    const row = this.symbols.get(message.S), mine = this.chosen?.symbol === message.S ? this.chosen : null;
    HANDLERS[message.T]?.(message, row, mine);
    if (message.T === "t" && mine && message.seq > mine.seq) {
      if (mine.seq > 0 && message.seq > mine.seq + 1) { this.#gap("gap: trades are missing, loading them"); return; }
      mine.seq = message.seq;
      mine.trades.push(message);
      if (mine.trades.length > TRADES_MAX) mine.trades.splice(0, TRADES_MAX / 2);
      addToBars(mine.bars, message);
    } else if (message.T === "gap" && mine) this.#gap(`gap: ${message.missing} trades are missing, loading them`);
    else if (message.T === "heartbeat") this.#heartbeat(message);
    else if (message.T === "error") this.problem = message.msg;
  }
}

async function picture(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`prices cannot be loaded (status ${response.status})`);
  return response.json();
}

function viewOf(symbol, found) {
  const view = { symbol, bars: [], trades: [], bids: new Map(), asks: new Map(), seq: 0, fresh: true };
  for (const bar of found.bars) view.bars.push({ start: startOf(bar.t), o: bar.o, h: bar.h, l: bar.l, c: bar.c, v: bar.v });
  const closed = view.bars.at(-1)?.start ?? 0;
  for (const trade of found.trades) {
    view.seq = trade.seq;
    view.trades.push(trade);
    if (startOf(trade.t) > closed) addToBars(view.bars, trade);
  }
  for (const level of found.orderbook.b) view.bids.set(level.p, level.s);
  for (const level of found.orderbook.a) view.asks.set(level.p, level.s);
  return view;
}

function addToBars(bars, trade) {
  const start = startOf(trade.t);
  let bar = bars.at(-1);
  if (!bar || bar.start < start) {
    bar = { start, o: trade.p, h: trade.p, l: trade.p, c: trade.p, v: 0 };
    bars.push(bar);
    if (bars.length > BARS_MAX) bars.shift();
  } else if (bar.start > start) return;
  bar.h = Math.max(bar.h, trade.p);
  bar.l = Math.min(bar.l, trade.p);
  bar.c = trade.p;
  bar.v += trade.s;
}

function setLevels(side, levels) {
  for (const level of levels) {
    if (level.s) side.set(level.p, level.s);
    else side.delete(level.p);
  }
}

const AUCTIONS = (phase) => phase.endsWith("auction") || phase === "pre_open";
const HANDLERS = {
  t(message, row) { if (row) { row.last = message.p; row.volume = Number(row.volume) + message.s; } },
  x(message, row, mine) {  // a trade that never happened; the chart keeps it, as bars do
    if (row) row.volume = Number(row.volume) - message.s;
    if (mine) mine.trades = mine.trades.filter((trade) => trade.i !== message.i);
  },
  q(message, row) { if (row) { row.bid = message.bp; row.ask = message.ap; } },
  s(message, row) { if (row) { row.phase = message.phase; row.why = message.rm; if (!AUCTIONS(message.phase)) { row.auction_price = null; row.imbalance = null; } } },
  l(message, row) { if (row) { row.upper_band = message.u; row.lower_band = message.d; } },
  i(message, row) { if (row) { row.auction_price = message.p; row.auction_size = message.s; row.imbalance = message.imbalance; row.imbalance_side = message.side; } },
  o(message, row, mine) {
    if (!mine) return;
    if (message.r) { mine.bids.clear(); mine.asks.clear(); }
    setLevels(mine.bids, message.b);
    setLevels(mine.asks, message.a);
  },
};
