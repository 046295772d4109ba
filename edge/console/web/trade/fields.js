// The fields of an order: what each is called, what it means, and what is wrong with it before it is sent.

import { element } from "/web/elements.js";
import { isMultiple } from "/web/trade/words.js";

const DECIMAL = /^\d{1,12}(\.\d{1,9})?$/, SIGNED = /^-?\d{1,12}(\.\d{1,9})?$/;

export const FIELDS = {
  qty: { title: "Shares", kind: "qty" },
  limit_price: { title: "Limit price", kind: "price" },
  stop_price: { title: "Stop price", kind: "price" },
  trail: { title: "Trail by", kind: "trail" },
  limit_offset: { title: "Limit from stop", kind: "price" },
  peg_price_type: { title: "Follows", kind: "choice", choices: { primary: "the best price of my side", market: "the best price of the other side", midpoint: "the middle" } },
  peg_offset: { title: "Distance (may be negative)", kind: "distance" },
  expire_time: { title: "Until", kind: "moment" },
  "take_profit.limit_price": { title: "Take profit at", kind: "price" },
  "stop_loss.stop_price": { title: "Stop the loss at", kind: "price" },
  "stop_loss.limit_price": { title: "Loss limit (if any)", kind: "price" },
  display_qty: { title: "Show only (iceberg)", kind: "qty" },
  min_qty: { title: "At least at once", kind: "qty" },
  hidden: { title: "Hidden: nothing of it is shown", kind: "check" },
  post_only: { title: "Post only: refused rather than take", kind: "check" },
  post_only_slide: { title: "Post only: moved a tick rather than take", kind: "check" },
  self_match_prevention_id: { title: "Self-match group", kind: "group" },
  self_match_prevention_instruction: {
    title: "If I met myself", kind: "choice",
    choices: { "": "as the symbol says", cancel_newest: "cancel the newest", cancel_oldest: "cancel the oldest", cancel_both: "cancel both", decrement_and_cancel: "reduce, then cancel", none: "let them trade" },
  },
};

// Which field a refusal is about, by the name of its rule; what names a field in its words needs no line here.
const FIELD_OF_REASON = {
  INSUFFICIENT_BUYING_POWER: "qty", INSUFFICIENT_SHARES: "qty", INVALID_QUANTITY: "qty", QUANTITY_ABOVE_LIMIT: "qty", QUANTITY_BELOW_LIMIT: "qty", NOTIONAL_ABOVE_LIMIT: "qty",
  POSITION_LIMIT: "qty", INVALID_PRICE: "limit_price", PRICE_ABOVE_LIMIT: "limit_price", PRICE_OUTSIDE_COLLAR: "limit_price", POST_ONLY_WOULD_TAKE: "limit_price", INVALID_STOP_PRICE: "stop_price",
  INVALID_DISPLAY_QTY: "display_qty", INVALID_MIN_QTY: "min_qty", MIN_QTY_NOT_AVAILABLE: "min_qty", INVALID_OFFSET: "trail", INVALID_EXPIRE_TIME: "expire_time", INVALID_PEG: "peg_offset",
  INVALID_SELF_MATCH_PREVENTION: "self_match_prevention_id", INVALID_TIME_IN_FORCE: "time_in_force", NOT_IN_THIS_PHASE: "time_in_force",
};

let made = 0;

// A field with its label and a place for what is wrong with it.
export function field(name, isRequired, value = "") {
  const { title, kind, choices } = FIELDS[name], id = `field-${++made}`;
  if (kind === "check") return element("label", { class: "check" }, element("input", { type: "checkbox", name }), ` ${title}`);
  const problem = element("span", { class: "problem", id, role: "alert", hidden: true });
  if (kind === "choice") return element("label", { class: "field" }, title, element("select", { name, "aria-describedby": id }, ...Object.entries(choices).map(([word, text]) => element("option", { value: word }, text))), problem);
  const input = element("input", { name, "aria-describedby": id, autocomplete: "off", value, required: isRequired, ...(kind === "moment" ? { type: "datetime-local", step: "1" } : { type: "text", inputmode: kind === "qty" || kind === "group" ? "numeric" : "decimal", maxlength: "24" }) });
  const unit = kind === "trail" ? [element("select", { name: "trail_unit", "aria-label": "Unit of the trail" }, element("option", { value: "trail_price" }, "dollars"), element("option", { value: "trail_percent" }, "percent"))] : [];
  const label = element("label", { class: "field" }, title, input, ...(unit.length ? [] : [problem]));
  return unit.length ? element("div", {}, label, element("div", { class: "field" }, element("span", {}, "Trail in"), ...unit, problem)) : label;
}

// What is wrong with a value before it is sent; "" if nothing is.
export function problemOf(name, value, isRequired, tick) {
  const { title, kind } = FIELDS[name];
  if (!value) return isRequired ? `${title} is needed.` : "";
  if (kind === "moment") return new Date(value) > new Date() ? "" : "This is in the past.";
  if (!(kind === "distance" ? SIGNED : DECIMAL).test(value)) return `${title} must be a number, such as ${kind === "qty" ? "100" : "180.05"}.`;
  if (kind !== "distance" && Number(value) === 0) return `${title} must be above 0.`;
  const isPrice = kind === "price" || kind === "distance";
  return isPrice && tick && !isMultiple(value.replace("-", ""), tick) ? `Prices here are multiples of ${tick}: ${nearest(value, tick)} would be one.` : "";
}

function nearest(value, tick) {
  return (Math.round(Number(value) / tick) * tick).toFixed(Math.max(0, (String(tick).split(".")[1] ?? "").length));
}

// Show what is wrong beside the field, or take it away.
export function mark(form, name, text) {
  const input = form.elements[name];
  if (!(input instanceof Element)) return false; // a group of radio buttons is no element, and cannot be wrong
  const problem = document.getElementById(input.getAttribute("aria-describedby"));
  if (!problem?.classList.contains("problem")) return false;
  problem.textContent = text;
  problem.hidden = !text;
  if (text) input.setAttribute("aria-invalid", "true");
  else input.removeAttribute("aria-invalid");
  return true;
}

// The field that a refusal is about, among those of the form; "" if it is about none.
export function fieldOf(error, form) {
  const names = Object.keys(FIELDS).filter((name) => form.elements[name]).sort((a, b) => b.length - a.length);
  const named = names.find((name) => error.message.includes(name) || (name.startsWith("trail") && error.message.includes("trail")));
  const found = named ?? FIELD_OF_REASON[error.reason] ?? "";
  return form.elements[found] ? found : "";
}
