// The supervisor's page: cases by age, person and rule, alerts a day, and suppressions.

import { $, cell, day, element, get, post, rows, say, words } from "/web/page_parts.js";

const POLL_MS = 10_000;
const counted = (found) => Object.entries(found).map(([name, number]) => `${words(name)} ${number}`).join(", ");
const span = (seconds) => seconds === null ? "" : seconds < 120 ? `${Math.round(seconds)} s` : seconds < 7_200 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3_600).toFixed(1)} h`;

async function load(isPoll) {
  try {
    const [seen, suppressions] = await Promise.all([get("/surveillance/overview", isPoll), get("/surveillance/suppressions", isPoll)]);
    const totals = { "As of": day(seen.as_of), "Cases": seen.cases, "Open": seen.open, "Overdue": seen.overdue, "Reopened": seen.reopened, "By state": counted(seen.status) || "none" };
    rows("totals", Object.entries(totals).flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, String(value))]));
    rows("ages", seen.ages.map((one) => element("tr", {}, cell(one.to_h === null ? `over ${one.from_h} h` : `${one.from_h} to ${one.to_h} h`), cell(one.cases, "num"))));
    rows("owners", seen.owners.map((one) => element("tr", {}, cell(one.owner), cell(one.open, "num"), cell(one.overdue, "num"), cell(one.closed, "num"), cell(span(one.median_seconds_to_close), "num"))));
    rows("rules", seen.rules.map((one) => element("tr", {}, cell(words(one.pattern)), cell(one.rule_version, "num"), cell(one.cases, "num"), cell(one.hit_rate === null ? "" : `${(one.hit_rate * 100).toFixed(0)} %`, "num"),
      cell(counted(one.outcomes)), cell(counted(one.reasons)), cell(span(one.median_seconds_to_close), "num"))));
    rows("days", [...seen.alerts_by_day].reverse().map((one) => element("tr", {}, cell(one.day), cell(words(one.pattern)), cell(one.rule_version, "num"), cell(one.alerts, "num"))));
    if (!$("suppressions").contains(document.activeElement)) rows("suppressions", suppressions.map(suppressionRow));
    say("totals-note", "");
  } catch (error) {
    say("totals-note", `This cannot be loaded: ${error.message}`, true);
  }
}

function suppressionRow(one) {
  const comment = element("input", { size: "12", maxlength: "4000", "aria-label": `Why, for the suppression of ${words(one.pattern)} ${one.symbol}`, placeholder: "why" });
  const act = (action) => async () => {
    try {
      await post(`/surveillance/suppressions/${encodeURIComponent(one.case_id)}/actions`, { action, version: one.version, comment: comment.value });
      say("suppression-problem", "");
      $("told").textContent = "Done.";
      document.activeElement.blur();
      await load(false);
    } catch (error) {
      say("suppression-problem", error.message, true);
    }
  };
  const buttons = [
    ...(one.status === "PROPOSED" ? [element("button", { type: "button", class: "action", onclick: act("APPROVE_SUPPRESSION") }, "Approve")] : []),
    ...(one.status === "LIFTED" ? [] : [element("button", { type: "button", class: "action", onclick: act("LIFT") }, "Lift")]),
  ];
  return element("tr", {}, cell(words(one.pattern)), cell(one.symbol || "all"), cell(one.account || "all", "num"), cell(words(one.status)), cell(day(one.expires_at)), cell(one.proposed_by), cell(one.approved_by),
    element("td", { class: "words" }, one.comment), cell(one.alerts, "num"), element("td", {}, ...(buttons.length ? [comment, " ", ...buttons] : [])));
}

async function propose(event) {
  event.preventDefault();
  try {
    await post("/surveillance/suppressions", { pattern: $("pattern").value.trim(), symbol: $("symbol").value.trim(), account: Number($("account").value || 0), hours: Number($("hours").value), comment: $("comment").value });
    $("suppress").reset();
    say("suppression-problem", "");
    $("told").textContent = "Proposed. Another person has to approve it.";
    await load(false);
  } catch (error) {
    say("suppression-problem", error.message, true);
  }
}

async function poll(isFirst = false) {
  if (!document.hidden) await load(!isFirst);
  setTimeout(poll, POLL_MS);
}

$("suppress").addEventListener("submit", propose);
$("propose").disabled = false;  // not before: a click that nobody hears would be lost
poll(true);
