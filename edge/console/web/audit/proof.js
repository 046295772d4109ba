// Checks of a proof, in the browser and with its own cryptography: what the verifier of the audit log does with `proof` (audit/verifier.py), rule for rule.
// Formats: https://c2sp.org/tlog-proof, signed-note, tlog-checkpoint, tlog-cosignature, tlog-policy. Trees: RFC 9162.

const ED25519 = 0x01, COSIGNATURE = 0x04, HASH_BYTES = 32, NOTE_BYTES_MAX = 65_536, SIGNATURES_MAX = 32;
const SIZE_MAX = 2n ** 62n;
const HEAD = "c2sp.org/tlog-proof@v1";
const utf8 = new TextEncoder();

// Something is not what its signatures say.
export class Wrong extends Error {}
// Nothing is proven wrong, but something that is needed for the proof cannot be had.
export class Unchecked extends Error {}

const wrong = (place, why) => new Wrong(`${place}: ${why}`);
const hex = (bytes) => Array.from(bytes, (one) => one.toString(16).padStart(2, "0")).join("");
const same = (one, other) => one.length === other.length && one.every((byte, at) => byte === other[at]);

function join(...parts) {
  const made = new Uint8Array(parts.reduce((total, one) => total + one.length, 0));
  let at = 0;
  for (const one of parts) {
    made.set(one, at);
    at += one.length;
  }
  return made;
}

const sha256 = async (...parts) => new Uint8Array(await crypto.subtle.digest("SHA-256", join(...parts)));
const nodeHash = (left, right) => sha256(Uint8Array.of(1), left, right);

function text(bytes, place) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw wrong(place, "it is not UTF-8");
  }
}

// Only what an encoder gives: RFC 4648, section 4.
function fromBase64(given, place) {
  try {
    const found = Uint8Array.from(atob(given), (one) => one.charCodeAt(0));
    if (btoa(String.fromCharCode(...found)) === given) return found;
  } catch { /* said below */ }
  throw wrong(place, "it is not base64");
}

function decimal(given, place) {
  if (!/^(0|[1-9][0-9]{0,18})$/.test(given) || BigInt(given) > SIZE_MAX) throw wrong(place, `'${given.slice(0, 40)}' is not a decimal number without leading zeros`);
  return BigInt(given);
}

// eslint-disable-next-line no-control-regex
const isName = (name) => name !== "" && !name.includes("+") && !/[\s\u0000-\u001f]/.test(name);

// ---- keys and notes

async function keyId(name, kind, material) {
  return (await sha256(utf8.encode(`${name}\n`), Uint8Array.of(kind), material)).slice(0, 4);
}

async function parseKey(given) {
  const [name, id, ...rest] = given.split("+");
  const raw = fromBase64(rest.join("+"), "vkey");
  if (!isName(name) || raw.length !== 1 + HASH_BYTES || ![ED25519, COSIGNATURE].includes(raw[0])) throw wrong("vkey", `'${given.slice(0, 80)}' is not a vkey (name+hex+base64) of Ed25519`);
  const key = { name, kind: raw[0], material: raw.slice(1), id: await keyId(name, raw[0], raw.slice(1)) };
  if (hex(key.id) !== id) throw wrong("vkey", `its id is ${hex(key.id)}, it says ${id.slice(0, 20)}`);
  return key;
}

function parseNote(data, place) {
  const note = text(data, place), at = note.lastIndexOf("\n\n");
  // eslint-disable-next-line no-control-regex
  if (data.length > NOTE_BYTES_MAX || at < 0 || !note.endsWith("\n") || at + 2 >= note.length || /[\u0000-\u0009\u000b-\u001f]/.test(note)) throw wrong(place, "it is not a signed note: text, an empty line, signatures");
  const lines = note.slice(at + 2, -1).split("\n");
  if (lines.length > SIGNATURES_MAX) throw wrong(place, `it has more than ${SIGNATURES_MAX} signatures`);
  return { text: note.slice(0, at + 1), signatures: lines.map((line) => parseSignature(line, place)) };
}

function parseSignature(line, place) {
  const parts = line.split(" ");
  if (parts.length !== 3 || parts[0] !== "\u2014" || !isName(parts[1])) throw wrong(place, `'${line.slice(0, 60)}' is not a signature line`);
  const raw = fromBase64(parts[2], place);
  if (raw.length <= 4) throw wrong(place, "a signature is too short");
  return { name: parts[1], id: raw.slice(0, 4), signature: raw.slice(4) };
}

