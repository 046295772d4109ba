"""Execution quality, order-to-trade ratios, halts and refusals, each against a second, plain reckoning of the same day."""

import random
from collections import Counter, defaultdict
from dataclasses import replace
from decimal import Decimal
from functools import cache

import numpy as np
import pytest
from support.records.reported_day import (
    CASH,
    DAY,
    INSTRUMENTS,
    LOTS,
    REFERENCE,
    SECOND,
    TEMPLATE,
    ReportExchange,
    read_reported,
    reported_day,
)

from reports.cat.events import CatEvents
from reports.catalogue import KINDS
from reports.halts import five_minutes, halt_lines
from reports.quality import DAY_COLUMNS, HORIZONS_MS, NOTIONALS, SUMS, _next_at_most, month_lines, quality_lines, round_lot
from reports.ratios import ratio_lines
from reports.reference import parse_reference
from reports.refusals import refusal_lines
from reports.tables import rows_of_csv
from schemas.enums import ExecKind, Phase, TimeInForce
from schemas.instruments import parse_instruments

MEMBERS = parse_reference(f'{TEMPLATE}\n[[account]]\nnumber = 2\nmember = "B2"\n\n[[account]]\nnumber = 4\nmember = "B2"\n', "text")


@cache
def random_day():
    """Three hundred orders, replaces and cancels around one price, by a fixed seed."""
    x, chance = ReportExchange(), random.Random(7)
    x.at(DAY.start_ns + SECOND)
    x.deposit(range(1, 5), CASH, LOTS)
    x.phase(Phase.CONTINUOUS)
    mine: dict[int, list[str]] = defaultdict(list)
    for number in range(300):
        account = chance.randint(1, 4)
        if number % 10 == 0:
            x.later(chance.choice((0.01, 0.5, 20)))
        if mine[account] and chance.random() < 0.2:
            x.cancel_order(account, mine[account].pop(chance.randrange(len(mine[account]))))
        elif mine[account] and chance.random() < 0.1:
            x.replace(account, mine[account].pop(), order_qty=chance.randint(1, 60))
        else:
            enter = x.buy if chance.random() < 0.5 else x.sell
            in_force = TimeInForce.IOC if chance.random() < 0.2 else TimeInForce.DAY
            mine[account].append(enter(account, chance.randint(1, 40), 18_000 + chance.randint(-9, 9), time_in_force=in_force))
    x.phase(Phase.CLOSED)
    x.at(DAY.end_ns + SECOND)
    return read_reported(x).facts


def plain_quality(facts):
    """Sums by (order type, notional): every row of the day in order, with the orders that wait for their turn. Limit orders only."""
    steps = [(seq, "top", row) for seq, row in zip(facts.tops["rpt_seq"].tolist(), facts.tops, strict=True)]
    steps += [(seq, "row", row) for seq, row in zip(facts.executions["rpt_seq"].tolist(), facts.executions, strict=True)]
    tops, alive, fills = {1: 0, 2: 0}, {}, defaultdict(list)
    history = []
    for _, what, row in sorted(steps, key=lambda step: step[0]):
        if what == "top":
            tops[int(row["side"])] = int(row["price"])
            history.append((int(row["transact_time"]), tops[1], tops[2]))
            for one in alive.values():
                best = tops[one["side"]]
                if one["since"] is None and not one["gone"]:
                    behind = best and (best > one["limit"] if one["side"] == 1 else best < one["limit"])
                    if not behind:
                        executable(one, int(row["transact_time"]), tops)
            continue
        order_id, now = int(row["order_id"]), int(row["transact_time"])
        if row["kind"] == ExecKind.NEW and 0 < tops[1] < tops[2]:
            alive[order_id] = new_order(row, tops, now)
        elif row["kind"] == ExecKind.TRADE:
            for each in (order_id, int(row["contra_order_id"])):
                one = alive.get(each)
                if one is not None:
                    if one["since"] is None:
                        executable(one, now, tops)
                    fills[each].append((now, int(row["price"]), int(row["qty"])))
        elif row["kind"] in (ExecKind.CANCELED, ExecKind.EXPIRED) and order_id in alive:
            alive[order_id] |= {"gone": True, "canceled": int(row["qty"])}
    found = defaultdict(Counter)
    for order_id, one in alive.items():
        if one["since"] is not None:
            found[one["key"]].update(sums_of(one, fills[order_id], history))
    return found


def new_order(row, tops, now):
    """What a limit order is when it comes."""
    side, limit, bid, offer = int(row["side"]), int(row["price"]), tops[1], tops[2]
    marketable = limit >= offer if side == 1 else limit <= bid
    inside = 2 * limit >= bid + offer if side == 1 else 2 * limit <= bid + offer
    name = "marketable_limit" if marketable else "midpoint_or_better_limit" if inside else "executable_limit"
    name += "_ioc" if row["time_in_force"] == TimeInForce.IOC else ""
    notional = Decimal(limit) * int(row["qty"]) / 100
    size = next((str(bound) for bound in NOTIONALS if notional < bound), "")
    waits = not marketable and (limit < bid if side == 1 else limit > offer)
    return {"side": side, "limit": limit, "lots": int(row["qty"]), "key": (name, size), "quotes": (bid, offer), "since": None if waits else now,
            "gone": False, "canceled": 0}  # fmt: skip


