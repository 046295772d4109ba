// The account as the exchange has it: orders, positions, fills. /stream says that something has changed; what it is now is read again, so no view is pieced together.

import { $, cell, element, rows, say } from "/web/elements.js";
import { confirmThat } from "/web/trade/dialogs.js";
import { FIELDS, field, fieldOf, mark, problemOf } from "/web/trade/fields.js";
import { ask } from "/web/trade/session.js";
import { clock, money, sentence, whole, words } from "/web/trade/words.js";

const REFRESH_MS = 120, PROBE_MS = 5_000, LATE_MS = 15_000, RETRY_MAX_MS = 10_000, FILLS_MAX = 100, DONE_MAX = 50;
const AMENDS = ["qty", "limit_price", "stop_price", "trail"];

export class Account {
  // onChange after it was read, onState with (state, words), tick(symbol): its step.
  constructor(onChange, onState, tick) {
    Object.assign(this, { onChange, onState, tick, now: null, fills: [], mayTrade: false, timer: null, reading: false, again: false, heard: 0, retryMs: 500 });
    setInterval(() => this.#probe(), PROBE_MS);
    $("cancel-all").addEventListener("click", () => this.cancelAll());
    $("amend-back").addEventListener("click", () => $("amend").close());
    $("amend-form").addEventListener("submit", (event) => this.#amend(event));
  }

  start(mayTrade) {
    this.mayTrade = mayTrade;
    this.#connect();
  }

  // ---- reading

  #connect() {
    const socket = this.socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/stream`);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => { this.heard = Date.now(); this.retryMs = 500; this.#listen(); };
    socket.onmessage = (event) => {
      this.heard = Date.now();
      const message = JSON.parse(new TextDecoder().decode(event.data));
      if (message.stream === "listening" && !socket.isListening) { socket.isListening = true; this.refresh(true); }
      if (message.stream === "trade_updates") this.#take(message.data);
      if (message.stream === "error") say("orders-note", sentence(message.data.error), true);
    };
    socket.onclose = () => {
      this.onState("resuming", "resuming: your orders' connection was lost");
      setTimeout(() => this.#connect(), this.retryMs * (0.5 + Math.random()));
      this.retryMs = Math.min(2 * this.retryMs, RETRY_MAX_MS);
    };
  }

  #listen() {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ action: "listen", data: { streams: ["trade_updates"] } }));
  }

  #probe() {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    this.#listen();
    if (Date.now() - this.heard > LATE_MS) this.onState("late", "late: nothing heard of your orders");
    if (Date.now() - this.heard > 3 * LATE_MS) this.socket.close();
  }

  #take(update) {
    const order = update.order, what = `${order.side} ${order.symbol}`;
    if (update.event === "fill" || update.event === "partial_fill") {
      this.fills.unshift({ ...update, id: update.execution_id, time: update.timestamp, symbol: order.symbol, side: order.side, order_id: order.id });
      tellNow(`Filled: ${what}, ${whole(update.qty)} at ${money(update.price)}. ${update.event === "fill" ? "The order is done." : "The rest waits."}`);
    } else if (["rejected", "order_cancel_rejected", "order_replace_rejected"].includes(update.event) || (update.reason && ["canceled", "expired"].includes(update.event) && update.reason !== "REQUESTED_BY_CUSTOMER"))
      tellNow(`${words(update.event)}: ${what}. ${sentence(update.reason_text ?? "")}`);
    else $("told").textContent = `${words(update.event)}: ${what}`;
    this.refresh();
  }

  // Soon, and once for many updates. whole: fills of the past too.
  refresh(isWhole = false) {
    this.isWhole ||= isWhole;
    this.timer ??= setTimeout(() => { this.timer = null; this.#read(); }, REFRESH_MS);
  }

  async #read() {
    if (this.reading) { this.again = true; return; }
    this.reading = true;
    const isWhole = this.isWhole;
    this.isWhole = false;
    try {
      const get = (path) => ask("GET", path, { isPoll: true });
      const [account, positions, open, done, fills] = await Promise.all([get("/v2/account"), get("/v2/positions"), get("/v2/orders?status=open&limit=500"), get(`/v2/orders?status=closed&limit=${DONE_MAX}`), isWhole ? get("/v2/account/activities/FILL?page_size=50") : null]);
      this.now = { account, positions, open, done };
      if (fills) {
        const known = new Set(this.fills.map((one) => one.id));
        for (const { execution_id: id, transaction_time: time, symbol, side, qty, price, order_id } of fills) if (!known.has(id)) this.fills.push({ id, time, symbol, side, qty, price, order_id });
        this.fills.sort((a, b) => b.time < a.time ? -1 : b.time > a.time ? 1 : 0);
      }
      this.fills.length = Math.min(this.fills.length, FILLS_MAX);
      this.#draw();
      this.onState("live", "live");
    } catch (error) {
      say("orders-note", `This is not up to date: ${error.message}`, true);
      this.onState("late", "late: your account cannot be read");
      setTimeout(() => this.refresh(isWhole), 1_000);
    }
    this.reading = false;
    if (this.again) { this.again = false; this.refresh(); }
    this.onChange();
  }

  // ---- drawing

  #draw() {
    const { account, positions, open, done } = this.now;
    const facts = { "Buying power": money(account.buying_power), Cash: money(account.cash), "Held for orders": money(account.cash_held), Worth: money(account.equity), Trading: account.trading_blocked ? "blocked" : "allowed" };
    rows("account", Object.entries(facts).flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
    keepFocus("orders", () => rows("orders", open.map((order) => this.#orderRow(order))));
    say("orders-note", open.length ? "" : "No open orders.");
    $("cancel-all").disabled = !open.length || !this.mayTrade;
    rows("positions", positions.map((one) => element("tr", {}, cell(one.symbol), cell(whole(one.qty), "num"), cell(whole(one.qty_available), "num"), cell(money(one.avg_entry_price), "num"), cell(money(one.current_price), "num"), cell(money(one.market_value), "num"),
      element("td", { class: `num ${Number(one.unrealized_pl) >= 0 ? "up" : "down"}` }, signed(one.unrealized_pl)))));
    say("positions-note", positions.length ? "" : "No positions.");
    rows("done", done.map((order) => element("tr", {}, cell(order.symbol), sideCell(order.side), cell(words(order.ord_type)), filled(order), cell(prices(order), "num"), cell(words(order.status)), cell(order.reject_reason ? words(order.reject_reason) : ""))));
    say("done-note", done.length ? "" : "No finished orders.");
    rows("fills", this.fills.map((one) => element("tr", {}, cell(clock(one.time)), cell(one.symbol), sideCell(one.side), cell(whole(one.qty), "num"), cell(money(one.price), "num"), cell(one.order_id.slice(-6)))));
    say("fills-note", this.fills.length ? "" : "No fills.");
  }

  #orderRow(order) {
    const what = `${order.side} ${whole(order.qty)} ${order.symbol}`;
    const button = (word, act) => element("button", { type: "button", class: "action", "data-key": `${word}-${order.id}`, "aria-label": `${word} ${what}`, onclick: act }, word);
    const buttons = this.mayTrade ? [button("Change", () => this.#openAmend(order)), button("Cancel", (event) => this.#cancel(order, event.currentTarget))] : [];
    return element("tr", { "data-order": order.client_order_id }, cell(order.symbol), sideCell(order.side), cell(words(order.ord_type)), filled(order), cell(prices(order), "num"), cell(order.expires_at ? `${order.expires_at.slice(0, 16).replace("T", " ")} UTC` : order.time_in_force), cell(words(order.status)), element("td", {}, ...buttons));
  }

  // ---- acting

  async #cancel(order, button) {
    button.disabled = true;
    try {
      await ask("DELETE", `/v2/orders/${order.id}`);
      $("told").textContent = `Asked to cancel: ${order.side} ${order.symbol}.`;
    } catch (error) {
      say("orders-note", sentence(error.message), true);
      tellNow(`Not canceled: ${error.message}`);
    }
    this.refresh();
  }

  cancelAll() {
    const count = this.now?.open.length ?? 0;
    if (!count || !this.mayTrade) return;
    confirmThat({
      title: "Cancel all open orders?", summary: `${count} open ${count === 1 ? "order" : "orders"} of every symbol.`, word: "Cancel all",
      act: async () => { await ask("DELETE", "/v2/orders"); this.refresh(); $("told").textContent = "Asked to cancel all open orders."; return true; },
    });
  }

  #openAmend(order) {
    const given = { qty: order.qty, limit_price: order.limit_price, stop_price: order.stop_price, trail: order.trail_price ?? order.trail_percent };
    this.amended = { order, given };
    $("amend-note").textContent = `${order.side} ${order.symbol}, ${words(order.ord_type)}. Fewer shares keep the place in the queue; another price or more shares lose it.`;
    $("amend-fields").replaceChildren(...AMENDS.filter((name) => given[name]).map((name) => field(name, true, given[name])));
    $("amend-fields").querySelector("[name=trail_unit]")?.closest(".field").remove();
    say("amend-problem", "");
    $("amend").showModal();
  }

  async #amend(event) {
    event.preventDefault();
    const form = $("amend-form"), { order, given } = this.amended, body = {};
    for (const name of AMENDS.filter((one) => form.elements[one])) {
      const value = form.elements[name].value.trim(), problem = problemOf(name, value, true, this.tick(order.symbol));
      if (!mark(form, name, problem) && problem) { say("amend-problem", problem, true); return; }
      if (problem) { form.elements[name].focus(); return; }
      if (value !== given[name]) body[name] = value;
    }
    if (!Object.keys(body).length) { say("amend-problem", "Nothing is changed yet.", true); return; }
    $("amend-send").disabled = true;
    try {
      await ask("PATCH", `/v2/orders/${order.id}`, { body });
      $("amend").close();
      $("told").textContent = `Changed: ${Object.entries(body).map(([name, value]) => `${FIELDS[name].title} ${value}`).join(", ")}.`;
    } catch (error) {
      const name = fieldOf(error, form);
      if (!name || !mark(form, name, sentence(error.message))) say("amend-problem", sentence(error.message), true);
    }
    $("amend-send").disabled = false;
    this.refresh();
  }
}

const signed = (value) => `${Number(value) >= 0 ? "+" : "−"}${money(Math.abs(Number(value)))}`;
const filled = (order) => cell(`${whole(order.filled_qty)} / ${whole(order.qty)}`, "num");
const prices = (order) => [order.limit_price && money(order.limit_price), order.stop_price && `stop ${money(order.stop_price)}`, order.trail_price && `trail ${money(order.trail_price)}`, order.trail_percent && `trail ${order.trail_percent} %`].filter(Boolean).join(", ") || "market";
const sideCell = (name) => element("td", { class: name === "buy" ? "up" : "down" }, element("span", { "aria-hidden": "true" }, name === "buy" ? "▲ " : "▼ "), name);

function tellNow(text) {
  $("urgent").textContent = sentence(text);
}

// A row that is drawn anew keeps the keyboard's focus.
function keepFocus(id, draw) {
  const key = $(id).contains(document.activeElement) ? document.activeElement.dataset.key : "";
  draw();
  if (key) ([...$(id).querySelectorAll("[data-key]")].find((one) => one.dataset.key === key) ?? $("cancel-all")).focus();
}
