// Reports to authorities: make a draft from a case, fill in what is not known, have it released by a second person. For compliance alone.

import { $, cell, day, element, get, post, rows, say, words } from "/web/page_parts.js";

const LABELS = { RELEASE_REPORT: "Release", RETURN_REPORT: "Return to draft", FILE_REPORT: "It was filed", WITHDRAW_REPORT: "Withdraw" };
let file = null, doing = null;

async function list() {
  const found = await get("/surveillance/reports", true);
  rows("reports", found.map((one) => element("tr", one.case_id === file?.report.case_id ? { class: "chosen" } : {},
    element("td", {}, element("button", { type: "button", onclick: () => open(one.case_id) }, day(one.made_at))), cell(one.kind), cell(one.case), cell(words(one.status)), cell(one.missing || "", "num"))));
  say("reports-note", found.length ? "" : "None yet.");
  return found;
}

async function open(id) {
  try {
    file = await get(`/surveillance/reports/${id}`);
    say("problem", "");
    draw();
    $("report-title").focus();
    await list();
  } catch (error) {
    say("make-problem", error.message, true);
  }
}

function draw() {
  const one = file.report;
  $("report-part").hidden = false;
  $("report-title").textContent = `${one.title}: ${words(one.status)}`;
  say("banner", one.not_released);
  $("banner").classList.remove("error");
  const about = {
    "Report": `${one.case_id}, version ${one.version}`, "Modelled on": one.modelled_on, "About": `${one.case}, version ${one.case_version}`, "Worked on by": one.workers.join(", "),
    ...(one.released_by ? { "Released by": `${one.released_by}, ${day(one.released_at)}`, "SHA-256": one.digest } : {}), ...(one.filed_at ? { "Filed": `${day(one.filed_at)}, ${one.reference}` } : {}),
  };
  rows("about", Object.entries(about).flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
  for (const form of ["json", "csv", "pdf"]) $(`export-${form}`).href = `/surveillance/reports/${one.case_id}/export?format=${form}`;
  const possible = file.allowed.filter((name) => name in LABELS), edits = file.allowed.includes("EDIT_REPORT");
  rows("actions", possible.map((name) => element("button", { type: "button", class: "action", "data-action": name, onclick: () => begin(name) }, LABELS[name])));
  $("save").hidden = !edits;
  drawFields(edits);
  rows("history", [...file.history].reverse().map((entry) => element("tr", entry.refusal ? { class: "soft" } : {}, cell(day(entry.at)), cell(entry.actor), cell(`${words(entry.action)}${entry.refusal ? ` (refused: ${words(entry.refusal)})` : ""}`),
    cell(Object.keys(entry.facts).filter((name) => name.startsWith("field.")).map((name) => words(name.slice(6))).join(", "), "words"), cell(entry.comment, "words"))));
}

function drawFields(edits) {
  const sections = [...new Set(file.fields.map((one) => one.section))];
  rows("fields", sections.map((section) => element("fieldset", { class: "bounds" }, element("legend", {}, section), ...file.fields.filter((one) => one.section === section).map((one) => field(one, edits)))));
}

// What is not known says so, and whether the report can go without it.
function field(one, edits) {
  const id = `field-${one.name}`, told = [one.hint, one.known ? "" : one.needed ? "Not known: needed before release." : "Not known."].filter(Boolean).join(". ").replace("..", ".");
  const lines = Math.min(14, Math.max(1, one.text.split("\n").length, Math.ceil(one.text.length / 90)));
  const box = element("textarea", { id, rows: lines, maxlength: 20_000, "data-name": one.name, "aria-describedby": told ? `told-${one.name}` : false, readonly: !edits, class: one.known ? "" : "unknown" });
  box.value = one.text;
  return element("p", {}, element("label", { for: id }, one.title), box, ...(told ? [element("span", { class: "note", id: `told-${one.name}` }, told)] : []));
}

function changes() {
  return Object.fromEntries(file.fields.filter((one) => $(`field-${one.name}`).value !== one.text).map((one) => [one.name, $(`field-${one.name}`).value]));
}

async function send(value) {
  try {
    file = await post(`/surveillance/reports/${file.report.case_id}/actions`, { version: file.report.version, ...value });
    stop();
    say("problem", "");
    draw();
    $("told").textContent = `Done. The report is ${words(file.report.status)}.`;
    await list();
  } catch (error) {
    say("problem", error.body?.refusal === "CHANGED" ? `${error.message}. Your text is kept on this page: copy it, then open the report again.` : error.message, true);
    document.getElementById(`field-${error.body?.field}`)?.focus();
  }
}

function begin(name) {
  if (Object.keys(changes()).length && name !== "WITHDRAW_REPORT") return say("problem", "Save what has changed first.", true);
  doing = name;
  $("doing-title").textContent = LABELS[name];
  $("doing-reference-part").hidden = name !== "FILE_REPORT";
  $("doing").hidden = false;
  $("doing-comment").focus();
  return undefined;
}

function stop() {
  doing = null;
  $("doing").reset();
  $("doing").hidden = true;
}

$("doing").addEventListener("submit", (event) => {
  event.preventDefault();
  send({ action: doing, comment: $("doing-comment").value, ...(doing === "FILE_REPORT" ? { reference: $("doing-reference").value } : {}) });
});
$("doing-cancel").addEventListener("click", stop);
$("doing").addEventListener("keydown", (event) => { if (event.key === "Escape") stop(); });
$("fields-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const fields = changes();
  if (!Object.keys(fields).length) return say("problem", "Nothing has changed.", true);
  return send({ action: "EDIT_REPORT", fields });
});
$("make").addEventListener("submit", async (event) => {
  event.preventDefault();
  say("make-problem", "");
  try {
    file = await post("/surveillance/reports", { kind: $("kind").value, case: $("case").value.trim(), comment: $("make-comment").value });
    $("make").reset();
    draw();
    $("report-title").focus();
    await list();
  } catch (error) {
    say("make-problem", error.message, true);
  }
});
$("make-send").disabled = false;  // not before: a click that nobody hears would be lost
$("case").value = new URLSearchParams(location.search).get("case") ?? "";
list().catch((error) => say("reports-note", `Reports cannot be read: ${error.message}`, true));
