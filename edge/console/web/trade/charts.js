// Candles with volume by Lightweight Charts (a global of its own script), and the depth of the book. Each has a sentence for who does not see it.

import { $, element, rows } from "/web/elements.js";
import { minute, money, whole } from "/web/trade/words.js";

const LEVELS = 20, TABLE_ROWS = 60;

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const second = (bar) => bar.start / 1_000;

export class Candles {
  constructor(place) {
    const { CandlestickSeries, HistogramSeries, createChart } = window.LightweightCharts;
    this.place = place;
    // the attribution is in the page's own words: the library's logo needs an inline style, which the page's policy forbids
    this.chart = createChart(place, { autoSize: true, layout: { attributionLogo: false }, timeScale: { timeVisible: true, tickMarkFormatter: minute }, localization: { timeFormatter: minute } });
    this.prices = this.chart.addSeries(CandlestickSeries, { borderVisible: false });
    this.volumes = this.chart.addSeries(HistogramSeries, { priceScaleId: "volume", priceFormat: { type: "volume" }, priceLineVisible: false, lastValueVisible: false });
    this.chart.priceScale("volume").applyOptions({ scaleMargins: { top: 0.8, bottom: 0 } });
    this.prices.priceScale().applyOptions({ scaleMargins: { top: 0.06, bottom: 0.24 } });
    this.bars = [];
    this.at = null;
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { this.#paint(); this.#fill(); });
    place.addEventListener("keydown", (event) => this.#move(event));
    this.#paint();
  }

  #paint() {
    this.up = colour("--up");
    this.down = colour("--down");
    const line = { color: colour("--line") };
    this.chart.applyOptions({
      layout: { background: { color: colour("--card") }, textColor: colour("--soft"), fontFamily: "system-ui, sans-serif" }, grid: { vertLines: line, horzLines: line },
      rightPriceScale: { borderColor: line.color }, timeScale: { borderColor: line.color },
    });
    this.prices.applyOptions({ upColor: this.up, downColor: this.down, wickUpColor: this.up, wickDownColor: this.down });
  }

  #candle(bar) { return { time: second(bar), open: bar.o, high: bar.h, low: bar.l, close: bar.c }; }
  #volume(bar) { return { time: second(bar), value: bar.v, color: `${bar.c >= bar.o ? this.up : this.down}66` }; }

  #fill() {
    this.prices.setData(this.bars.map((bar) => this.#candle(bar)));
    this.volumes.setData(this.bars.map((bar) => this.#volume(bar)));
  }

  // The bars of the view; all of them where it is a new one.
  show(view) {
    this.bars = view.bars;
    if (view.fresh) {
      view.fresh = false;
      this.#fill();
      this.chart.timeScale().scrollToRealTime();
    } else if (view.bars.length) {
      this.prices.update(this.#candle(view.bars.at(-1)));
      this.volumes.update(this.#volume(view.bars.at(-1)));
    }
    const last = view.bars.at(-1);
    const label = last ? `${view.symbol}: ${view.bars.length} candles of a minute, from ${minute(second(view.bars[0]))}. Last: ${told(last)}` : `${view.symbol}: no trades yet`;
    if (this.place.getAttribute("aria-label") !== label) this.place.setAttribute("aria-label", label);
    if ($("candle-rows").closest("details").open) {
      const made = view.bars.slice(-TABLE_ROWS).reverse().map((bar) => element("tr", {}, element("td", {}, minute(second(bar))), ...[bar.o, bar.h, bar.l, bar.c].map((one) => element("td", { class: "num" }, money(one))), element("td", { class: "num" }, whole(bar.v))));
      rows("candle-rows", made);
    }
  }

  #move(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || !this.bars.length) return;
    event.preventDefault();
    const last = this.bars.length - 1;
    this.at = Math.min(Math.max((this.at ?? last + 1) + step, 0), last);
    const bar = this.bars[this.at];
    $("told").textContent = $("cursor").textContent = told(bar);
    this.chart.setCrosshairPosition(bar.c, second(bar), this.prices);
  }
}

const told = (bar) => `${minute(second(bar))}: open ${money(bar.o)}, high ${money(bar.h)}, low ${money(bar.l)}, close ${money(bar.c)}, volume ${whole(bar.v)}`;

export const sorted = (side, isBid) => [...side].sort((a, b) => isBid ? b[0] - a[0] : a[0] - b[0]).slice(0, LEVELS);

// Shares that can be bought or sold up to each price, as two stairs that meet at the spread.
export function drawDepth(view) {
  const svg = $("depth"), bids = stairs(sorted(view.bids, true)), asks = stairs(sorted(view.asks, false));
  const label = bids.length || asks.length ? `Depth: ${side(bids, "buy", "down to")}, ${side(asks, "sell", "up to")}` : "Depth: the book is empty";
  svg.setAttribute("aria-label", label);
  $("depth-note").textContent = label.slice("Depth: ".length);
  if (!bids.length && !asks.length) { svg.replaceChildren(); return; }
  const prices = [...bids, ...asks].map((one) => one.price), most = Math.max(...[...bids, ...asks].map((one) => one.total));
  const low = Math.min(...prices), high = Math.max(...prices), width = 1_000, height = 200;
  const x = (price) => high > low ? (price - low) / (high - low) * width : width / 2;
  const y = (total) => height - total / most * (height - 8);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren(...[["bids", bids, 0], ["asks", asks, width]].filter(([, steps]) => steps.length).map(([name, steps, edge]) => {
    let path = `M ${x(steps[0].price)} ${height}`;
    for (const step of steps) path += ` H ${x(step.price)} V ${y(step.total)}`;
    return element("path", { class: name, d: `${path} H ${edge} V ${height} Z`, "vector-effect": "non-scaling-stroke" });
  }));
}

function stairs(levels) {
  let total = 0;
  return levels.map(([price, size]) => { total += size; return { price, total }; });
}

const side = (steps, word, towards) => steps.length ? `${whole(steps.at(-1).total)} to ${word} ${towards} ${money(steps.at(-1).price)}` : `nobody wants to ${word}`;
