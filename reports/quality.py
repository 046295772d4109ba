"""Execution quality by symbol, order type and size, modelled on Rule 605 as amended in 2024 (34-99679). No I/O.

A covered order came in continuous trading, while there was a bid below an offer. It is compared with the best prices before it: a market order or a
limit that could trade at once, from its receipt; another limit, from when it was executable, which is when no better displayed order stood before it,
or it traded; a stop, from its election. Orders for auctions only, pegs and fill-or-kill have special handling and are not covered; executions in auctions
and trades that were undone on the day do not count.

A day's lines are sums, so that lines of days add up to a month; `month_lines` divides them. Spreads are twice the distance from the middle of bid and
offer: 2 x price - bid - offer ticks for a buy. Each is weighted by lots.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

import numpy as np

from reports.facts import DayFacts
from reports.reference import Reference
from reports.tables import csv_lines, group_starts
from schemas.codec import Rows
from schemas.enums import ExecFlag, ExecKind, OrdType, Phase, Side, TimeInForce
from schemas.instruments import Instrument, InstrumentTable
from schemas.units import MINOR_PER_UNIT

HORIZONS_MS: Final = (50, 1_000, 15_000, 60_000, 300_000)
"""After an execution, of realised spreads."""
SPEEDS_US: Final = (100, 1_000, 10_000, 100_000, 1_000_000, 30_000_000, 60_000_000, 300_000_000)
"""Upper bounds of the times to execution by which shares are counted; the last count is of longer ones. Ours."""
NOTIONALS: Final = (250, 1_000, 5_000, 10_000, 20_000, 50_000, 200_000)
"""Upper bounds of the sizes of orders, currency units; the last size has none."""
ROUND_LOTS: Final = ((Decimal(250), 100), (Decimal(1_000), 40), (Decimal(10_000), 10))
"""Shares of a round lot up to a reference price (Rule 600); 1 above."""
_MICRO_NS: Final = 1_000
_MILLI_NS: Final = 1_000_000
_STOPS: Final = (OrdType.STOP, OrdType.STOP_LIMIT, OrdType.TRAILING_STOP, OrdType.TRAILING_STOP_LIMIT)
_SPECIAL: Final = (TimeInForce.OPG, TimeInForce.CLS, TimeInForce.FOK)
_NEVER: Final = np.iinfo(np.int64).max


class OrderType(StrEnum):
    """The order types of the report."""

    MARKET = "market"
    MARKETABLE = "marketable_limit"
    MARKETABLE_IOC = "marketable_limit_ioc"
    MIDPOINT = "midpoint_or_better_limit"
    MIDPOINT_IOC = "midpoint_or_better_limit_ioc"
    RESTING = "executable_limit"
    RESTING_IOC = "executable_limit_ioc"
    STOP = "executable_stop"


_TYPES: Final = tuple(OrderType)
_LOT_CLASSES: Final = ("fractional", "odd", "round")
_KEYS: Final = ("symbol", "order_type", "notional_below", "lots")
SUMS: Final = (
    "orders", "lots_ordered", "lots_canceled", "lots_executed", "lots_improved", "improvement", "lots_at_quote", "lots_outside", "outside",
    "time_us", "effective", "quoted", *(f"realised_{ms}ms" for ms in HORIZONS_MS), *(f"lots_known_{ms}ms" for ms in HORIZONS_MS),
    *(f"lots_within_{us}us" for us in SPEEDS_US), "lots_later",
)  # fmt: skip
"""Of a day's line: lots; amounts in ticks x lots, improvement and outside once, spreads twice; time in us x lots."""
DAY_COLUMNS: Final = (*_KEYS, *SUMS)
MONTH_COLUMNS: Final = (
    *_KEYS, "orders", "shares", "canceled_shares", "executed_shares", "shares_improved", "average_improvement", "shares_at_quote", "shares_outside_quote",
    "average_outside", "average_time_ms", "average_effective_spread", "average_quoted_spread", "effective_over_quoted",
    *(f"average_realised_spread_{ms}ms" for ms in HORIZONS_MS), *(f"shares_within_{us}us" for us in SPEEDS_US), "shares_later",
)  # fmt: skip


