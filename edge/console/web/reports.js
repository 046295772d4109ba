// Regulatory reports: how the days stand, and a day with its files, their digests, and what was answered to them.

import { $, cell, element, get, plural, rows, say } from "/web/page_parts.js";

const POLL_MS = 30_000;
const count = (value) => value === null || value === undefined ? "–" : value.toLocaleString("en-US");
const sum = (reports, of) => reports.reduce((total, one) => total + of(one), 0);
const due = (time) => time ? time.slice(0, 16).replace("T", " ") : "";
const SIGN = { late: "▲", "not made": "✖", findings: "✖", "cannot be read": "✖", "to correct": "◆", "not checked": "◌", "to submit": "◌", submitted: "●", acknowledged: "●", made: "●" };
const BAD = new Set(["late", "not made", "findings", "cannot be read"]);

let days = [], next = "", chosen = "";

// One word for how a report stands, the worst first.
function stateOf(one) {
  if (one.trouble) return "cannot be read";
  if (one.late) return "late";
  if (!one.made) return "not made";
  if (one.findings === null) return "not checked";
  if (one.findings) return "findings";
  if (one.to_correct) return "to correct";
  if (one.due && one.submitted < one.files) return "to submit";
  if (one.acknowledged && one.acknowledged === one.files) return "acknowledged";
  return one.submitted ? "submitted" : "made";
}

function stateOfDay(one) {
  const found = one.reports.map(stateOf);
  if (one.not_made) found.push("not made");
  return Object.keys(SIGN).find((state) => found.includes(state)) ?? "made";
}

const stateCell = (state) => element("td", { class: BAD.has(state) ? "late" : "" }, element("span", { "aria-hidden": "true" }, `${SIGN[state]} `), state);

function drawDays() {
  rows("days", days.map((one) => {
    const waited = one.reports.filter((each) => each.due), open = waited.find((each) => !each.acknowledged || each.to_correct);
    const pick = element("button", { type: "button", "aria-pressed": String(one.day === chosen), onclick: () => choose(one.day, true) }, one.day);
    return element("tr", { class: one.day === chosen ? "chosen" : "" }, element("td", {}, pick), stateCell(stateOfDay(one)),
      cell(`${one.reports.filter((each) => each.made).length} of ${one.reports.length}`, "num"), cell(count(sum(one.reports, (each) => each.findings ?? 0)), "num"),
      cell(`${sum(waited, (each) => each.submitted)} of ${sum(waited, (each) => each.files)}`, "num"), cell(count(sum(waited, (each) => each.acknowledged)), "num"), cell(due(open?.due)));
  }));
  say("days-note", days.length ? "" : "No reports were made yet.");
  $("older").hidden = !next;
}

function drawDay(day) {
  $("day-title").textContent = `Reports of ${day.day}`;
  say("not-made", day.not_made ? `This day could not be made: ${day.not_made}` : "", true);
  say("day-note", "");
  rows("reports", day.reports.map((one) => element("tr", {}, element("th", { scope: "row", title: one.title }, one.report), stateCell(stateOf(one)), cell(one.made ? count(one.records) : "–", "num"), cell(one.made ? count(one.findings) : "–", "num"), cell(due(one.due)))));
  $("files").replaceChildren(...day.reports.filter((one) => one.made || one.trouble).map((one) => drawReport(day.day, one)));
}

function drawReport(day, one) {
  const about = [one.title, one.modelled_on && `modelled on ${one.modelled_on}`].filter(Boolean).join("; ");
  return element("section", { "aria-label": `Report ${one.report}` }, element("h3", {}, one.report), element("p", { class: "soft small" }, about),
    ...(one.trouble ? [element("p", { class: "note error" }, one.trouble)] : []),
    ...(one.first_findings.length ? [element("ul", {}, ...one.first_findings.map((text) => element("li", { class: "event" }, text)))] : []),
    ...one.stored_files.map((file) => drawFile(day, one.report, file)));
}

function drawFile(day, report, file) {
  const link = (name) => element("a", { href: `/reports/days/${day}/${report}/${encodeURIComponent(name)}`, download: name }, name);
  const facts = [["File", link(file.name)], ...(file.companion ? [["Companion", link(file.companion)]] : []),
    ["Records", `${plural(file.records, "record")}, ${count(file.bytes)} bytes unpacked${file.supplements ? "; a supplement" : ""}`], ["SHA-256", file.sha256]];
  for (const sent of file.submissions) {
    facts.push(["Submitted", `${sent.at.replace("T", " ").slice(0, 19)} UTC to ${sent.target}`]);
    for (const answer of sent.answers) {
      const faults = answer.records.map((fault) => `line ${fault.line}: ${fault.code}`).join(", ");
      facts.push([answer.stage, [answer.status, ...answer.codes, answer.rejected && `${plural(answer.rejected, "record")} rejected (${faults})`].filter(Boolean).join("; ")]);
    }
  }
  return element("dl", {}, ...facts.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
}

async function choose(day, byHand) {
  chosen = day;
  drawDays();
  try {
    drawDay(await get(`/reports/days/${day}`, !byHand));
    if (byHand) $("day-title").focus();
  } catch (error) {
    say("day-note", `This day cannot be loaded: ${error.message}`, true);
  }
}

async function load(before, isPoll = false) {
  try {
    const found = await get(`/reports/days${before ? `?before=${before}` : isPoll && days.length > 30 ? `?limit=${Math.min(days.length, 366)}` : ""}`, isPoll);
    days = before ? [...days, ...found.days] : found.days;
    next = found.next;
    drawDays();
    if (before) $("told").textContent = `${plural(found.days.length, "older day")} loaded`;
    if (!before && days.length && (isPoll ? chosen : !chosen)) await choose(chosen || days[0].day, false);
  } catch (error) {
    say("days-note", `This cannot be loaded: ${error.message}`, true);
  }
}

$("older").addEventListener("click", () => load(next));
async function poll() {
  if (!document.hidden) await load("", true);
  setTimeout(poll, POLL_MS);
}
load("").then(() => setTimeout(poll, POLL_MS));
