// The API for people: what /openapi.json and /asyncapi.json say, as lists that open. Nothing comes from elsewhere.

import { $, element, say } from "/web/elements.js";

const nameOf = (reference) => reference.split("/").at(-1);

function words(schema) {
  if (schema.$ref) return nameOf(schema.$ref);
  if (schema.enum) return schema.enum.join(" | ");
  if (schema.anyOf) return schema.anyOf.map(words).join(" or ");
  if (schema.type === "array" || schema.items) return `list of ${schema.items ? words(schema.items) : "anything"}`;
  return [schema.type ?? "anything"].flat().join(" or ");
}

function fieldsOf(schema) {
  const list = schema.items ?? schema, required = new Set(list.required);
  return element("ul", {}, ...Object.entries(list.properties ?? {}).map(([name, one]) => element("li", {}, element("code", {}, name), `${required.has(name) ? " (always)" : ""}: ${words(one)}`)));
}

const folded = (summary, ...inside) => element("details", {}, element("summary", {}, summary), ...inside);
const example = (value) => element("pre", { class: "scroll", tabindex: "0" }, JSON.stringify(value, null, 2));

function operation(method, path, one) {
  const body = one.requestBody?.content["application/json"].schema, answers = Object.entries(one.responses);
  return folded(`${method.toUpperCase()} ${path}: ${one.summary}`, element("p", {}, `${one.tags.join(", ")}, ${one["x-answer"]}.${body ? ` Send ${words(body)}.` : ""}`),
    element("ul", {}, ...answers.map(([status, answer]) => element("li", {}, element("code", {}, status), `: ${answer.description}${answer.content ? ` ${words(answer.content["application/json"].schema)}` : ""}`))));
}

async function load(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path} answered ${response.status}`);
  return response.json();
}

function drawOperations(document) {
  const all = Object.entries(document.paths).flatMap(([path, found]) => Object.entries(found).map(([method, one]) => [`${method} ${path} ${one.summary}`.toLowerCase(), operation(method, path, one)]));
  const draw = () => {
    const shown = all.filter(([text]) => text.includes($("find").value.trim().toLowerCase()));
    $("operations").replaceChildren(...shown.map(([, made]) => made));
    say("operations-note", `${shown.length} of ${all.length} operations`);
  };
  $("find").addEventListener("input", draw);
  draw();
  $("shapes").replaceChildren(...Object.entries(document.components.schemas).map(([name, schema]) => folded(name, fieldsOf(schema), ...(schema.examples ?? []).map(example))));
}

function drawChannels(document) {
  const messages = document.components.messages;
  const told = (one) => [element("h3", {}, one.title), element("p", {}, one.description ?? ""), fieldsOf(one.payload), ...(one.examples ?? []).map((found) => example(found.payload))];
  $("channels").replaceChildren();
  for (const channel of Object.values(document.channels)) $("channels").append(folded(`${channel.address}: ${channel.description}`, ...Object.keys(channel.messages).flatMap((name) => told(messages[name]))));
  say("channels-note", "");
}

try {
  drawOperations(await load("/openapi.json"));
  drawChannels(await load("/asyncapi.json"));
} catch (error) {
  say("operations-note", `This cannot be loaded: ${error.message}`, true);
}
