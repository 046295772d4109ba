// The trading page: prices, the account and the ticket put together, the state of the connection, and the keyboard.

import { $, element, rows, say } from "/web/elements.js";
import { Account } from "/web/trade/account.js";
import { Candles, drawDepth, sorted } from "/web/trade/charts.js";
import { Feed } from "/web/trade/feed.js";
import { ask, loadSession, signIn } from "/web/trade/session.js";
import { choose, estimate, focusOn, openTicket } from "/web/trade/ticket.js";
import { PHASES, change, clock, conditions, money, whole } from "/web/trade/words.js";

const SHOWN = 12, TAPE = 18, WORST = ["live", "late", "gap", "resuming"];
let isPaused = false, isDirty = false, candles = null;
const states = { prices: ["resuming", "connecting"], account: ["resuming", "loading your account"] };

// The worse of the two connections is shown; old prices are grey then (trade.css).
function tellState(which) {
  return (state, text) => {
    states[which] = [state, text];
    const [worst, told] = Object.values(states).reduce((a, b) => WORST.indexOf(b[0]) > WORST.indexOf(a[0]) ? b : a);
    document.body.dataset.feed = states.prices[0];
    const pill = $("state");
    if (pill.textContent !== told) { pill.dataset.state = worst; pill.textContent = told; }
  };
}

const feed = new Feed(() => { isDirty = true; }, tellState("prices"));
const account = new Account(() => { isDirty = true; }, tellState("account"), (symbol) => feed.symbols.get(symbol)?.tick_size);
const row = () => feed.chosen && feed.symbols.get(feed.chosen.symbol);

// ---- what is drawn

function drawQuote(one) {
  const { text, tone } = change(one);
  $("name").textContent = one.name;
  $("last").textContent = money(one.last);
  $("change").textContent = one.last === null ? "no trades yet" : `${text} from ${money(one.reference)}`;
  $("change").className = `price ${tone}`;
  $("bands").textContent = conditions(one);
  const told = one.phase === "halted" && one.why ? `${PHASES.halted} ${one.why}` : PHASES[one.phase] ?? one.phase;
  if ($("phase").textContent !== told) {
    if ($("phase").dataset.phase) $("urgent").textContent = `${one.symbol}: ${told}`;
    $("phase").textContent = told;
    $("phase").dataset.phase = one.phase;
  }
  document.title = `${one.symbol} ${money(one.last)} · Open Outcry`;
}

function drawBook(view) {
  const bids = sorted(view.bids, true).slice(0, SHOWN), asks = sorted(view.asks, false).slice(0, SHOWN);
  const mine = new Set((account.now?.open ?? []).filter((one) => one.symbol === view.symbol && one.limit_price).map((one) => Number(one.limit_price)));
  const most = Math.max(1, ...[...bids, ...asks].map((level) => level[1]));
  const line = (side) => ([price, size]) => {
    const amount = element("td", { class: "num" }, whole(size));
    amount.style.setProperty("--fill", `${size / most * 100}%`);
    const isMine = mine.has(price);
    const pick = element("button", { type: "button", "data-price": price, "aria-label": `${side} ${money(price)}: use it as the limit` }, money(price));
    return element("tr", { class: `${side}${isMine ? " mine" : ""}` }, element("td", { class: side === "bid" ? "up" : "down" }, `${side}${isMine ? " • yours" : ""}`), element("td", { class: "num" }, pick), amount);
  };
  if (!$("book").contains(document.activeElement)) rows("book", [...asks.toReversed().map(line("ask")), ...bids.map(line("bid"))]);
  say("book-note", bids.length || asks.length ? "" : "The book is empty.");
}

function drawTape(view) {
  rows("tape", view.trades.slice(-TAPE).reverse().map((trade) => element("tr", {}, element("td", { class: "soft" }, clock(trade.t)),
    element("td", { class: `num ${{ B: "up", S: "down" }[trade.tks] || ""}` }, `${{ B: "▲ ", S: "▼ " }[trade.tks] || ""}${money(trade.p)}`), element("td", { class: "num" }, whole(trade.s)))));
  say("tape-note", view.trades.length ? "" : "No trades yet.");
}

function drawSymbols() {
  const list = $("symbol");
  if (list.options.length !== feed.symbols.size) list.replaceChildren(...[...feed.symbols.keys()].sort().map((symbol) => element("option", { value: symbol }, symbol)));
  if (feed.chosen && list.value !== feed.chosen.symbol && document.activeElement !== list) list.value = feed.chosen.symbol;
}

function draw() {
  if (isDirty && !isPaused) {
    isDirty = false;
    drawSymbols();
    const one = row();
    if (one) {
      drawQuote(one);
      candles ??= new Candles($("chart"));
      candles.show(feed.chosen);
      drawDepth(feed.chosen);
      drawBook(feed.chosen);
      drawTape(feed.chosen);
      estimate();
    }
  }
  setTimeout(() => requestAnimationFrame(draw), 100);
}

// ---- what is done

function pause() {
  isPaused = !isPaused;
  isDirty = true;
  $("pause").setAttribute("aria-pressed", String(isPaused));
  $("pause").textContent = isPaused ? "Go on" : "Pause the numbers";
}

const focusSide = (side) => { document.querySelector(`[name=side][value=${side}]`).click(); focusOn("qty"); };
const KEYS = {
  b: () => focusSide("buy"), s: () => focusSide("sell"), "/": () => $("symbol").focus(), x: () => account.cancelAll(), p: pause,
  o: () => ($("orders").querySelector("button") ?? $("cancel-all")).focus(),
};

function onKey(event) {
  if (event.key === "Escape" && $("ticket").contains(event.target)) event.target.blur();
  const isTyping = event.target.closest("input:not([type=radio]):not([type=checkbox]), select, textarea, dialog");
  if (!$("shortcuts").checked || isTyping || event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key]();
}

async function signOut() {
  await ask("POST", "/trade/sign-out");
  signIn();
}

async function start() {
  const session = await loadSession();
  const mayTrade = session.scopes.includes("trade");
  $("person").textContent = `account ${session.account}, key ${session.key_id.slice(0, 8)}…${mayTrade ? "" : " (read only)"}`;
  $("read-only").hidden = mayTrade;
  $("review").disabled = !mayTrade;
  await openTicket(row, () => account.now, () => { account.refresh(); focusOn("qty"); });
  account.start(mayTrade);
  feed.start(decodeURIComponent(location.hash.slice(1)));
  draw();
}

$("symbol").addEventListener("change", (event) => { feed.choose(event.target.value); history.replaceState(null, "", `#${encodeURIComponent(event.target.value)}`); });
$("book").addEventListener("click", (event) => { const price = event.target.dataset?.price; if (price && $("ticket").elements.limit_price) { choose("limit_price", price); focusOn("limit_price"); } });
$("pause").addEventListener("click", pause);
$("sign-out").addEventListener("click", signOut);
$("shortcuts").checked = localStorage.getItem("shortcuts") !== "off";
$("shortcuts").addEventListener("change", (event) => localStorage.setItem("shortcuts", event.target.checked ? "on" : "off"));
document.addEventListener("keydown", onKey);
start();