// The time (s) of a cosignature, 0 of another signature.
async function verify(key, noteText, given, place) {
  let signed = utf8.encode(noteText), signature = given, time = 0n;
  if (key.kind === COSIGNATURE) {
    time = given.slice(0, 8).reduce((total, byte) => (total << 8n) + BigInt(byte), 0n);
    signed = utf8.encode(`cosignature/v1\ntime ${time}\n${noteText}`);
    signature = given.slice(8);
  }
  let isRight = false;
  try {
    const known = await crypto.subtle.importKey("raw", key.material, "Ed25519", false, ["verify"]);
    isRight = await crypto.subtle.verify("Ed25519", known, signature, signed);
  } catch (error) {
    if (error.name === "NotSupportedError") throw new Unchecked("this browser has no Ed25519: use a newer one, or the verifier");
  }
  if (!isRight) throw wrong(place, `the signature of ${key.name} is not of this text`);
  return time;
}

// Which of the keys signed a note, and when; a signature that names one of them and is not its own is wrong.
async function signedBy(note, keys, place) {
  const found = new Map();
  for (const one of note.signatures) {
    const key = keys.find((each) => each.name === one.name && same(each.id, one.id));
    if (key) found.set(key, await verify(key, note.text, one.signature, place));
  }
  return found;
}

function parseCheckpoint(note, place) {
  const lines = note.text.split("\n");
  if (lines.length !== 4 || lines[3] || !lines[0]) throw wrong(place, "it is not three lines: origin, size, root");
  const root = fromBase64(lines[2], place);
  if (root.length !== HASH_BYTES) throw wrong(place, `a hash has ${HASH_BYTES} bytes`);
  return { origin: lines[0], size: decimal(lines[1], place), root };
}

// ---- whom one trusts

// Lines `log VKEY`, `witness NAME VKEY [URL]`, `group NAME N|any|all MEMBER...`, and one `quorum NAME|none`.
export async function parsePolicy(given, place = "policy") {
  const policy = { logs: [], witnesses: new Map(), groups: new Map(), quorum: "" };
  for (const [number, line] of given.split("\n").entries()) {
    const words = line.trim().split(/\s+/).filter(Boolean);
    if (!words.length || words[0].startsWith("#")) continue;
    try {
      await takeLine(policy, words);
    } catch (error) {
      throw new Unchecked(`${place}, line ${number + 1}: '${line.trim().slice(0, 80)}' cannot be read: ${error.message}`);
    }
  }
  if (!policy.logs.length) throw new Unchecked(`${place}: it needs a line \`log VKEY\` at least`);
  if (!policy.quorum) throw new Unchecked(`${place}: it needs one line \`quorum NAME\` or \`quorum none\``);
  return policy;
}

const isKnown = (policy, name) => policy.witnesses.has(name) || policy.groups.has(name);

function freeName(policy, name) {
  if (!name || name === "none" || isKnown(policy, name)) throw new Error(`${name} is taken, or no name`);
  return name;
}

async function takeLine(policy, [word, ...values]) {
  const newKey = async (given, kind, others) => {
    const key = await parseKey(given ?? "");
    if (key.kind !== kind || others.some((one) => same(one.material, key.material))) throw new Error("another line has this key, or it is of the other kind");
    return key;
  };
  if (word === "log") policy.logs.push(await newKey(values[0], ED25519, policy.logs));
  else if (word === "witness") policy.witnesses.set(freeName(policy, values[0]), await newKey(values[1], COSIGNATURE, [...policy.witnesses.values()]));
  else if (word === "group") takeGroup(policy, values);
  else if (word === "quorum" && !policy.quorum && values.length === 1 && (values[0] === "none" || isKnown(policy, values[0]))) policy.quorum = values[0];
  else throw new Error("unknown word, a second quorum, or a quorum that is not defined");
}

function takeGroup(policy, [name, count, ...members]) {
  freeName(policy, name);
  const needed = { any: 1, all: members.length }[count] ?? (/^[0-9]+$/.test(count ?? "") ? Number(count) : 0);
  const taken = new Set([...policy.groups.values()].flatMap((one) => one.members));
  if (needed < 1 || needed > members.length || new Set(members).size !== members.length || members.some((one) => !isKnown(policy, one) || taken.has(one)))
    throw new Error("its members are defined before it, each in one group only, and there are as many as it asks for");
  policy.groups.set(name, { needed, members });
}

