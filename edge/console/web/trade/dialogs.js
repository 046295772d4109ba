// Questions before something is done. The keyboard's focus goes into a dialog and comes back; what is sent is sent once, however often the button is pressed.

import { $, say } from "/web/elements.js";

let question = null, isSending = false;

// do: sends it, and returns whether the dialog may close. A problem that is thrown is shown in it.
export function confirmThat({ title, summary, note = "", word = "Send", act }) {
  question = act;
  isSending = false;
  $("confirm-title").textContent = title;
  $("summary").textContent = summary;
  $("confirm-note").textContent = note;
  $("send").textContent = word;
  $("send").disabled = false;
  say("confirm-problem", "");
  $("confirm").showModal();
  $("send").focus();
}

async function send(event) {
  event.preventDefault();
  if (isSending || !question) return;
  isSending = true;
  $("send").setAttribute("aria-disabled", "true");
  try {
    if (await question()) $("confirm").close();
  } catch (error) {
    say("confirm-problem", error.message, true);
  }
  isSending = false;
  $("send").removeAttribute("aria-disabled");
}

$("confirm-form").addEventListener("submit", send);
$("confirm-back").addEventListener("click", () => $("confirm").close());
