// Search of the audit trail: the form, a page of what was found, the next one, and each as a file.

import { $, cell, day, element, get, plural, rows, say, side, words } from "/web/page_parts.js";

const FIELDS = ["account", "side", "reason", "from", "to", "price", "size", "text", "sort", "ascending", "limit"];
const SEVERAL = ["symbol", "kind"];
let question = new URLSearchParams(), next = "", asked = 0;

function query() {
  const made = new URLSearchParams();
  for (const name of FIELDS) {
    const value = $(name).value.trim();
    if (value) made.set(name, value);
  }
  for (const name of SEVERAL) {
    for (const value of $(name).value.split(",").map((one) => one.trim()).filter(Boolean)) made.append(name, value);
  }
  return made;
}

const withParameter = (name, value) => {
  const made = new URLSearchParams(question);
  made.set(name, value);
  return made;
};

async function search(wanted) {
  const number = ++asked;
  $("search").disabled = $("next").disabled = true;
  try {
    const found = await get(`/surveillance/search?${wanted}`);
    if (number !== asked) return;
    question = wanted;
    next = found.next ?? "";
    say("problem", "");
    show(found.events);
  } catch (error) {
    if (number === asked) say("problem", error.message, true);
  } finally {
    if (number === asked) {
      $("search").disabled = false;
      $("next").disabled = !next;
    }
  }
}

function show(events) {
  rows("events", events.map((one) => element("tr", {}, cell(`${day(one.transact_time)}${one.transact_time.slice(19, 26).replace("Z", "")}`), cell(one.account, "num"), cell(words(one.kind)), cell(one.symbol),
    element("td", {}, ...(one.side ? [side(one.side.toLowerCase())] : [])), cell(one.price, "num"), cell(one.size, "num"), cell(words(one.reason)), cell(one.order_id, "num"), cell(one.cl_ord_id), cell(one.trd_match_id, "num"))));
  const told = events.length ? `${plural(events.length, "event")}${next ? ", and there are more" : ""}.` : "No event is like that.";
  say("found", told);
  $("told").textContent = told;
  $("pages").hidden = !events.length;
  $("csv").href = `/surveillance/search?${withParameter("format", "csv")}`;
}

$("find").addEventListener("submit", (event) => {
  event.preventDefault();
  search(query());
});
$("next").addEventListener("click", () => search(withParameter("next", next)));
$("search").disabled = false;  // not before: a click that nobody hears would be lost
