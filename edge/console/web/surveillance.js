// The analysts' page: the queue with its filters and views, and for the chosen alert its story, its case and the book around it.

import { close as closeReplay, openReplay } from "/web/book_replay.js";
import { close as closeLinks, openLinks } from "/web/linked_accounts.js";
import { onChange, showCase } from "/web/case_view.js";
import { showAlert } from "/web/alert_view.js";
import { $, cell, day, element, get, rows, say, severity, words } from "/web/page_parts.js";

const POLL_MS = 2_000, COUNTS_EVERY = 5, PAGE = 100, VIEWS = "outcry-views";
const FILTERS = ["state", "owner", "severity", "pattern", "symbol", "account", "order", "overdue", "suppressed"];
const OWN_VIEWS = { "Open, by risk": "", "Mine": "owner=me&order=due", "Overdue": "overdue=true&order=due", "Closed": "state=closed&order=newest", "Suppressed": "suppressed=true&order=newest" };
let queue = [], total = 0, chosenId = decodeURIComponent(location.hash.slice(1)) || null, chosen = null, unlisted = null, alert = null, drawn = "", turn = 0, asked = 0, size = PAGE;

function query() {
  const made = new URLSearchParams();
  for (const name of FILTERS) {
    const value = $(name).type === "checkbox" ? ($(name).checked ? "true" : "") : $(name).value.trim();
    if (value) made.set(name, value);
  }
  return made;
}

async function load(isPoll = false) {
  const number = ++asked, wanted = query();
  try {
    const found = await get(`/surveillance/queue?${wanted}&limit=${size}`, isPoll);
    if (number !== asked) return;
    queue = found.alerts;
    total = found.total;
    $("state-pill").dataset.state = "live";
    $("state-pill").textContent = `${total} alert${total === 1 ? "" : "s"}`;
    say("filter-problem", "");
    await show();
    if (turn++ % COUNTS_EVERY === 0 || !isPoll) showCounts(await get(`/surveillance/counts?${wanted}`, true));
  } catch (error) {
    if (number !== asked) return;
    if (error.status === 422) return say("filter-problem", error.message, true);
    $("state-pill").dataset.state = "lost";
    $("state-pill").textContent = "not reachable";
    say("alerts-note", `Alerts cannot be loaded: ${error.message}`, true);
  }
  return undefined;
}

async function poll() {
  if (!document.hidden) await load(true);
  setTimeout(poll, POLL_MS);
}

function showCounts(counts) {
  const parts = [...Object.entries(counts.status).map(([name, number]) => `${words(name)} ${number}`), ...["HIGH", "MEDIUM", "LOW"].filter((name) => counts.severity[name]).map((name) => `${words(name)} severity ${counts.severity[name]}`)];
  $("counts").textContent = `${parts.join(" · ") || "nothing"} · my open cases ${counts.mine}${counts.mine_overdue ? `, ${counts.mine_overdue} overdue` : ""}`;
  const select = $("pattern"), wanted = ["", ...new Set([...Object.keys(counts.pattern), select.value].filter(Boolean))].sort();
  if ([...select.options].map((one) => one.value).join() === wanted.join()) return;
  const kept = select.value;
  select.replaceChildren(...wanted.map((value) => element("option", { value }, value ? words(value) : "all")));
  select.value = kept;
}

async function show() {
  const next = queue.find((one) => one.alert_id === chosenId) ?? (unlisted?.alert_id === chosenId ? unlisted : queue[0]) ?? null;
  const now = JSON.stringify([queue.map((one) => [one.alert_id, one.revision, one.state, one.owner, one.overdue]), next?.alert_id]);
  if (now !== drawn) {
    drawn = now;
    const focused = document.activeElement?.dataset?.alert;
    rows("alerts", queue.map((one) => row(one, one.alert_id === next?.alert_id)));
    if (focused) document.querySelector(`[data-alert="${CSS.escape(focused)}"]`)?.focus();
    say("alerts-note", queue.length ? "" : "No alert passes the filters.");
    $("more").hidden = queue.length >= total;
  }
  const isOther = next?.alert_id !== chosen?.alert_id, isNewer = next?.revision !== chosen?.revision;
  chosen = unlisted = next;
  chosenId = next?.alert_id ?? null;
  $("detail").hidden = !chosen;
  if (!chosen) return;
  if (isOther) {
    closeReplay();
    closeLinks();
  }
  await Promise.all([
    isOther || isNewer ? showAlert(chosen, choose).then((found) => { alert = found ?? alert; }) : null,
    showCase(chosen, isOther),
  ]);
}

