// The case of an alert: its state and clock, what this person may do with it now, and everything that was done.

import { $, cell, day, element, get, plural, post, rows, say, words } from "/web/page_parts.js";
import { signedIn } from "/web/session.js";

const LABELS = {
  OPEN: "Open a case", TAKE: "Take", RELEASE: "Give back", ASSIGN: "Assign", NOTE: "Note", LINK: "Link alerts", UNLINK: "Unlink alerts", ASK: "Ask for information", RESUME: "Resume", ESCALATE: "Escalate",
  CLOSE: "Close", CONFIRM: "Confirm closing", RETURN: "Return to review", REOPEN: "Reopen",
};
const TOLD = { NOTE: "Note", ASK: "What is asked, and of whom", RESUME: "What was answered" };
const OPTIONAL = new Set(["TAKE", "LINK", "OPEN"]);
const TO = { ESCALATE: ["supervisor", "compliance"], CLOSE: ["NO_ACTION", "INFORMAL", "FORMAL"] };
const REASONS = ["LEGITIMATE_MARKET_MAKING", "HEDGING", "DATA_ERROR", "DUPLICATE", "THRESHOLD_TOO_LOW", "IMMATERIAL", "PART_OF_OTHER_CASE", "SUSPECTED_ABUSE"];
let mayReport = false, row = null, file = null, doing = null, changed = () => {};

export function onChange(then) {
  changed = then;
}

// Of a row of the queue: its case is read anew when it has changed.
export async function showCase(next, isForced = false) {
  const isSame = row?.alert_id === next?.alert_id;
  if (isSame && !isForced && file?.case.version === next.version && file?.case.case_id === next.case_id) return;
  if (!isSame) stopDoing();
  row = next;
  if (!row?.case_id) {
    file = null;
    draw();
    return;
  }
  const id = row.case_id;
  try {
    const found = await get(`/surveillance/cases/${encodeURIComponent(id)}`);
    if (row?.case_id !== id) return;
    if (isSame && doing && file && found.case.version !== doing.version) say("case-problem", `${found.history.findLast((one) => !one.refusal && one.version)?.actor ?? "Somebody"} has changed the case while you were typing. Your text is kept: look at the history, then send it again.`, true);
    file = found;
    if (doing) doing.version = found.case.version;
    draw();
  } catch (error) {
    say("case-problem", `The case cannot be shown: ${error.message}`, true);
  }
}

