// Records and frames as docs/wire.md describes them: written from that page and wire.json alone, with nothing but Node.
import { readFileSync } from "node:fs";

const U64 = (1n << 64n) - 1n;

/** Reads the body of an Avro record. */
class Reader {
  constructor(buffer, at) {
    this.buffer = buffer;
    this.at = at;
  }

  long() {
    let shift = 0n;
    let number = 0n;
    for (;;) {
      const byte = BigInt(this.buffer[this.at++]);
      number |= (byte & 127n) << shift;
      if (byte < 128n) return (number >> 1n) ^ -(number & 1n);
      shift += 7n;
    }
  }

  bytes() {
    const length = Number(this.long());
    this.at += length;
    return this.buffer.subarray(this.at - length, this.at);
  }

  value(type) {
    if (Array.isArray(type)) return this.value(type[Number(this.long())]);
    switch (type.type ?? type) {
      case "null": return null;
      case "boolean": return this.buffer[this.at++] === 1;
      case "int": case "long": return this.long();
      case "double": this.at += 8; return this.buffer.readDoubleLE(this.at - 8);
      case "bytes": return this.bytes();
      case "string": return this.bytes().toString("utf8");
      case "enum": return type.symbols[Number(this.long())];
      case "array": return this.array(type.items);
      case "record": return Object.fromEntries(type.fields.map((field) => [field.name, this.value(field.type)]));
      default: throw new Error(`unknown type ${JSON.stringify(type)}`);
    }
  }

  array(items) {
    const found = [];
    for (let count = this.long(); count !== 0n; count = this.long()) {
      for (let left = count; left > 0n; left--) found.push(this.value(items));
    }
    return found;
  }
}

/** The bytes of a value of an Avro type. */
function body(type, value) {
  if (Array.isArray(type)) {
    const branch = type.findIndex((one) => (value === null) === (one === "null"));
    return Buffer.concat([long(branch), body(type[branch], value)]);
  }
  switch (type.type ?? type) {
    case "null": return Buffer.alloc(0);
    case "boolean": return Buffer.from([value ? 1 : 0]);
    case "int": case "long": return long(value);
    case "bytes": return Buffer.concat([long(value.length), value]);
    case "string": return body("bytes", Buffer.from(value, "utf8"));
    case "enum": return long(type.symbols.indexOf(value));
    case "array": return Buffer.concat([...(value.length ? [long(value.length)] : []), ...value.map((one) => body(type.items, one)), long(0)]);
    case "record": return Buffer.concat(type.fields.map((field) => body(field.type, value[field.name] ?? field.default ?? null)));
    default: throw new Error(`unknown type ${JSON.stringify(type)}`);
  }
}

function long(value) {
  let left = ((BigInt(value) << 1n) ^ (BigInt(value) >> 63n)) & U64;
  const bytes = [];
  for (; left > 127n; left >>= 7n) bytes.push(Number(left & 127n) | 128);
  bytes.push(Number(left));
  return Buffer.from(bytes);
}

const SIZES = { u1: 1, "<u2": 2, "<u4": 4, "<u8": 8, "<i8": 8 };

function little(buffer, at, size) {
  let number = 0n;
  for (let place = size - 1; place >= 0; place--) number = (number << 8n) | BigInt(buffer[at + place]);
  return number;
}

/** The values of a column: text, or BigInt. */
function column(data, count, dtype) {
  const rows = [...Array(count).keys()];
  if (dtype === "S") {
    const width = data.length / count;
    return rows.map((row) => data.subarray(row * width, (row + 1) * width).toString("latin1").replace(/\0+$/, ""));
  }
  const size = SIZES[dtype];
  const signed = (number) => (dtype === "<i8" ? BigInt.asIntN(64, number) : number);
  if (data.length === 0) return rows.map(() => 0n);
  if (data.length === count * size) return rows.map((row) => signed(little(data, row * size, size)));
  const width = (data.length - 8) / count;
  if (count <= 8 || ![0, 1, 2, 4].includes(width) || width >= size) throw new Error(`${data.length} bytes for ${count} of ${size}`);
  const base = little(data, 0, 8);
  return rows.map((row) => {
    const code = little(data, 8 + row * width, width);
    return signed(width > 0 && code === 0n ? 0n : BigInt.asUintN(8 * size, base + code));
  });
}

/** The exchange's records, by its wire.json. */
export class Wire {
  constructor(path) {
    Object.assign(this, JSON.parse(readFileSync(path, "utf8")));
    this.byPrefix = new Map(Object.entries(this.schemas).map(([name, one]) => [one.prefix, name]));
  }

  /** [schema name, record] of a record's value. */
  read(value) {
    const name = this.byPrefix.get(value.subarray(0, 10).toString("hex"));
    if (name === undefined) throw new Error("a schema that wire.json does not have");
    const { schema } = this.schemas[name];
    const reader = new Reader(value, 10);
    const record = reader.value(schema);
    if (reader.at !== value.length) throw new Error(`bytes are left over behind a ${name}`);
    for (const field of schema.fields) {
      if (field.dtype) record[field.name] = column(record[field.name], Number(record.count), field.dtype);
    }
    return [name, record];
  }

  /** The bytes of a record that is no frame. */
  write(name, record) {
    const { prefix, schema } = this.schemas[name];
    return Buffer.concat([Buffer.from(prefix, "hex"), body(schema, record)]);
  }

  /** A frame of rows: objects whose numbers may be any of number, BigInt. What a row does not say is zero. */
  frame(name, header, rows) {
    const record = { source_index: 0, first_seq: 0, reply_partition: -1, count: rows.length, ...header };
    for (const field of this.schemas[name].schema.fields) {
      if (!field.dtype) continue;
      const values = rows.map((row) => row[field.name] ?? (field.dtype === "S" ? "" : 0));
      const width = field.dtype === "S" ? Math.max(...values.map((text) => text.length)) : SIZES[field.dtype];
      const cells = values.map((value) => {
        const cell = Buffer.alloc(width);
        if (field.dtype === "S") cell.write(value, "latin1");
        else for (let left = BigInt(value) & U64, at = 0; at < width; left >>= 8n, at++) cell[at] = Number(left & 255n);
        return cell;
      });
      const all = Buffer.concat(cells);
      record[field.name] = all.some((byte) => byte !== 0) ? all : Buffer.alloc(0);
    }
    return this.write(name, record);
  }

  /** How many `step` make the decimal text, exactly. */
  steps(text, step) {
    const places = (one) => (one.split(".")[1] ?? "").length;
    const scale = Math.max(places(text), places(step));
    const whole = (one) => BigInt(one.replace(".", "") + "0".repeat(scale - places(one)));
    if (whole(text) % whole(step) !== 0n) throw new Error(`${text} is not a multiple of ${step}`);
    return whole(text) / whole(step);
  }

  /** The name of a number. */
  word(name, number) {
    return Object.entries(this.enums[name].numbers).find(([, value]) => BigInt(value) === number)?.[0];
  }
}
