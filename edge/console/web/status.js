// The operators' page: processes and their lag, decisions by latency, and what happens if a process ends.

import { $, cell, element, get, plural, rows, say } from "/web/page_parts.js";

const POLL_MS = 3_000;
const count = (value) => value === null || value === undefined ? "–" : value.toLocaleString("en-US");
const ms = (seconds) => seconds === null ? "longer" : `${seconds * 1_000} ms`;
const SIGN = { ready: "●", silent: "▲", failed: "✖", stopped: "■" };
const stateCell = (one) => element("td", { class: one.state === "ready" ? "up" : "down" }, element("span", { "aria-hidden": "true" }, `${SIGN[one.state] ?? "◌"} `), one.state);

// worker names are role, role-2, role-b (a replica), role-b-2
const roleOf = (name) => name.replace(/(-[b-h])?(-\d+)?$/, "");

function quantile(buckets, part) {
  const total = buckets.reduce((sum, one) => sum + one.count, 0);
  let seen = 0;
  for (const one of buckets) {
    seen += one.count;
    if (total && seen >= part * total) return ms(one.up_to_s);
  }
  return "–";
}

function drawLatency(buckets) {
  const total = buckets.reduce((sum, one) => sum + one.count, 0), shown = buckets.filter((one) => one.count);
  $("latency-told").textContent = total ? `${plural(total, "decision")} since this edge was started. Half within ${quantile(buckets, 0.5)}, 99 of 100 within ${quantile(buckets, 0.99)}.` : "No decisions yet.";
  rows("latency", shown.map((one) => element("tr", {}, cell(ms(one.up_to_s), "num"), cell(count(one.count), "num"), cell(`${(one.count / total * 100).toFixed(1)} %`, "num"),
    element("td", {}, element("meter", { min: "0", max: "1", value: String(one.count / total), "aria-label": `${ms(one.up_to_s)}: ${count(one.count)} decisions` })))));
}

function drawFailover(processes) {
  const roles = Map.groupBy(processes.filter((one) => one.kind === "role"), (one) => roleOf(one.name));
  rows("failover", [...roles].map(([role, all]) => {
    const ready = all.filter((one) => one.state === "ready"), partitions = [...new Set(all.flatMap((one) => one.partitions ?? []))].sort();
    const then = ready.length > 1 ? "another one goes on" : ready.length === 1 ? "the supervisor starts it again" : "NOBODY SERVES";
    return element("tr", {}, cell(role), cell(`${ready.length} / ${all.length}`, "num"), cell(partitions.length ? partitions.join(", ") : "–"), cell(then, ready.length ? "" : "down"));
  }));
}

function draw(now) {
  const edge = now.edge, well = !edge.missing.length && !edge.stores_away.length && now.processes.every((one) => one.state === "ready");
  $("state").dataset.state = well ? "live" : "lost";
  $("state").textContent = well ? "all well" : "look here";
  const facts = { Instance: edge.instance, Lacks: edge.missing.join("; ") || "nothing", "Stores away": edge.stores_away.join(", ") || "none", "Market data behind": `${count(edge.market_data_lag)} records`, "MySQL behind": `${count(edge.sink_lag)} records`,
    WebSockets: count(edge.websockets), "Accounts in memory": count(edge.accounts), "Requests waiting": count(edge.pending_requests), "Suspicious records": count(edge.suspicious_frames) };
  if (edge.fan_out.workers) facts["Fan-out workers"] = `${edge.fan_out.ready} of ${edge.fan_out.workers} ready, ${count(edge.fan_out.websockets)} WebSockets`;
  rows("edge", Object.entries(facts).flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, String(value))]));
  say("edge-note", "");
  drawLatency(now.decision_seconds);
  drawFailover(now.processes);
  rows("processes", now.processes.map((one) => element("tr", {}, cell(one.name), stateCell(one), cell(count(one.lag), "num"), cell(count(one.restarts), "num"), cell((one.since ?? "").slice(0, 19).replace("T", " ")), element("td", { class: "words" }, one.message || (one.says && one.says !== "ready" ? one.says : "") || (one.last_exit ? `last exit: ${one.last_exit}` : "")))));
  const alone = now.supervised ? "" : "No supervisor runs on this machine: only this edge can be shown. See the processes where they are run.";
  say("processes-note", alone);
  say("failover-note", alone);
}

async function poll(isFirst = false) {
  if (!document.hidden) {
    try {
      draw(await get("/status/now", !isFirst));
    } catch (error) {
      $("state").dataset.state = "lost";
      $("state").textContent = "not up to date";
      say("edge-note", `This cannot be loaded: ${error.message}`, true);
    }
  }
  setTimeout(poll, POLL_MS);
}

poll(true);
