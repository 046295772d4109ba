// The page that checks a proof of the audit log: files of the person's own, which never leave the browser.

import { $, element, say } from "/web/elements.js";
import { Unchecked, Wrong, checkProof } from "/web/audit/proof.js";

const bytesOf = async (id) => $(id).files.length ? new Uint8Array(await $(id).files[0].arrayBuffer()) : null;
const when = (time) => Number(time) < 8_640_000_000_000 ? new Date(Number(time) * 1_000).toISOString().replace(".000Z", "Z") : `second ${time}`;
const WORDS = { right: ["✔ Verified", "right"], wrong: ["✖ Wrong", "wrong"], unchecked: ["◌ Could not be checked", "unchecked"] };

function show(kind, lines) {
  const [word, state] = WORDS[kind];
  $("verdict").textContent = word;
  $("result").dataset.state = state;
  $("told").replaceChildren(...lines.map((line) => element("li", {}, line)));
  $("result").hidden = false;
}

function told(found, hasRecord) {
  const cosigned = [...found.cosigners].map(([name, time]) => `${name} at ${when(time)}`).join(", ") || "nobody: the policy asks for no witness";
  return [
    `${found.checkpoint.origin}: entry ${found.index} of ${found.checkpoint.size} is ${JSON.stringify(found.entry)}`,
    hasRecord ? "The record is the one that this entry names." : "Not checked: the record itself. Choose its file, too.",
    `Cosigned by ${cosigned}.`,
    `This trusts: SHA-256 and Ed25519 of this browser, the script of this page, and the keys of your policy (${found.logs.join(", ")}; quorum ${found.quorum}).`,
    "This does not show: that every event was logged, or that its content is true.",
  ];
}

async function check(event) {
  event.preventDefault();
  say("note", "");
  try {
    const [proof, policy, record] = await Promise.all(["proof", "policy", "record"].map(bytesOf));
    const found = await checkProof(proof, new TextDecoder().decode(policy), record, $("proof").files[0].name);
    show("right", told(found, record !== null));
  } catch (error) {
    if (error instanceof Wrong) show("wrong", [error.message]);
    else if (error instanceof Unchecked) show("unchecked", [error.message]);
    else say("note", `The files cannot be read: ${error.message}`, true);
  }
  $("verdict").focus();
}

$("form").addEventListener("submit", check);
$("verify").disabled = false;  // not before: a click that nobody hears would be lost
$("form").addEventListener("change", () => { $("result").hidden = true; });