def executable(one, now, tops):
    """From now on it is compared."""
    one["since"] = now
    if 0 < tops[1] < tops[2]:
        one["quotes"] = tops[1], tops[2]


def sums_of(one, fills, history):
    """Of one order."""
    bid, offer = one["quotes"]
    sign = 1 if one["side"] == 1 else -1
    found = Counter({"orders": 1, "lots_ordered": one["lots"], "lots_canceled": one["canceled"]})
    for now, price, lots in fills:
        better = offer - price if sign == 1 else price - bid
        found.update({"lots_executed": lots, "effective": sign * (2 * price - bid - offer) * lots, "quoted": (offer - bid) * lots,
                      "time_us": max(now - one["since"], 0) // 1_000 * lots})  # fmt: skip
        found["lots_improved" if better > 0 else "lots_outside" if better < 0 else "lots_at_quote"] += lots
        found["improvement"] += max(better, 0) * lots
        found["outside"] += max(-better, 0) * lots
        for ms in HORIZONS_MS:
            _, later_bid, later_offer = [one for one in history if one[0] <= now + ms * 1_000_000][-1]
            if later_bid and later_offer:
                found[f"realised_{ms}ms"] += sign * (2 * price - later_bid - later_offer) * lots
                found[f"lots_known_{ms}ms"] += lots
    return found


def test_execution_quality_is_what_a_plain_reckoning_says():
    """Every sum of every order type and size."""
    facts = random_day()
    plain, found = plain_quality(facts), defaultdict(Counter)
    for row in rows_of_csv(quality_lines(facts, REFERENCE)):
        assert row["symbol"] == "AAPL"
        found[row["order_type"], row["notional_below"]].update(
            {name: int(row[name]) for name in SUMS if not name.startswith(("lots_within", "lots_later"))}
        )
    assert {key: {name: value for name, value in sums.items() if value} for key, sums in found.items()} == {
        key: {name: value for name, value in sums.items() if value} for key, sums in plain.items()
    }
    assert {key[0] for key in found} >= {"marketable_limit", "marketable_limit_ioc", "midpoint_or_better_limit", "executable_limit"}


def test_shares_are_counted_by_how_long_they_took():
    """Each executed share once."""
    for row in rows_of_csv(quality_lines(random_day(), REFERENCE)):
        assert sum(int(row[name]) for name in SUMS if name.startswith(("lots_within", "lots_later"))) == int(row["lots_executed"])


def test_a_month_is_the_sum_of_its_days():
    """Twice the same day has twice the shares and the same averages."""
    day = list(rows_of_csv(quality_lines(random_day(), REFERENCE)))
    one, two = (list(rows_of_csv(month_lines(days, INSTRUMENTS))) for days in (day, day * 2))
    for first, second in zip(one, two, strict=True):
        assert int(second["executed_shares"]) == 2 * int(first["executed_shares"])
        assert first["average_effective_spread"] == second["average_effective_spread"]
    row = next(line for line in one if line["executed_shares"] != "0")
    sums = next(line for line in day if (line["order_type"], line["notional_below"]) == (row["order_type"], row["notional_below"]))
    assert Decimal(row["average_effective_spread"]) == round(Decimal(sums["effective"]) / int(sums["lots_executed"]) / 100, 6)
    assert tuple(sums) == DAY_COLUMNS


def test_the_next_value_that_is_low_enough_is_found():
    """As a search from each place on would."""
    chance = random.Random(3)
    values = [chance.randint(0, 20) for _ in range(200)]
    starts = [chance.randint(0, 200) for _ in range(300)]
    bounds = [chance.randint(-1, 21) for _ in range(300)]
    expected = [next((at for at in range(start, 200) if values[at] <= bound), 200) for start, bound in zip(starts, bounds, strict=True)]
    assert _next_at_most(values, starts, bounds) == expected


@pytest.mark.parametrize(("price", "shares"), [("250.00", 100), ("250.01", 40), ("1000.01", 10), ("10000.01", 1)])
def test_a_round_lot_has_fewer_shares_where_a_share_costs_more(price, shares):
    """By the reference price."""
    text = f"""[[instrument]]
    number = 1
    symbol = "X"
    name = "X"
    tick_size = "0.01"
    lot_size = "1"
    max_order_qty = "1000"
    max_notional = "50000000"
    reference_price = "{price}"
    protection_percent = 20"""
    assert round_lot(parse_instruments(text, "text").by_number[1]) == shares


def plain_ratios(records):
    """By member, from the exported events alone."""
    found, immediate = defaultdict(Counter), {}
    leaves: dict[str, float] = {}
    for one in records:
        if one["type"] == "EOA":
            found[one["member"]].update({"orders": 1, "order_volume": one["quantity"]})
            immediate[one["orderID"]] = "IOC" in one["timeInForce"]
            leaves[one["orderID"]] = one["quantity"]
        elif one["type"] == "EOM":
            found[one["member"]].update({"orders": 2, "order_volume": leaves[one["orderID"]] + one["leavesQty"]})
            leaves[one["orderID"]] = one["leavesQty"]
        elif one["type"] == "EOC" and (one["initiator"] == "Firm" or immediate[one["orderID"]]):
            found[one["member"]].update({"orders": 1, "order_volume": one["cancelQty"]})
        elif one["type"] == "EOT":
            for side in ("buyDetails", "sellDetails"):
                found[one[side]["member"]].update({"executions": 1, "executed_volume": one["quantity"]})
                leaves[one[side]["orderID"]] = one[side]["leavesQty"]
    return found


def test_order_to_trade_ratios_are_what_the_exported_events_say():
    """By number and by volume, for each member."""
    facts = random_day()
    plain = plain_ratios(CatEvents(facts, MEMBERS).records())
    lines = {row["member"]: row for row in rows_of_csv(ratio_lines(facts, MEMBERS))}
    assert lines.keys() == plain.keys() == {"MEMBER1", "B2"}
    for member, row in lines.items():
        assert {name: int(row[name]) for name in ("orders", "executions", "order_volume", "executed_volume")} == plain[member]
        assert row["ratio_by_number"] == f"{plain[member]['orders'] / plain[member]['executions'] - 1:.4f}"


def test_a_member_above_a_limit_is_told_since_when():
    """Since the message after which it never was below again."""
    limits = replace(MEMBERS, otr_number_max=0.4)
    row = next(row for row in rows_of_csv(ratio_lines(random_day(), limits)) if row["member"] == "B2")
    assert float(row["ratio_by_number"]) > 0.4
    assert row["exceeded"] == "yes"
    assert row["exceeded_since"].startswith(DAY.compact)
    generous = replace(MEMBERS, otr_volume_max=1000.0)
    assert next(rows_of_csv(ratio_lines(random_day(), generous)))["exceeded"] == "no"


def test_halts_have_their_reason_and_the_prices_before_them():
    """In the order of the log."""
    rows = [row for row in rows_of_csv(halt_lines(reported_day().facts, REFERENCE)) if row["symbol"] == "AAPL"]
    assert [row["phase"] for row in rows] == ["PRE_OPEN", "CONTINUOUS", "HALTED", "VOLATILITY_AUCTION", "CONTINUOUS", "CLOSED"]
    assert (rows[2]["reason"], rows[2]["explanation"], rows[2]["last_price"]) == ("REGULATORY_HALT", "regulatory halt", "180")
    assert (rows[2]["trades_in_5_minutes"], rows[5]["trades_in_5_minutes"]) == ("11", "0")


def test_the_mean_of_five_minutes_is_of_whole_seconds_and_rounded_half_up():
    """The second that is 300 before does not count."""
    trades = np.zeros(3, [("transact_time", "<i8"), ("price", "<i8")])
    trades["transact_time"], trades["price"] = [0, SECOND, 2 * SECOND], [100, 10, 13]
    times = np.array([299 * SECOND, 300 * SECOND, 301 * SECOND + 5, 400 * SECOND, 5 * SECOND])
    counts, means = five_minutes(trades, times, np.array([3, 3, 3, 3, 0]))
    assert (counts.tolist(), means.tolist()) == ([3, 2, 1, 0, 0], [41, 12, 13, 0, 0])


def test_refusals_are_counted_by_account_and_rule():
    """With the sentence that the customer was given."""
    (row,) = rows_of_csv(refusal_lines(reported_day().facts, REFERENCE))
    assert (row["account"], row["symbol"], row["reason"], row["refusals"]) == ("6", "AAPL", "INVALID_QUANTITY", "1")


def test_a_day_without_any_message_has_empty_tables():
    """Only their headers: every report can be made of a day on which nothing happened."""
    day = reported_day()
    nothing = replace(
        day.facts, executions=day.facts.executions[:0], bids=day.facts.bids[:0], offers=day.facts.offers[:0], markets=day.facts.markets[:0],
        tops=day.facts.tops[:0], orders=day.facts.orders[:0], order_count=0, cl_ord_ids=day.facts.cl_ord_ids[:0], replaced={},
        messages=day.facts.messages[:0],
    )  # fmt: skip
    lines = {kind.name: len(list(kind.lines(nothing, REFERENCE))) for kind in KINDS.values()}
    assert lines == {"cat": 0, "quality": 1, "ratios": 1, "halts": 1, "refusals": 1, "summary": 1 + len(INSTRUMENTS), "clocks": 1}
