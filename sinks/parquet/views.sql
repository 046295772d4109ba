-- What `outcry query` offers over the archive's tables: names instead of numbers, decimals instead of ticks, lots and minor units.
-- docs/archive.md describes each view with an example. Statements end with ";" at the end of a line.

CREATE VIEW trades AS
SELECT e.trd_match_id, i.symbol, make_timestamp(e.transact_time // 1000) AS at_time, e.price * i.tick_size AS price, e.qty * i.lot_size AS qty,
       side_word(e.side) AS aggressor, (e.flags & 2) = 2 AS is_auction, e.order_id, e.account, e.contra_order_id, e.contra_account, e.rpt_seq
FROM executions e JOIN instruments i ON i.instrument = e.instrument
WHERE e.kind = 2
  AND NOT EXISTS (SELECT 1 FROM executions b WHERE b.kind = 15 AND b.trd_match_id = e.trd_match_id);

CREATE VIEW orders AS
SELECT a.order_id, a.account, i.symbol, side_word(a.side) AS side, ord_type_word(a.ord_type) AS ord_type,
       time_in_force_word(a.time_in_force) AS time_in_force, ord_status_word(a.ord_status) AS ord_status, reason_word(a.reason) AS reason,
       a.order_qty * i.lot_size AS order_qty, a.cum_qty * i.lot_size AS cum_qty, a.leaves_qty * i.lot_size AS leaves_qty,
       nullif(a.price, 0) * i.tick_size AS price, CASE WHEN a.cum_qty > 0 THEN a.cum_cost * i.tick_size / a.cum_qty END AS avg_px,
       make_timestamp(a.submitted_at // 1000) AS submitted_at, make_timestamp(a.transact_time // 1000) AS updated_at, a.cl_ord_id
FROM account_events a JOIN instruments i ON i.instrument = a.instrument
WHERE a.kind IN (1, 4, 5, 6, 7, 8, 9, 16, 17, 18, 19) AND a.order_id > 0
QUALIFY row_number() OVER (PARTITION BY a.order_id ORDER BY a.seq DESC) = 1;

CREATE VIEW postings AS
SELECT a.account, i.symbol, make_timestamp(a.transact_time // 1000) AS at_time, event_word(a.kind) AS kind, money(a.cash_delta) AS cash,
       a.shares_delta * i.lot_size AS shares, money(a.fee) AS fee, nullif(a.trd_match_id, 0) AS trd_match_id, a.shard, a.seq
FROM account_events a LEFT JOIN instruments i ON i.instrument = a.instrument
WHERE a.kind IN (6, 10, 20);

CREATE VIEW quotes AS
SELECT i.symbol, make_timestamp(m.transact_time // 1000) AS at_time, nullif(m.bid_px, 0) * i.tick_size AS bid, m.bid_qty * i.lot_size AS bid_qty,
       nullif(m.ask_px, 0) * i.tick_size AS ask, m.ask_qty * i.lot_size AS ask_qty, m.seq
FROM market_data m JOIN instruments i ON i.instrument = m.instrument
WHERE m.kind = 2;

CREATE MACRO bars(width) AS TABLE
SELECT symbol, time_bucket(width, at_time) AS starts, first(price ORDER BY rpt_seq) AS open, max(price) AS high, min(price) AS low,
       last(price ORDER BY rpt_seq) AS close, sum(qty) AS volume, sum(price * qty) / sum(qty) AS vwap, count(*) AS trades
FROM trades
GROUP BY symbol, time_bucket(width, at_time)
ORDER BY symbol, starts;