@dataclass(frozen=True)
class _Covered:
    """Covered orders, one entry each, and their executions."""

    order: Rows
    """Index into the facts' orders."""
    type: Rows
    """Index into _TYPES."""
    price: Rows
    """By which its size is measured, ticks."""
    lots: Rows
    since_ns: Rows
    """From when it is compared, and with which prices, ticks."""
    bid: Rows
    offer: Rows


@dataclass(frozen=True)
class Fills:
    """Executions outside of auctions, one entry for each side, by order and rpt_seq."""

    order: Rows
    row: Rows
    lots: Rows
    price: Rows


def quality_lines(facts: DayFacts, _reference: Reference) -> Iterator[bytes]:
    """CSV with a header: the sums of a day, see SUMS."""
    return csv_lines(DAY_COLUMNS, _lines(facts))


def _lines(facts: DayFacts) -> Iterator[tuple[Any, ...]]:
    fills = fills_of(facts)
    covered = _covered(facts, fills)
    values = _values(facts, covered, fills)
    orders = facts.orders[covered.order]
    notional, lot_class = _sizes(facts.instruments, orders["instrument"], covered.price, covered.lots)
    by_key = np.lexsort((lot_class, notional, covered.type, orders["instrument"]))
    keys = [column[by_key] for column in (orders["instrument"], covered.type, notional, lot_class)]
    starts = group_starts(*keys)
    if not len(starts):
        return
    totals = [_group_sums(values[name][by_key], starts) for name in SUMS]
    for at, start in enumerate(starts.tolist()):
        number, order_type, size, lots = (int(column[start]) for column in keys)
        bound = NOTIONALS[size] if size < len(NOTIONALS) else ""
        yield (
            facts.instruments.by_number[number].symbol, _TYPES[order_type], bound, _LOT_CLASSES[lots], *(column[at] for column in totals)
        )  # fmt: skip


def _group_sums(values: Rows, starts: Rows) -> list[int]:
    """Exact sums: the halves of 64 bits are added apart, as their sums may need more."""
    low, high = np.add.reduceat(values & 0xFFFFFFFF, starts), np.add.reduceat(values >> 32, starts)
    return [(one << 32) + other for one, other in zip(high.tolist(), low.tolist(), strict=True)]


# ---- which orders


def fills_of(facts: DayFacts) -> Fills:
    """Every execution of the day that counts."""
    rows = facts.executions
    busted = rows["trd_match_id"][rows["kind"] == ExecKind.TRADE_BUSTED]
    counts = (rows["kind"] == ExecKind.TRADE) & (rows["flags"] & ExecFlag.UNCROSS == 0) & ~np.isin(rows["trd_match_id"], busted)
    at = np.flatnonzero(counts)
    order = np.concatenate([facts.order_rows(rows["order_id"][at]), facts.order_rows(rows["contra_order_id"][at])])
    place = np.concatenate([at, at])
    by_order = np.lexsort((place, order))
    place = place[by_order]
    return Fills(order[by_order], place, rows["qty"][place], rows["price"][place])


def _covered(facts: DayFacts, fills: Fills) -> _Covered:
    rows, orders = facts.executions, facts.orders
    first = np.flatnonzero((rows["kind"] == ExecKind.NEW) | (rows["kind"] == ExecKind.TRIGGERED))
    order = facts.order_rows(rows["order_id"][first])
    is_stop = np.isin(orders["ord_type"][order], _STOPS)
    elected = rows["kind"][first] == ExecKind.TRIGGERED
    bid, offer = facts.bids[first], facts.offers[first]
    usable = (
        (is_stop == elected) & (bid > 0) & (bid < offer) & _is_continuous(facts, first) & (orders["ord_type"][order] != OrdType.PEGGED)
        & ~np.isin(orders["time_in_force"][order], _SPECIAL)
    )  # fmt: skip
    first, order, is_stop, bid, offer = (column[usable] for column in (first, order, is_stop, bid, offer))
    buys, limit = orders["side"][order] == Side.BUY, rows["price"][first]
    is_limit = rows["ord_type"][first] == OrdType.LIMIT
    marketable = np.where(buys, limit >= offer, limit <= bid)
    inside = np.where(buys, 2 * limit >= bid + offer, 2 * limit <= bid + offer)
    kind = np.where(marketable, 1, np.where(inside, 3, 5)) + (orders["time_in_force"][order] == TimeInForce.IOC)
    kind = np.where(is_stop, len(_TYPES) - 1, np.where(is_limit, kind, 0))
    measured = np.where(is_limit, limit, np.where(buys, offer, bid))
    waiting = is_limit & ~marketable & ~is_stop & np.where(buys, limit < bid, limit > offer)
    since, bid, offer = _executable_since(facts, fills, first, order, np.where(waiting, limit, 0), bid, offer)
    known = since < _NEVER
    return _Covered(*(column[known] for column in (order, kind, measured, rows["qty"][first], since, bid, offer)))


