// What if: choose a pattern, change a bound, run it over the stored log, and see which alerts are lost, gained and kept.

import { $, cell, day, element, get, plural, post, rows, say, severity, words } from "/web/page_parts.js";

const POLL_MS = 500, LISTS = ["only_now", "only_then", "both"];
let patterns = [], current = null, shownId = "", watching = 0;

const known = () => patterns.find((one) => one.pattern === $("pattern").value);
const unfinished = (run) => run.state === "WAITING" || run.state === "RUNNING";
const changesOf = (run) => Object.entries(run.parameters).map(([name, value]) => `${words(name)} ${value}`).join(", ");

async function load() {
  try {
    patterns = await get("/surveillance/what-ifs/patterns");
  } catch (error) {
    return say("problem", `The patterns cannot be read: ${error.message}`, true);
  }
  rows("pattern", patterns.map((one) => element("option", { value: one.pattern }, words(one.pattern))));
  const wanted = new URLSearchParams(location.search).get("pattern");
  if (patterns.some((one) => one.pattern === wanted)) $("pattern").value = wanted;
  drawParameters();
  const now = new Date();
  $("to").value = now.toISOString().slice(0, 19);
  $("from").value = new Date(now - 86_400_000).toISOString().slice(0, 19);
  const found = await drawRuns();
  const last = found.find(unfinished) ?? found.find((one) => one.state === "DONE");
  return last && watch(last.run_id);
}

function drawParameters() {
  rows("parameters", known().parameters.map((one) => element("p", {},
    element("label", { for: `bound-${one.name}` }, `${words(one.name)}${one.unit ? ` (${one.unit})` : ""} `),
    element("input", { id: `bound-${one.name}`, "data-name": one.name, type: "number", step: "1", min: one.low, max: one.high, value: one.value, "aria-describedby": `told-${one.name}` }),
    element("span", { id: `told-${one.name}`, class: "note" }, ` now ${one.value.toLocaleString("en")}; ${one.low.toLocaleString("en")} to ${one.high.toLocaleString("en")}. ${one.told}`))));
}

function changes() {
  const found = {};
  for (const one of known().parameters) {
    const field = $(`bound-${one.name}`);
    if (field.value !== String(one.value)) found[one.name] = field.value === "" ? null : Number(field.value);
  }
  return found;
}

async function ask(event) {
  event.preventDefault();
  say("problem", "");
  const utc = (id) => $(id).value ? `${$(id).value}Z`.replace(/T(\d\d:\d\d)Z$/, "T$1:00Z") : "";
  const value = { pattern: $("pattern").value, parameters: changes(), from: utc("from"), to: utc("to"), symbols: $("symbols").value.toUpperCase().split(/[\s,]+/).filter(Boolean) };
  $("run").disabled = true;
  try {
    const run = await post("/surveillance/what-ifs", value);
    await drawRuns();
    await watch(run.run_id);
  } catch (error) {
    say("problem", error.message, true);
    const wrong = known().parameters.find((one) => error.message.startsWith(`${one.name} must`));
    if (wrong) $(`bound-${wrong.name}`).focus();
  } finally {
    $("run").disabled = false;
  }
}

async function drawRuns() {
  const found = await get("/surveillance/what-ifs", true);
  rows("runs", found.map((one) => element("tr", one.run_id === current?.run_id ? { class: "chosen" } : {},
    element("td", {}, element("button", { type: "button", onclick: () => watch(one.run_id) }, day(one.asked_at))), cell(words(one.pattern)), cell(changesOf(one), "words"), cell(words(one.state)))));
  say("runs-note", found.length ? "" : "None yet. Runs are kept until this server ends.");
  return found;
}

// Until it is over; another choice ends it.
async function watch(id) {
  const number = ++watching;
  shownId = shownId === id ? "" : shownId;
  for (;;) {
    try {
      current = await get(`/surveillance/what-ifs/${id}`, true);
    } catch (error) {
      if (number === watching) say("problem", error.message, true);
      return;
    }
    if (number !== watching) return;
    draw();
    if (!unfinished(current)) break;
    await new Promise((then) => setTimeout(then, POLL_MS));
    if (number !== watching) return;
  }
  await drawRuns();
}

function draw() {
  const isOn = unfinished(current);
  $("state-pill").textContent = words(current.state);
  $("state-pill").dataset.state = current.state === "FAILED" ? "lost" : current.state === "DONE" ? "live" : "";
  $("cancel").hidden = $("progress-part").hidden = !isOn;
  $("progress").value = current.records ? current.done / current.records : 0;
  $("progress-text").textContent = current.records ? `${current.done.toLocaleString("en")} of ${current.records.toLocaleString("en")} records` : "Waiting";
  if (current.state === "FAILED") say("result-note", `The run has failed: ${current.problem}`, true);
  else if (current.state !== "DONE") say("result-note", current.state === "CANCELED" ? "The run was canceled." : "Running");
  $("result").hidden = current.state !== "DONE";
  if (current.state === "DONE" && shownId !== current.run_id) drawResult();
}

function drawResult() {
  const found = current.result;
  shownId = current.run_id;
  say("result-note", `${words(current.pattern)} with ${changesOf(current)}, ${day(current.from)} to ${day(current.to)} UTC${current.symbols.length ? `, ${current.symbols.join(", ")}` : ""}.`);
  const facts = {
    "Fires with both": found.both, "Lost": found.only_now, "Gained": found.only_then, "Looked at": `${plural(found.rows, "row")} in ${plural(found.records, "record")}`,
    "From": found.complete ? "the first record of the log" : "a day before the range: what was before is not known to the detector",
  };
  rows("counts", Object.entries(facts).flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, String(value))]));
  for (const name of LISTS) {
    const shown = found.alerts[name];
    rows(name, shown.length ? shown.map(alertRow) : [element("tr", {}, element("td", { colspan: 7, class: "soft" }, "None"))]);
  }
  $("told").textContent = `The run is over: ${found.only_now} lost, ${found.only_then} gained, ${found.both} kept.`;
}

const alertRow = (one) => element("tr", {}, cell(day(one.detected_at)), cell(one.symbol), element("td", {}, severity(one.severity)), cell(one.accounts.join(", ")), cell(one.score.toFixed(2), "num"),
  cell(one.case ? `${words(one.case.state)}${one.case.reason ? `: ${words(one.case.reason)}` : ""}` : ""), cell(one.steps[0], "words"));

$("pattern").addEventListener("change", drawParameters);
$("ask").addEventListener("submit", ask);
$("ask").setAttribute("novalidate", "");  // the server's sentence says more than the browser's
$("run").disabled = false;  // not before: a click that nobody hears would be lost
$("cancel").addEventListener("click", async () => {
  try {
    await post(`/surveillance/what-ifs/${current.run_id}/cancel`, {});
  } catch (error) {
    say("problem", error.message, true);
  }
});
load();
