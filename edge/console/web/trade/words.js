// Numbers, times and states as words.

export const PHASES = {
  closed: "Market closed. Orders for the next session are refused.",
  pre_open: "Before the opening: orders are collected, nothing trades yet.",
  opening_auction: "Opening auction: orders are collected and trade together at one price.",
  continuous: "Trading.",
  closing_auction: "Closing auction: orders are collected and trade together at one price.",
  post_close: "Market closed for today.",
  halted: "HALTED: nothing trades. Orders can be canceled.",
  cancel_only: "HALTED: nothing trades. Orders can only be canceled.",
  volatility_auction: "Volatility auction: the price moved too far; orders trade together at one price.",
};

export const money = (value) => value === null || value === undefined || value === "" ? "–" : Number(value).toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 4 });
export const whole = (value) => value === null || value === undefined ? "–" : Number(value).toLocaleString("en-US");
export const clock = (time) => new Date(time).toLocaleTimeString("en-GB");
export const minute = (seconds) => new Date(seconds * 1_000).toLocaleTimeString("en-GB").slice(0, 5);
export const words = (name) => name.toLowerCase().replaceAll("_", " ");
export const sentence = (text) => text ? `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}` : "";

// A change against the reference, with a sign and an arrow, never colour alone.
export function change(row) {
  if (row.last === null || row.last === undefined) return { text: "–", tone: "soft", part: 0 };
  const part = (row.last - row.reference) / row.reference * 100;
  return { text: `${part >= 0 ? "▲ +" : "▼ −"}${Math.abs(part).toFixed(2)} %`, tone: part >= 0 ? "up" : "down", part };
}

// What an auction would do now, or where the bands are.
export function conditions(row) {
  if (row.auction_price) {
    const imbalance = row.imbalance ? `, ${whole(row.imbalance)} more to ${row.imbalance_side === "B" ? "buy" : "sell"}` : "";
    return `Would trade ${whole(row.auction_size)} at ${money(row.auction_price)}${imbalance}.`;
  }
  return row.upper_band ? `May trade between ${money(row.lower_band)} and ${money(row.upper_band)}.` : "";
}

// Whether a decimal text is a whole number of steps, without any float.
export function isMultiple(text, step) {
  const [a, b] = [text, String(step)].map((one) => one.split("."));
  const digits = Math.max(a[1]?.length ?? 0, b[1]?.length ?? 0);
  const [value, unit] = [a, b].map(([head, tail = ""]) => BigInt(head + tail.padEnd(digits, "0")));
  return unit === 0n || value % unit === 0n;
}