def _is_continuous(facts: DayFacts, at: Rows) -> Any:
    """Whether an instrument was in continuous trading at these rows; a day that has not said otherwise began so."""
    statuses = facts.markets[facts.markets["kind"] == ExecKind.SECURITY_STATUS]
    keys, wanted = _place(statuses), _place(facts.executions[at])
    if not len(statuses):
        return np.ones(len(at), bool)
    last = np.searchsorted(keys, wanted) - 1
    known = (last >= 0) & (statuses["instrument"][last] == facts.executions["instrument"][at])
    return ~known | (statuses["phase"][last] == Phase.CONTINUOUS)


def _place(rows: Rows) -> Rows:
    found: Rows = rows["instrument"].astype(np.int64) << 47 | rows["rpt_seq"].astype(np.int64)
    return found


def _executable_since(
    facts: DayFacts, fills: Fills, first: Rows, order: Rows, waiting: Rows, bid: Rows, offer: Rows
) -> tuple[Rows, Rows, Rows]:
    """For each order the time from which it is executable, and bid and offer then. _NEVER: it was not.

    waiting: the limit of an order behind the best price of its side, else 0. It is executable once that price is no better than its limit, or it trades.
    """
    rows = facts.executions
    since = rows["transact_time"][first].astype(np.int64)
    bid, offer = bid.copy(), offer.copy()
    first_fill, ended = (np.full(len(facts.orders), _NEVER) for _ in range(2))
    filled, at_fill = np.unique(fills.order, return_index=True)
    first_fill[filled] = fills.row[at_fill]
    gone = np.flatnonzero(np.isin(rows["kind"], (ExecKind.CANCELED, ExecKind.EXPIRED)))
    ended[facts.order_rows(rows["order_id"][gone])] = rows["rpt_seq"][gone]
    buys = facts.orders["side"][order] == Side.BUY
    for number in np.unique(rows["instrument"][first[waiting > 0]]).tolist():
        tops = facts.tops[facts.tops["instrument"] == number]
        for side in Side:
            asked = np.flatnonzero((waiting > 0) & (buys == (side == Side.BUY)) & (rows["instrument"][first] == number))
            own, other = tops[tops["side"] == side], tops[tops["side"] != side]
            worse = np.where(own["price"] == 0, -_NEVER, own["price"] if side == Side.BUY else -own["price"])
            bounds = waiting[asked] if side == Side.BUY else -waiting[asked]
            start = np.searchsorted(own["rpt_seq"], rows["rpt_seq"][first[asked]])
            reached = np.array(_next_at_most(worse.tolist(), start.tolist(), bounds.tolist()), np.int64)
            top_seq = np.append(own["rpt_seq"].astype(np.int64), _NEVER)[reached]
            fill = first_fill[order[asked]]
            inside = np.minimum(fill, len(rows) - 1)
            fill_seq = np.where(fill < _NEVER, rows["rpt_seq"][inside].astype(np.int64), _NEVER)
            by_fill, seq = fill_seq <= top_seq, np.minimum(fill_seq, top_seq)
            never = (seq == _NEVER) | (seq > ended[order[asked]])
            place = np.minimum(reached, max(len(own) - 1, 0))
            across = np.searchsorted(other["rpt_seq"], own["rpt_seq"][place]) - 1
            own_price, other_price = own["price"][place], np.where(across >= 0, other["price"][np.maximum(across, 0)], 0)
            bids, offers = (own_price, other_price) if side == Side.BUY else (other_price, own_price)
            bids, offers = np.where(by_fill, facts.bids[inside], bids), np.where(by_fill, facts.offers[inside], offers)
            usable = (bids > 0) & (bids < offers)
            bid[asked], offer[asked] = np.where(usable, bids, bid[asked]), np.where(usable, offers, offer[asked])
            times = np.where(by_fill, rows["transact_time"][inside], own["transact_time"][place])
            since[asked] = np.where(never, _NEVER, times)
    return since, bid, offer


