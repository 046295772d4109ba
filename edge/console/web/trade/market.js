// The market at a glance: what rose, fell and traded most, which symbols are in an auction or halted, and all of them.

import { $, cell, element, rows, say } from "/web/elements.js";
import { Feed } from "/web/trade/feed.js";
import { change, conditions, money, whole, words } from "/web/trade/words.js";

const TOP = 5;
let isDirty = false, isPaused = false;

const feed = new Feed(() => { isDirty = true; }, (state, text) => {
  document.body.dataset.feed = state;
  $("state").dataset.state = state;
  if ($("state").textContent !== text) $("state").textContent = text;
});

const link = (one) => element("td", {}, element("a", { href: `/trade#${encodeURIComponent(one.symbol)}`, title: one.name }, one.symbol));
const changed = (one) => { const { text, tone } = change(one); return element("td", { class: `num ${tone}` }, text); };

function top(id, found, line) {
  rows(id, found.slice(0, TOP).map(line));
  say(`${id}-note`, found.length ? "" : "None yet.");
}

function draw() {
  if (isDirty && !isPaused) {
    isDirty = false;
    const all = [...feed.symbols.values()].sort((a, b) => a.symbol < b.symbol ? -1 : 1), traded = all.filter((one) => one.last !== null);
    const moved = traded.toSorted((a, b) => change(b).part - change(a).part), mover = (one) => element("tr", {}, link(one), cell(money(one.last), "num"), changed(one));
    top("up", moved.filter((one) => change(one).part > 0), mover);
    top("down", moved.toReversed().filter((one) => change(one).part < 0), mover);
    top("active", traded.filter((one) => Number(one.volume)).sort((a, b) => b.volume * b.last - a.volume * a.last), (one) => element("tr", {}, link(one), cell(whole(one.volume), "num"), cell(money(one.volume * one.last), "num")));
    const counts = Map.groupBy(all, (one) => one.phase);
    rows("phases", [...counts].flatMap(([phase, found]) => [element("dt", {}, words(phase)), element("dd", {}, whole(found.length))]));
    const special = all.filter((one) => ["halted", "cancel_only", "volatility_auction"].includes(one.phase));
    say("special-note", special.length ? `Not trading: ${special.map((one) => `${one.symbol} (${words(one.phase)})`).join(", ")}` : "");
    drawAll(all);
  }
  setTimeout(() => requestAnimationFrame(draw), 200);
}

function drawAll(all) {
  const wanted = $("find").value.trim().toUpperCase(), shown = all.filter((one) => one.symbol.includes(wanted) || one.name.toUpperCase().includes(wanted));
  if (!$("all").contains(document.activeElement)) {
    rows("all", shown.map((one) => element("tr", {}, link(one), cell(one.name, "wide-only soft"), cell(money(one.last), "num"), changed(one), cell(money(one.bid || null), "num"), cell(money(one.ask || null), "num"),
      cell(one.bid && one.ask ? money(one.ask - one.bid) : "–", "num wide-only"), cell(whole(one.volume), "num"), element("td", { title: conditions(one) }, words(one.phase)))));
  }
  say("all-note", shown.length ? "" : "No symbol of this name.");
}

$("find").addEventListener("input", () => { isDirty = true; });
$("pause").addEventListener("click", () => {
  isPaused = !isPaused;
  isDirty = true;
  $("pause").setAttribute("aria-pressed", String(isPaused));
  $("pause").textContent = isPaused ? "Go on" : "Pause the numbers";
});
feed.start(null);
draw();
