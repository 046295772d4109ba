// The order ticket: fields by type, checked before anything is sent, then a question, then one order. The client's id is made before the first send, so
// sending again, after a double click or where the outcome is not known, can never make a second order.

import { $, element, say } from "/web/elements.js";
import { confirmThat } from "/web/trade/dialogs.js";
import { FIELDS, field, fieldOf, mark, problemOf } from "/web/trade/fields.js";
import { ask } from "/web/trade/session.js";
import { money, sentence, whole } from "/web/trade/words.js";

const OPTIONS = ["display_qty", "min_qty", "hidden", "post_only", "post_only_slide"];
const LEGS = {
  simple: {}, oco: { "stop_loss.stop_price": true, "stop_loss.limit_price": false }, oto: { "take_profit.limit_price": false, "stop_loss.stop_price": false, "stop_loss.limit_price": false },
  bracket: { "take_profit.limit_price": true, "stop_loss.stop_price": true, "stop_loss.limit_price": false },
};
const form = $("ticket");
let forms = null, market = null, account = null, afterwards = () => {};

const chosen = (list, word) => forms[list].find((one) => one.word === word);
const clientId = () => [...crypto.getRandomValues(new Uint8Array(16))].map((one) => one.toString(16).padStart(2, "0")).join("");

// market(): the row of the symbol in view; account(): the account; done: called after an order was taken.
export async function openTicket(marketNow, accountNow, done) {
  [market, account, afterwards] = [marketNow, accountNow, done];
  forms = await ask("GET", "/trade/order-forms");
  form.elements.type.append(...forms.types.map((one) => element("option", { value: one.word }, one.title)));
  form.elements.order_class.append(...forms.classes.map((one) => element("option", { value: one.word }, one.title)));
  form.addEventListener("change", (event) => { if (["type", "time_in_force", "order_class"].includes(event.target.name)) draw(); estimate(); });
  form.addEventListener("input", (event) => { mark(form, event.target.name, ""); estimate(); });
  form.addEventListener("submit", review);
  draw();
  estimate();
}

export function choose(name, value) {
  form.elements[name].value = value;
  form.dispatchEvent(new Event("input"));
  estimate();
}

export const focusOn = (name) => (form.elements[name] instanceof RadioNodeList ? form.querySelector("[name=side]:checked") : form.elements[name])?.focus();

// ---- which fields there are

function draw() {
  const kept = Object.fromEntries(new FormData(form));
  const type = chosen("types", form.elements.type.value), list = chosen("classes", form.elements.order_class.value);
  const times = forms.times.filter((one) => type.times.includes(one.word) && (list.word === "simple" || one.in_lists));
  const time = times.find((one) => one.word === kept.time_in_force) ?? times[0];
  form.elements.time_in_force.replaceChildren(...times.map((one) => element("option", { value: one.word, selected: one === time }, one.title)));
  for (const one of form.elements.order_class.options) one.disabled = !chosen("classes", one.value).types.includes(type.word);
  if (!list.types.includes(type.word)) form.elements.order_class.value = "simple";
  $("type-meaning").textContent = type.meaning;
  $("time-meaning").textContent = time?.meaning ?? "";
  $("class-meaning").textContent = chosen("classes", form.elements.order_class.value).meaning;
  const own = Object.entries(type.fields).filter(([name]) => !OPTIONS.includes(name));
  const options = OPTIONS.filter((name) => name.startsWith("post_only") ? "post_only" in type.fields && !time?.without.includes("post_only") : name in type.fields && !time?.without.includes(name));
  fill("fields", [["qty", true], ...own], kept);
  fill("time-fields", time?.expires ? [["expire_time", true]] : [], kept);
  fill("leg-fields", Object.entries(LEGS[form.elements.order_class.value]), kept);
  fill("options", [...options.map((name) => [name, false]), ["self_match_prevention_id", false], ["self_match_prevention_instruction", false]], kept);
}

function fill(id, wanted, kept) {
  const names = wanted.map(([name]) => name).join();
  if ($(id).dataset.names === names) return;
  $(id).dataset.names = names;
  $(id).replaceChildren(...wanted.map(([name, isRequired]) => field(name, isRequired, kept[name] ?? "")));
}

// ---- what is asked for

