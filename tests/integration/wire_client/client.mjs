// A stranger's session: posts orders to account.commands, follows them in the log, each frame once, and says what it saw.
// node client.mjs BROKERS wire.json '{"buyer": 1, "seller": 2, "tag": "x"}' frames.ndjson
import { createCipheriv, createHmac, randomBytes } from "node:crypto";
import { createWriteStream, readFileSync } from "node:fs";

import kafkajs from "kafkajs";

import { Wire } from "./wire.mjs";

const [brokers, wirePath, said, framesPath] = process.argv.slice(2);
const { buyer, seller, tag, keyFile } = JSON.parse(said);
const key = JSON.parse(readFileSync(keyFile, "utf8"));
const wire = new Wire(wirePath);
const kafka = new kafkajs.Kafka({ brokers: brokers.split(","), clientId: tag, logLevel: kafkajs.logLevel.ERROR });
const numbers = (name) => wire.enums[name].numbers;
const READ = ["account.events", "executions", "dead.letters"];
const TIMEOUT_MS = 90_000;

const marks = new Map();
const sequences = new Map();
const events = [];
const executions = [];
const letters = [];
const answered = new Set();
let repeats = 0;
let keys = 0;
const frames = createWriteStream(framesPath);

/** One record of the log: a frame once, whatever is written again. */
function take(topic, partition, message) {
  keys += message.key === null ? 0 : 1;
  const [name, record] = wire.read(message.value);
  if (!wire.schemas[name].frame) {
    letters.push(record);
    return;
  }
  const where = `${topic}/${partition}`;
  const [offset, index] = marks.get(`${where} ${record.source}`) ?? [-1n, -1n];
  if (record.source_offset < offset || (record.source_offset === offset && record.source_index <= index)) {
    repeats += 1;
    return;
  }
  marks.set(`${where} ${record.source}`, [record.source_offset, record.source_index]);
  const expected = sequences.get(where);
  if (expected !== undefined && record.first_seq !== expected) throw new Error(`${where}: row ${record.first_seq}, not ${expected}`);
  sequences.set(where, record.first_seq + record.count);
  const columns = wire.schemas[name].schema.fields.filter((field) => field.dtype).map((field) => field.name);
  for (let row = 0; row < Number(record.count); row++) {
    (name === "execution_frame" ? executions : events).push(Object.fromEntries(columns.map((column) => [column, record[column][row]])));
  }
  if (topic === "account.events") answered.add(`${record.source}@${record.source_offset}`);
  frames.write(`${JSON.stringify({ topic, partition, name, ...record }, (_, value) => (typeof value === "bigint" ? `${value}` : value))}\n`);
}