def _next_at_most(values: list[int], starts: list[int], bounds: list[int]) -> list[int]:
    """For each (start, bound) the first place from `start` on with a value of at most `bound`; len(values): there is none.

    From the end backwards: `least` has the places at which a running minimum from there on is reached, the nearest last, so their values fall towards the
    beginning of the list and can be searched.
    """
    found = [len(values)] * len(starts)
    by_start = sorted(range(len(starts)), key=starts.__getitem__, reverse=True)
    places: list[int] = []
    least: list[int] = []
    at = len(values)
    for query in by_start:
        while at > starts[query]:
            at -= 1
            while least and least[-1] >= values[at]:
                least.pop()
                places.pop()
            least.append(values[at])
            places.append(at)
        above = bisect_left(least, bounds[query] + 1)
        if above:
            found[query] = places[above - 1]
    return found


# ---- what is counted of them


def _values(facts: DayFacts, covered: _Covered, fills: Fills) -> dict[str, Rows]:
    """Each of SUMS, by covered order."""
    rows = facts.executions
    place_of = np.full(len(facts.orders), -1, np.int64)
    place_of[covered.order] = np.arange(len(covered.order))
    at = place_of[fills.order]
    known = at >= 0
    at, row, lots, price = at[known], fills.row[known], fills.lots[known], fills.price[known]
    buys = facts.orders["side"][covered.order[at]] == Side.BUY
    sign = np.where(buys, 1, -1)
    bid, offer = covered.bid[at], covered.offer[at]
    better = np.where(buys, offer - price, price - bid)
    waited_us = np.maximum(rows["transact_time"][row] - covered.since_ns[at], 0) // _MICRO_NS
    speed = np.searchsorted(SPEEDS_US, waited_us, side="right")
    columns = {
        "lots_executed": lots, "lots_improved": np.where(better > 0, lots, 0), "improvement": np.where(better > 0, better * lots, 0),
        "lots_at_quote": np.where(better == 0, lots, 0), "lots_outside": np.where(better < 0, lots, 0),
        "outside": np.where(better < 0, -better * lots, 0), "time_us": waited_us * lots, "effective": sign * (2 * price - bid - offer) * lots,
        "quoted": (offer - bid) * lots,
    }  # fmt: skip
    for ms in HORIZONS_MS:
        middle = twice_middle_at(facts, rows["instrument"][row], rows["transact_time"][row] + ms * _MILLI_NS)
        columns[f"realised_{ms}ms"] = np.where(middle > 0, sign * (2 * price - middle) * lots, 0)
        columns[f"lots_known_{ms}ms"] = np.where(middle > 0, lots, 0)
    for number, name in enumerate((*(f"lots_within_{us}us" for us in SPEEDS_US), "lots_later")):
        columns[name] = np.where(speed == number, lots, 0)
    count = len(covered.order)
    found = {name: _by_order(values, at, count) for name, values in columns.items()}
    canceled = np.flatnonzero(np.isin(rows["kind"], (ExecKind.CANCELED, ExecKind.EXPIRED)))
    of_order = place_of[facts.order_rows(rows["order_id"][canceled])]
    found["lots_canceled"] = _by_order(rows["qty"][canceled][of_order >= 0], of_order[of_order >= 0], count)
    return found | {"orders": np.ones(count, np.int64), "lots_ordered": covered.lots}


def _by_order(values: Rows, at: Rows, count: int) -> Rows:
    found = np.zeros(count, np.int64)
    np.add.at(found, at, values)
    return found