function problems() {
  const type = chosen("types", form.elements.type.value), needs = { qty: true, ...type.fields, expire_time: true, ...LEGS[form.elements.order_class.value] };
  const found = [];
  for (const name of Object.keys(FIELDS)) {
    const input = form.elements[name];
    if (!input || !["text", "datetime-local"].includes(input.type)) continue;
    const text = problemOf(name, input.value.trim(), Boolean(needs[name]), market()?.tick_size);
    mark(form, name, text);
    if (text) found.push(name);
  }
  return found;
}

function orderOf() {
  const given = Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, value.trim()]).filter(([, value]) => value));
  const order = { symbol: market().symbol, side: given.side, type: given.type, time_in_force: given.time_in_force, qty: given.qty };
  if (given.order_class !== "simple") order.order_class = given.order_class;
  if (given.trail) order[given.trail_unit] = given.trail;
  for (const name of Object.keys(FIELDS)) {
    if (name in order || name === "trail" || !(name in given)) continue;
    const [leg, part] = name.split(".");
    if (part) order[leg] = { ...order[leg], [part]: given[name] };
    else if (FIELDS[name].kind === "check") order[name] = true;
    else if (FIELDS[name].kind === "moment") order[name] = new Date(given[name]).toISOString();
    else order[name] = given[name];
  }
  return order;
}

function inWords(order) {
  const type = chosen("types", order.type), parts = [`${order.side === "buy" ? "▲ Buy" : "▼ Sell"} ${whole(order.qty)} ${order.symbol}, ${type.title.toLowerCase()}`];
  for (const name of ["limit_price", "stop_price", "trail_price", "trail_percent", "limit_offset", "peg_price_type", "peg_offset", "expire_time", "display_qty", "min_qty"])
    if (order[name]) parts.push(`${name.replaceAll("_", " ")} ${order[name]}`);
  for (const name of ["hidden", "post_only", "post_only_slide"]) if (order[name]) parts.push(name.replaceAll("_", " "));
  parts.push(chosen("times", order.time_in_force).title.toLowerCase());
  if (order.take_profit) parts.push(`take profit at ${order.take_profit.limit_price}`);
  if (order.stop_loss) parts.push(`stop the loss at ${order.stop_loss.stop_price}`);
  return parts.join(", ");
}

function review(event) {
  event.preventDefault();
  say("ticket-problem", "");
  const wrong = problems();
  if (wrong.length) { form.elements[wrong[0]].focus(); return; }
  const order = { ...orderOf(), client_order_id: clientId() };
  confirmThat({ title: "Send this order?", summary: `${inWords(order)}.`, note: `${$("worth").textContent === "–" ? "" : `Worth about ${$("worth").textContent}. `}Your id: ${order.client_order_id}`, act: () => send(order) });
}

async function send(order) {
  try {
    const placed = await ask("POST", "/v2/orders", { body: order });
    $("told").textContent = `Order taken: ${inWords(order)}, ${placed.status}.`;
    afterwards(placed);
    return true;
  } catch (error) {
    if (error.status === 0 || error.status >= 500) throw new Error(`${sentence(error.message)} It may have arrived or not. Send it again: it has the same id, so it can never become two orders.`, { cause: error });
    refuse(error);
    return true;
  }
}

function refuse(error) {
  const name = fieldOf(error, form), text = sentence(error.message);
  form.querySelectorAll("details").forEach((one) => { if (name && one.contains(form.elements[name])) one.open = true; });
  if (!name || !mark(form, name, text)) say("ticket-problem", text, true);
  $("confirm").addEventListener("close", () => (name ? form.elements[name] : $("review")).focus(), { once: true });
}

// ---- what it is worth

export function estimate() {
  const row = market(), now = account(), side = form.querySelector("[name=side]:checked").value, qty = Number(form.elements.qty?.value || 0);
  document.body.dataset.side = side;
  const limit = Number(form.elements.limit_price?.value || 0), best = side === "buy" ? row?.ask : row?.bid;
  const price = limit || best || row?.last || row?.reference || 0;
  $("worth").textContent = qty > 0 && price ? money(qty * price) : "–";
  $("worst").textContent = qty > 0 && limit ? money(qty * limit) : qty > 0 ? "not limited by you" : "–";
  const held = now?.positions.find((one) => one.symbol === row?.symbol);
  $("power-word").textContent = side === "buy" ? "Buying power" : "Free shares";
  $("power").textContent = !now ? "–" : side === "buy" ? money(now.account.buying_power) : whole(held?.qty_available ?? 0);
}