function row(one, isChosen) {
  const button = element("button", { type: "button", "data-alert": one.alert_id, "aria-current": isChosen ? "true" : false, onclick: () => choose(one) }, day(one.detected_at));
  return element("tr", isChosen ? { class: "chosen" } : {},
    element("td", {}, button), element("td", {}, severity(one.severity)), cell(words(one.pattern)), cell(one.symbol), cell(`${words(one.state)}${one.overdue ? ", overdue" : ""}`, one.overdue ? "late" : ""), cell(one.owner),
    cell(one.accounts.join(", "), "num"), cell(one.score.toFixed(2), "num"), cell(one.occurrences, "num"));
}

// A row of the queue, or one like it that is not listed: it stays chosen all the same.
async function choose(wanted) {
  chosenId = wanted.alert_id;
  unlisted = wanted;
  history.replaceState(null, "", `#${encodeURIComponent(chosenId)}`);
  await show();
}

function step(by) {
  const at = queue.findIndex((one) => one.alert_id === chosenId), next = queue[Math.min(Math.max(at + by, 0), queue.length - 1)];
  if (!next || next.alert_id === chosenId) return;
  choose(next);  // the rows are there at once, and what is read later takes the focus from nobody
  document.querySelector(`[data-alert="${CSS.escape(next.alert_id)}"]`)?.focus();
}

// ---- views: the names of this browser's user for filters

function views() {
  try {
    return { ...OWN_VIEWS, ...JSON.parse(localStorage.getItem(VIEWS) ?? "{}") };
  } catch {
    return OWN_VIEWS;
  }
}

function showViews(current = "") {
  rows("view", [element("option", { value: "" }, "choose"), ...Object.keys(views()).map((name) => element("option", { value: name }, name))]);
  $("view").value = current;
}

function use(text) {
  const values = new URLSearchParams(text);
  for (const name of FILTERS) {
    if ($(name).type === "checkbox") $(name).checked = values.get(name) === "true";
    else {
      const value = values.get(name) ?? (name === "state" ? "open" : name === "order" ? "risk" : "");
      if (name === "pattern" && value && ![...$(name).options].some((one) => one.value === value)) $(name).append(element("option", { value }, words(value)));
      $(name).value = value;
    }
  }
  size = PAGE;
  load();
}

$("view").addEventListener("change", () => { if ($("view").value) use(views()[$("view").value]); });
$("save-view").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = $("view-name").value.trim();
  const own = Object.fromEntries(Object.entries(views()).filter(([known]) => !(known in OWN_VIEWS)));
  localStorage.setItem(VIEWS, JSON.stringify({ ...own, [name]: query().toString() }));
  $("view-name").value = "";
  showViews(name);
  $("told").textContent = `The view ${name} is kept in this browser.`;
});
$("keep-view").disabled = false;  // not before: a click that nobody hears would be lost
for (const name of FILTERS) $(name).addEventListener("change", () => { $("view").value = ""; size = PAGE; load(); });
$("more").addEventListener("click", () => { size = Math.min(size + PAGE, 500); load(); });
$("replay-open").addEventListener("click", () => { if (alert) openReplay(alert).then(() => { if (!$("replay").hidden) $("replay").focus(); }); });
const readLinks = () => { if (alert) openLinks(alert).then(() => { if (!$("links").hidden) $("links").focus(); }); };
$("links-open").addEventListener("click", readLinks);
for (const name of ["links-minutes", "links-accounts"]) $(name).addEventListener("change", () => { if (!$("links").hidden) openLinks(alert); });
onChange((next) => { unlisted = next; load(); });
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
  if (event.key === "j") step(1);
  else if (event.key === "k") step(-1);
  else if (event.key === "r") $("replay-open").click();
  else if (event.key === "l") $("links-open").click();
  else if (event.key === "t") document.querySelector('[data-action="TAKE"], [data-action="OPEN"]')?.click();
  else if (event.key === "n") document.querySelector('[data-action="NOTE"]')?.click();
  else return;
  event.preventDefault();
});
showViews();
poll();