def twice_middle_at(facts: DayFacts, instruments: Rows, times: Rows) -> Rows:
    """Bid + offer (ticks) of the instruments at these times; 0 where one of them is missing."""
    found = np.zeros(len(times), np.int64)
    for number in np.unique(instruments).tolist():
        asked = np.flatnonzero(instruments == number)
        parts = []
        for side in Side:
            tops = facts.tops[(facts.tops["instrument"] == number) & (facts.tops["side"] == side)]
            last = np.searchsorted(tops["transact_time"], times[asked], side="right") - 1
            parts.append(np.where(last >= 0, tops["price"][np.maximum(last, 0)], 0) if len(tops) else np.zeros(len(asked), np.int64))
        found[asked] = np.where((parts[0] > 0) & (parts[1] > 0), parts[0] + parts[1], 0)
    return found


def _sizes(instruments: InstrumentTable, numbers: Rows, price: Rows, lots: Rows) -> tuple[Rows, Rows]:
    """By order: place of its notional among NOTIONALS, and of its lot class among _LOT_CLASSES."""
    minor = price * lots * instruments.rules["lot_minor_per_tick"][numbers]
    notional = np.searchsorted([bound * MINOR_PER_UNIT for bound in NOTIONALS], minor, side="right")
    lot_class = np.zeros(len(lots), np.int64)
    for number in np.unique(numbers).tolist():
        own = numbers == number
        one = instruments.by_number[number]
        bounds = [_lots_of(one, Decimal(1)), _lots_of(one, Decimal(round_lot(one)))]
        lot_class[own] = np.searchsorted(bounds, lots[own], side="right")
    return notional, lot_class


def _lots_of(one: Instrument, shares: Decimal) -> int:
    """The fewest lots that have so many shares."""
    return int(-(-shares // one.lot_size))


def round_lot(one: Instrument) -> int:
    """Shares of a round lot."""
    return next((shares for bound, shares in ROUND_LOTS if one.reference_price <= bound), 1)


# ---- a month


def month_lines(days: Iterable[Mapping[str, str]], instruments: InstrumentTable) -> Iterator[bytes]:
    """CSV with a header: averages of the sums of the days. Amounts are decimal text, per share; a share-weighted average without shares is empty."""
    totals: dict[tuple[str, ...], list[int]] = {}
    for row in days:
        sums = totals.setdefault(tuple(row[name] for name in _KEYS), [0] * len(SUMS))
        for at, name in enumerate(SUMS):
            sums[at] += int(row[name])
    ordered = sorted(
        totals.items(), key=lambda item: (item[0][0], _TYPES.index(OrderType(item[0][1])), int(item[0][2] or 10**9), item[0][3])
    )
    return csv_lines(MONTH_COLUMNS, (_month_line(key, dict(zip(SUMS, sums, strict=True)), instruments) for key, sums in ordered))


def _month_line(key: tuple[str, ...], sums: Mapping[str, int], instruments: InstrumentTable) -> tuple[Any, ...]:
    one = instruments.by_symbol[key[0]]
    executed = sums["lots_executed"]
    realised = [_average(sums[f"realised_{ms}ms"], sums[f"lots_known_{ms}ms"], one.tick_size) for ms in HORIZONS_MS]
    speeds = [one.qty_text(sums[name]) for name in (*(f"lots_within_{us}us" for us in SPEEDS_US), "lots_later")]
    return (
        *key, sums["orders"], *(one.qty_text(sums[name]) for name in ("lots_ordered", "lots_canceled", "lots_executed", "lots_improved")),
        _average(sums["improvement"], sums["lots_improved"], one.tick_size), one.qty_text(sums["lots_at_quote"]), one.qty_text(sums["lots_outside"]),
        _average(sums["outside"], sums["lots_outside"], one.tick_size), _average(sums["time_us"], executed, Decimal("0.001")),
        _average(sums["effective"], executed, one.tick_size), _average(sums["quoted"], executed, one.tick_size),
        _average(sums["effective"], sums["quoted"], Decimal(1)), *realised, *speeds,
    )  # fmt: skip


def _average(total: int, weight: int, unit: Decimal) -> str:
    """To six decimals."""
    return f"{total * unit / weight:.6f}" if weight else ""
