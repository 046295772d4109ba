// What all pages are made with: elements, cells, rows, notes. Text is always text, never markup.

export const $ = (id) => document.getElementById(id);
const SVG = new Set(["line", "rect", "text", "g", "title", "circle", "polyline", "path"]);

export function element(name, attributes = {}, ...children) {
  const made = SVG.has(name) ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== false && value !== null) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

export const cell = (text, kind = "") => element("td", kind ? { class: kind } : {}, String(text ?? ""));

export function rows(id, made) {
  $(id).replaceChildren(...made);
}

export function say(id, text, isError = false) {
  const note = $(id);
  if (note.textContent !== text) note.textContent = text;
  note.hidden = !text;
  note.classList.toggle("error", isError);
}