async function until(condition, what) {
  for (const deadline = Date.now() + TIMEOUT_MS; !condition(); ) {
    if (failure) throw failure;
    if (Date.now() > deadline) throw new Error(`not within ${TIMEOUT_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

let failure;
const admin = kafka.admin();
const producer = kafka.producer({ idempotent: true, createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
const consumer = kafka.consumer({ groupId: tag, maxBytesPerPartition: wire.constants.FRAME_BYTES_MAX });
await Promise.all([admin.connect(), producer.connect(), consumer.connect()]);
const { topics: [{ partitions }] } = await admin.fetchTopicMetadata({ topics: ["account.commands"] });
await consumer.subscribe({ topics: READ, fromBeginning: true });
await consumer.run({
  eachMessage: async ({ topic, partition, message }) => {
    try {
      take(topic, partition, message);
    } catch (error) {
      failure ??= error;
    }
  },
});

/** What proves that we have written this value to this partition. */
function code(partition, value) {
  const secret = createHmac("sha256", Buffer.from(key.secret, "hex")).update(`account.commands/${partition}`).digest();
  const nonce = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", secret, nonce).setAAD(value);
  cipher.final();
  return Buffer.concat([nonce, cipher.getAuthTag(), Buffer.from(key.key_id)]);
}

/** Post a record of an account; where it is in the log, as events name it. */
async function post(account, value) {
  const partition = account % partitions.length;
  const [sent] = await producer.send({ topic: "account.commands", acks: -1, messages: [{ partition, value, headers: { mac: code(partition, value) } }] });
  return `account.commands/${partition}@${sent.baseOffset}`;
}

let count = 0;
const now = () => BigInt(Date.now()) * 1_000_000n;
const postFrame = (account, rows) =>
  post(account, wire.frame("order_command_frame", { source: tag, source_offset: ++count, created_at: now() }, rows));
const aapl = wire.instruments.AAPL;
const order = (account, side, qty, price, name) => ({
  kind: numbers("CommandKind").NEW_ORDER, account, instrument: aapl.number, side: numbers("Side")[side],
  ord_type: numbers("OrdType").LIMIT, time_in_force: numbers("TimeInForce").DAY, order_qty: wire.steps(qty, aapl.lot_size),
  price: wire.steps(price, aapl.tick_size), transact_time: now(), cl_ord_id: name, request_id: 77n,
});
const mine = (account, name) => events.filter((row) => row.account === BigInt(account) && row.cl_ord_id === name);
const kinds = (account, name) => mine(account, name).map((row) => wire.word("AccountEventKind", row.kind));

// twelve sells in one frame, enough rows for packed columns in the answer; one buy takes them all
const sells = [...Array(12).keys()].map((n) => `${tag}-s${n}`);
await postFrame(seller, sells.map((name, n) => order(seller, "SELL", "3", `181.${10 + n}`, name)));
await until(() => sells.every((name) => mine(seller, name).length > 0), "the sells are answered");
const buy = order(buyer, "BUY", "36", "181.21", `${tag}-b`);
await postFrame(buyer, [buy]);
await until(() => kinds(buyer, `${tag}-b`).filter((kind) => kind === "TRADE").length === 12, "the buy is filled");
await until(() => sells.every((name) => kinds(seller, name).includes("TRADE")), "the sells are filled");

// one order as text, and its cancel
const single = {
  account: buyer, cl_ord_id: `${tag}-one`, symbol: "AAPL", side: "BUY", ord_type: "LIMIT", time_in_force: "DAY", order_qty: "2", price: "150.05",
  transact_time: now(),
};
await post(buyer, wire.write("new_order_single", single));
await until(() => kinds(buyer, single.cl_ord_id).includes("ACCEPTED"), "the single order is accepted");
await post(buyer, wire.write("order_cancel_request", { account: buyer, orig_cl_ord_id: single.cl_ord_id, transact_time: now() }));
await until(() => kinds(buyer, single.cl_ord_id).includes("CANCELED"), "the single order is canceled");

// the buy again changes nothing; with another body it is refused; so is an order for nothing; bytes that are no record are a dead letter
await postFrame(buyer, [buy]);
const other = await postFrame(buyer, [{ ...buy, order_qty: 1n, request_id: 78n }]);
const empty = await postFrame(buyer, [{ ...order(buyer, "BUY", "0", "150.00", `${tag}-zero`), request_id: 79n }]);
const garbage = await post(buyer, Buffer.from("not a record"));
await until(() => answered.has(other) && answered.has(empty), "the refusals are answered");
const letter = () => letters.find((one) => `${one.topic}/${one.partition}@${one.offset}` === garbage);
await until(() => letter() !== undefined, "the dead letter is there");

await consumer.disconnect();
await Promise.all([producer.disconnect(), admin.disconnect()]);
if (failure) throw failure;
await new Promise((resolve) => frames.end(resolve));
const reason = (row) => wire.word("Reason", row.reason);
const bought = mine(buyer, `${tag}-b`);
const matches = new Set(bought.map((row) => row.trd_match_id));
console.log(JSON.stringify({
  buy: kinds(buyer, `${tag}-b`),
  sells: sells.map((name) => kinds(seller, name)),
  single: kinds(buyer, single.cl_ord_id),
  zero: mine(buyer, `${tag}-zero`).map(reason),
  other: events.filter((row) => row.account === BigInt(buyer) && row.request_id === 78n).map(reason),
  cash: `${bought.reduce((sum, row) => sum + row.cash_delta, 0n)}`,
  cost: `${bought.reduce((sum, row) => sum - row.last_px * row.last_qty * BigInt(aapl.lot_minor_per_tick), 0n)}`,
  trades: executions.filter((row) => wire.word("ExecKind", row.kind) === "TRADE" && matches.has(row.trd_match_id)).length,
  letter: [letter().reason, letter().value.toString()],
  keys, repeats,
}));