function draw() {
  const one = file?.case;
  $("case-state").textContent = one ? `${words(one.status)}${one.owner ? `, ${one.owner}` : ""}${one.level && one.status === "ESCALATED" ? ` to ${one.level}` : ""}` : "no case yet";
  const facts = one ? {
    "Case": `${one.case_id}, version ${one.version}`, "Opened": day(one.opened_at), "To decide by": `${day(one.due_at)}${one.overdue ? " (overdue)" : ""}`, "Alerts": one.alerts.join(", "),
    ...(one.outcome ? { "Decision": `${words(one.outcome)}: ${words(one.reason)}` } : {}), ...(one.reopened ? { "Reopened": plural(one.reopened, "time") } : {}),
  } : {};
  rows("case-facts", Object.entries(facts).flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
  const possible = one ? file.allowed : ["OPEN"];
  rows("case-actions", possible.map((name) => element("button", { type: "button", class: "action", "data-action": name, onclick: () => begin(name) }, LABELS[name])));
  say("case-note", possible.length ? "" : "There is nothing that you can do with this case now.");
  $("case-export").hidden = !one;
  if (one) for (const form of ["json", "csv", "pdf"]) $(`export-${form}`).href = `/surveillance/cases/${encodeURIComponent(one.case_id)}/export?format=${form}`;
  $("case-report").hidden = !one || !mayReport;
  if (one) $("report-open").href = `/surveillance/drafts?case=${encodeURIComponent(one.case_id)}`;
  rows("history", [...file?.history ?? []].reverse().map((entry) => element("tr", entry.refusal ? { class: "soft" } : {},
    cell(day(entry.at)), cell(entry.actor), cell(`${words(entry.action)}${entry.to ? ` ${words(entry.to)}` : ""}${entry.refusal ? ` (refused: ${words(entry.refusal)})` : ""}`),
    cell(entry.reason ? words(entry.reason) : ""), element("td", { class: "words" }, entry.comment))));
  $("history-part").hidden = !one;
}

function begin(name) {
  doing = { name, version: file?.case.version ?? 0 };
  $("doing-title").textContent = LABELS[name];
  $("doing-comment-label").textContent = TOLD[name] ?? (OPTIONAL.has(name) ? "Comment (may be empty)" : "Why");
  $("doing-comment").required = !OPTIONAL.has(name);
  choices("doing-to", TO[name]);
  choices("doing-reason", name === "CLOSE" ? REASONS : undefined);
  $("doing-person-part").hidden = name !== "ASSIGN";
  $("doing-person").required = name === "ASSIGN";
  $("doing-alerts-part").hidden = !["LINK", "UNLINK"].includes(name);
  $("doing-alerts").required = ["LINK", "UNLINK"].includes(name);
  say("case-problem", "");
  $("doing").hidden = false;
  (name === "ASSIGN" ? $("doing-person") : TO[name] ? $("doing-to") : $("doing-comment")).focus();
}

function choices(id, values) {
  $(`${id}-part`).hidden = !values;
  rows(id, (values ?? []).map((value) => element("option", { value }, words(value))));
}

function stopDoing() {
  const name = doing?.name;
  doing = null;
  $("doing").hidden = true;
  $("doing").reset();
  say("case-problem", "");
  if (name) document.querySelector(`[data-action="${name}"]`)?.focus();
}

async function send(event) {
  event.preventDefault();
  const { name, version } = doing, comment = $("doing-comment").value;
  const alerts = $("doing-alerts").value.split(/[\s,]+/).filter(Boolean);
  const value = { action: name, version, comment, to: name === "ASSIGN" ? $("doing-person").value.trim() : $("doing-to").value, reason: $("doing-reason").value, alerts: ["LINK", "UNLINK"].includes(name) ? alerts : [] };
  $("doing-send").disabled = true;
  try {
    file = name === "OPEN" ? await post("/surveillance/cases", { alerts: [row.alert_id], comment }) : await post(`/surveillance/cases/${encodeURIComponent(row.case_id)}/actions`, value);
    row = { ...row, case_id: file.case.case_id, version: file.case.version, state: file.case.status, owner: file.case.owner };
    stopDoing();
    draw();
    $("told").textContent = `${LABELS[name]}: done. The case is ${words(file.case.status)}.`;
    ($("case-actions").querySelector("button") ?? $("case-title")).focus();
    changed(row);
  } catch (error) {
    await refused(error, name);
  } finally {
    $("doing-send").disabled = false;
  }
}

// What was typed stays; after a conflict the case is read anew, so that the same text can be sent on what there is now.
async function refused(error, name) {
  say("case-problem", error.message, true);
  if (error.body?.refusal === "CHANGED") {
    changed(row);
    if (row.case_id) await showCase(row, true);
    say("case-problem", `${error.message}. Your text is kept: look at the history, then send it again.`, true);
  }
  if (doing?.name !== name) return;
  const field = { to: name === "ASSIGN" ? "doing-person" : "doing-to", reason: "doing-reason", comment: "doing-comment", alerts: "doing-alerts" }[error.body?.field];
  if (field) $(field).focus();
}

$("doing").addEventListener("submit", send);
$("doing-cancel").addEventListener("click", stopDoing);
$("doing").addEventListener("keydown", (event) => { if (event.key === "Escape") stopDoing(); });
signedIn.then((person) => {
  mayReport = (person.roles ?? []).includes("compliance");
  draw();
});