function agrees(policy, name, cosigners) {
  if (policy.witnesses.has(name)) return cosigners.has(name);
  const { needed, members } = policy.groups.get(name);
  return members.filter((one) => agrees(policy, one, cosigners)).length >= needed;
}

// ---- proofs

function parseProof(data, place) {
  const whole = text(data, place), at = whole.indexOf("\n\n"), head = at < 0 ? whole : whole.slice(0, at);
  const [first, extra, index, ...path] = head.split("\n");
  if (first !== HEAD || !extra?.startsWith("extra ") || !index?.startsWith("index ")) throw wrong(place, `it is not ${HEAD} with the lines extra and index`);
  return {
    path: path.map((line) => fromBase64(line, place)), index: decimal(index.slice(6), place), extra: fromBase64(extra.slice(6), place),
    checkpoint: utf8.encode(at < 0 ? "" : whole.slice(at + 2)),
  };
}

// RFC 9162, 2.1.3.2.
async function checkInclusion(index, size, leaf, path, root, place) {
  if (index >= size) throw wrong(place, `a tree of ${size} entries has no entry ${index}`);
  if (path.some((one) => one.length !== HASH_BYTES)) throw wrong(place, `a hash has ${HASH_BYTES} bytes`);
  let node = index, last = size - 1n, found = leaf;
  for (const sibling of path) {
    if (last === 0n) throw wrong(place, "it has more hashes than the tree has levels");
    if (node & 1n || node === last) {
      found = await nodeHash(sibling, found);
      while (node && !(node & 1n)) [node, last] = [node >> 1n, last >> 1n];
    } else found = await nodeHash(found, sibling);
    [node, last] = [node >> 1n, last >> 1n];
  }
  if (last) throw wrong(place, "it has fewer hashes than the tree has levels");
  if (!same(found, root)) throw wrong(place, `entry ${index} does not lead to the root of the ${size} entries`);
}

function entryOf(extra, place) {
  try {
    const entry = JSON.parse(text(extra, place));
    if (["topic", "partition", "offset"].every((name) => name in entry)) return entry;
  } catch { /* said below */ }
  throw wrong(`${place}: entry`, "it is in the log, but says of no record where it is");
}

// Everything that a proof file says. data, record: bytes, record null where there is none. Throws Wrong, Unchecked.
export async function checkProof(data, policyText, record, place = "proof") {
  if (!crypto.subtle) throw new Unchecked("browsers check signatures only on pages that came over HTTPS, or from this machine: use the verifier");
  const policy = await parsePolicy(policyText), proof = parseProof(data, place), at = `${place}: checkpoint`;
  const note = parseNote(proof.checkpoint, at), checkpoint = parseCheckpoint(note, at);
  const keys = policy.logs.filter((one) => one.name === checkpoint.origin);
  if (!keys.length) throw wrong(at, `the policy knows no log '${checkpoint.origin}'`);
  if (!(await signedBy(note, keys, at)).size) throw wrong(at, `no key of ${checkpoint.origin} has signed it`);
  await checkInclusion(proof.index, checkpoint.size, await sha256(Uint8Array.of(0), proof.extra), proof.path, checkpoint.root, `${place}: inclusion proof`);
  const entry = entryOf(proof.extra, place);
  if (record && hex(await sha256(record)) !== entry.sha256) throw wrong(`${place}: record`, `its bytes are not those of ${entry.topic}/${entry.partition} offset ${entry.offset}`);
  const signed = await signedBy(note, [...policy.witnesses.values()], at);
  const cosigners = new Map([...policy.witnesses].filter(([, key]) => signed.has(key)).map(([name, key]) => [name, signed.get(key)]));
  if (policy.quorum !== "none" && !agrees(policy, policy.quorum, cosigners))
    throw new Unchecked(`${at}: the log has signed ${checkpoint.size} entries, but the policy asks for ${policy.quorum} to cosign, and has ${[...cosigners.keys()].join(", ") || "none"}`);
  return { checkpoint, cosigners, entry, index: proof.index, quorum: policy.quorum, logs: [...new Set(policy.logs.map((one) => one.name))] };
}
