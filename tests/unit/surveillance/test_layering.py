"""The layering rule: each condition just met and just missed, what is not layering, and what an alert says."""

from typing import Any

import pytest
from support.records.watch_tape import BUY, INSTRUMENTS, SECOND, SELL, START, Tape

from matchers.books.reference.shard import BookShard
from matchers.rules.outputs import BOOK_COMMAND_DTYPE, rows_of
from schemas.codec import decode_record, encode_record
from schemas.enums import BookCommandKind, ExecFlag, ExecInst, ExecKind, OrdType, Phase, Side, TimeInForce
from schemas.reject_reasons import Reason
from surveillance import LayeringDetector, LayeringParameters, Place, Tracking, TradingWatch

RULES = LayeringParameters()
SPOOFER, VICTIM = 7, 8
LAYERING = (LayeringDetector,)
WHERE = Place(first_seq=1)


def layered(
    layers: int = 5, levels: int = 5, layer_qty: int = 100, sold: int = 100, side: int = BUY, cancel_at: float = 2.0, canceled: int | None = None,
    sell_at: float = 1.0, **sell: int,
) -> Tape:  # fmt: skip
    """The scenario: layers on one side at 0 s, a sale of `sold` to the victim at `sell_at`, then the first `canceled` layers canceled."""
    tape, away = Tape(), -1 if side == BUY else 1
    ids = [tape.new(0.0, SPOOFER, side, 18_000 + away * (1 + n % levels), layer_qty) for n in range(layers)]
    other = SELL if side == BUY else BUY
    resting = tape.new(0.5, VICTIM, side, 18_000, 10_000)
    genuine = tape.new(sell_at, SPOOFER, other, 18_000, sold, **sell)
    tape.trade(sell_at, genuine, resting, sold)
    for order_id in ids[:canceled]:
        tape.end(cancel_at, order_id)
    return tape


@pytest.mark.parametrize("side", [BUY, SELL])
def test_layers_an_execution_on_the_other_side_and_cancels_make_one_alert(side: int) -> None:
    """The whole pattern, on either side, is exactly one alert, for the account that did it and not for its victim."""
    alerts = layered(side=side).alerts(*LAYERING)
    assert [(alert["account"], alert["side"], alert["pattern"]) for alert in alerts] == [(SPOOFER, Side(side).name, "LAYERING")]


@pytest.mark.parametrize(
    ("met", "missed"),
    [
        pytest.param({"layers": 4, "sold": 50}, {"layers": 3, "levels": 3, "sold": 50}, id="orders_min"),
        pytest.param({"levels": 3}, {"levels": 2}, id="levels_min"),
        pytest.param({"sold": 125}, {"sold": 126}, id="imbalance_min"),
        pytest.param({"sell_at": 30.0, "cancel_at": 31.0}, {"sell_at": 30.000000001, "cancel_at": 31.0}, id="age_ns_max"),
        pytest.param({"cancel_at": 6.0}, {"cancel_at": 6.000000001}, id="cancel_within_ns"),
        pytest.param({"layers": 10, "canceled": 9}, {"layers": 10, "canceled": 8}, id="canceled_percent_min"),
    ],
)  # fmt: skip
def test_each_bound_is_inclusive(met: dict[str, Any], missed: dict[str, Any]) -> None:
    """Just met is an alert, just missed is none."""
    assert len(layered(**met).alerts(*LAYERING)) == 1
    assert layered(**missed).alerts(*LAYERING) == []


@pytest.mark.parametrize(("filled", "alerts"), [(50, 1), (51, 0)])
def test_layers_that_traded_more_than_the_bound_were_meant_to_trade(filled: int, alerts: int) -> None:
    """Ten percent of 500 entered lots is 50; the layer is canceled for its whole rest, so only the fill ratio decides."""
    tape = Tape()
    ids = [tape.new(0.0, SPOOFER, BUY, 17_999 - n, 100) for n in range(5)]
    tape.trade(0.2, tape.new(0.2, VICTIM, SELL, 17_999, filled), ids[0], filled)
    tape.trade(1.0, tape.new(1.0, SPOOFER, SELL, 18_000, 50), tape.new(0.5, VICTIM, BUY, 18_000, 50), 50)
    for order_id in ids:
        tape.end(2.0, order_id)
    assert len(tape.alerts(*LAYERING)) == alerts


@pytest.mark.parametrize(
    ("kind", "reason"),
    [(ExecKind.EXPIRED, Reason.END_OF_DAY), (ExecKind.CANCELED, Reason.PROTECTION_PRICE)],
)
def test_only_a_cancel_by_the_owner_counts(kind: int, reason: int) -> None:
    """An order that the exchange took out says nothing of its owner's intent."""
    tape = layered(canceled=0)
    for order_id in range(1, 6):
        tape.end(2.0, order_id, kind, reason)
    assert tape.alerts(*LAYERING) == []


def test_cancels_without_an_execution_on_the_other_side_are_no_alert() -> None:
    """Orders may be canceled; only the profit from the other side makes it layering."""
    tape = Tape()
    ids = [tape.new(0.0, SPOOFER, BUY, 17_999 - n, 100) for n in range(10)]
    for order_id in ids:
        tape.end(1.0, order_id)
    assert tape.alerts(*LAYERING) == []


def test_an_execution_of_another_account_or_instrument_does_not_count() -> None:
    """The evidence is of one account in one instrument."""
    for more in ({"account": 99}, {"instrument": 2}):
        tape = layered(canceled=0)
        rows = tape.rows
        for row in rows[-2:]:
            row.update(more)
        for order_id in range(1, 6):
            tape.end(2.0, order_id)
        if "account" in more:
            assert tape.alerts(*LAYERING) == []
        else:
            assert TradingWatch(INSTRUMENTS, LAYERING).apply(tape.array(), WHERE) == []


def test_the_genuine_order_may_rest_before_the_layers_come() -> None:
    """A spoofer may be hit by others, lured by the layers: then its order is the contra side of the trade."""
    tape = Tape()
    genuine = tape.new(0.0, SPOOFER, SELL, 18_001, 100)
    ids = [tape.new(0.1, SPOOFER, BUY, 17_999 - n, 100) for n in range(5)]
    tape.trade(1.0, tape.new(1.0, VICTIM, BUY, 18_001, 100), genuine, 100)
    for order_id in ids:
        tape.end(1.5, order_id)
    assert len(tape.alerts(*LAYERING)) == 1


def test_an_unfilled_rest_of_an_immediate_order_is_not_own_interest() -> None:
    """A sell of 10,000 IOC that trades 100 wanted 100 for all that others could see: it does not make the account two-sided."""
    tape = Tape()
    ids = [tape.new(0.0, SPOOFER, BUY, 17_999 - n, 100) for n in range(5)]
    resting = tape.new(0.5, VICTIM, BUY, 18_000, 100)
    genuine = tape.new(1.0, SPOOFER, SELL, 18_000, 10_000, time_in_force=TimeInForce.IOC)
    tape.trade(1.0, genuine, resting, 100)
    tape.end(1.0, genuine, reason=Reason.IMMEDIATE_OR_CANCEL)
    for order_id in ids:
        tape.end(1.5, order_id)
    assert len(tape.alerts(*LAYERING)) == 1


def test_a_market_maker_on_both_sides_is_never_reported() -> None:
    """Quotes five levels deep on both sides, is hit on every level, cancels all and quotes again, a hundred times."""
    tape, at, middle = Tape(), 0.0, 18_000
    for turn in range(100):
        quotes = {side: [tape.new(at, 1, side, middle + sign * (1 + n), 200) for n in range(5)] for side, sign in ((BUY, -1), (SELL, 1))}
        hit = BUY if turn % 2 else SELL
        at += 0.1
        taker = tape.new(at, VICTIM, SELL if hit == BUY else BUY, middle, 1_000, ord_type=OrdType.MARKET)
        for order_id in quotes[hit][: 1 + turn % 5]:
            tape.trade(at, taker, order_id, 200)
        tape.end(at, taker, reason=Reason.NO_LIQUIDITY)
        at += 0.1
        for side in (hit, BUY + SELL - hit):
            for order_id in quotes[side]:
                if side != hit or order_id not in quotes[hit][: 1 + turn % 5]:
                    tape.end(at, order_id)
        middle += 1 if hit == SELL else -1
    assert tape.alerts(*LAYERING) == []


def test_a_market_maker_hit_before_all_its_quotes_are_in_is_not_reported() -> None:
    """Its first ask trades while only the bids are there; by the time it quotes again its asks show what it is."""
    tape = Tape()
    bids = [tape.new(0.0, 1, BUY, 17_999 - n, 200) for n in range(5)]
    tape.trade(0.0, tape.new(0.0, 1, SELL, 18_001, 200), tape.new(0.0, VICTIM, BUY, 18_001, 200), 200)
    for n in range(4):
        tape.new(0.0, 1, SELL, 18_002 + n, 200)
    for order_id in bids:
        tape.end(0.5, order_id)
    assert tape.alerts(*LAYERING) == []


def test_an_attempt_counts_once_and_the_next_one_joins_the_episode() -> None:
    """The cancels behind the ninetieth percent repeat nothing; new layers and a new execution are one more occurrence."""
    tape = Tape()
    for turn in range(3):
        ids = [tape.new(turn * 3, SPOOFER, BUY, 17_999 - n, 100) for n in range(20)]
        resting = tape.new(turn * 3 + 0.5, VICTIM, BUY, 18_000, 50)
        tape.trade(turn * 3 + 1, tape.new(turn * 3 + 1, SPOOFER, SELL, 18_000, 50), resting, 50)
        for order_id in ids:
            tape.end(turn * 3 + 2, order_id)
    (alert,) = tape.alerts(*LAYERING)
    assert len([one for one in alert["evidence"] if one["role"] == "LAYER"]) == 20
    tape.time(700.0)
    closed = tape.revisions(*LAYERING)[-1]
    assert (closed["status"], closed["occurrences"], closed["evidence_total"]) == ("CLOSED", 3, 3 * 21)


def test_layers_on_alternating_sides_do_not_excuse_each_other() -> None:
    """Flagged layers count for nothing, so a spoofer cannot pass for a market maker by layering the other side next."""
    tape = Tape()
    for turn in range(4):
        side, other, away = (BUY, SELL, -1) if turn % 2 == 0 else (SELL, BUY, 1)
        ids = [tape.new(turn, SPOOFER, side, 18_000 + away * (1 + n), 500) for n in range(5)]
        resting = tape.new(turn + 0.1, VICTIM, side, 18_000, 50)
        tape.trade(turn + 0.2, tape.new(turn + 0.2, SPOOFER, other, 18_000, 50), resting, 50)
        for order_id in ids:
            tape.end(turn + 0.5, order_id)
    tape.time(700.0)
    assert tape.revisions(*LAYERING)[-1]["occurrences"] == 4


def test_the_alert_has_the_evidence_and_says_it_in_words() -> None:
    """Orders, times and quantities are those of the tape; the record is a valid Avro alert."""
    tape = layered(sold=50)
    alert = TradingWatch(INSTRUMENTS, LAYERING).apply(tape.array(), Place("executions", 1, 77, 500))[0]
    layer = alert["evidence"][0]
    assert layer == {
        "role": "LAYER", "order_id": 1, "side": "BUY", "price": 17_999, "qty": 100, "traded_qty": 0, "placed_at": START, "ended_at": START + 2 * SECOND,
        "account": SPOOFER, "trd_match_id": 0, "seq": 500, "offset": 77, "place": "", "instrument": 0,
    }  # fmt: skip
    execution = alert["evidence"][-1]
    assert execution == {
        "role": "EXECUTION", "order_id": 7, "side": "SELL", "price": 18_000, "qty": 50, "traded_qty": 50,
        "placed_at": START + SECOND, "ended_at": START + SECOND, "account": SPOOFER, "trd_match_id": 0, "seq": 506, "offset": 77, "place": "",
        "instrument": 0,
    }  # fmt: skip
    assert alert["explanation"].startswith(
        "Account 7 entered 5 buy orders for 500 AAPL at 5 prices from 179.95 to 179.99 within 0.000 s. While 500 of them rested, 10.0 times its "
        "own sell interest of 50, it sold 50 in 1 trade at 180. Within 1.000 s of its last sell it had canceled 500 of the layered 500 (100.0 %); "
        "0 (0.0 %) of the orders had been executed."
    )
    assert (alert["source"], alert["symbol"], alert["window_start"], alert["window_end"]) == (
        "executions/1@77",
        "AAPL",
        START,
        START + 2 * SECOND,
    )
    assert 0.9 < alert["score"] <= 1.0
    assert decode_record(encode_record("alert", alert)) == ("alert", alert)


def test_what_is_over_is_forgotten() -> None:
    """Ended orders leave memory once their interest has faded, episodes or not."""
    tape = layered()
    tape.end(3.0, 6)
    tape.time(60.0)
    tape.new(60.0, 9, BUY, 100, 1)
    watch = TradingWatch(INSTRUMENTS, LAYERING)
    assert len(watch.apply(tape.array(), WHERE)) == 1
    assert watch.stats().orders_tracked == 1
    kept = {name: len(array) for name, array in watch.snapshot().items() if name not in ("market", "episodes", "owners")}
    assert kept == {
        "orders": 1, "ended": 0, "layering.attempts": 0, "layering.layers": 0, "layering.executions": 0, "layering.done": 1, "clock": 1,
    }  # fmt: skip


def test_memory_is_bounded_by_forgetting_the_oldest_order() -> None:
    """With room for 100 orders, ten thousand open ones leave 100; a layer that was forgotten closes its episode without an alert."""
    tape = layered(canceled=0)
    for n in range(10_000):
        tape.new(1.5, 1_000 + n, BUY, 100, 1)
    for order_id in range(1, 6):
        tape.end(2.0, order_id)
    watch = TradingWatch(INSTRUMENTS, LAYERING, tracking=Tracking(orders_max=100))
    assert watch.apply(tape.array(), WHERE) == []
    assert watch.stats().orders_tracked == 100
    assert len(watch.snapshot()["layering.attempts"]) == 0


def test_an_unknown_order_is_left_out() -> None:
    """A trade or cancel of an order from before the watch began changes nothing and stops nothing."""
    tape = layered()
    watch = TradingWatch(INSTRUMENTS, LAYERING)
    assert watch.apply(tape.array()[-6:], WHERE) == []


def changed_layers(layer_qty: int = 100, **more: int) -> tuple[Tape, list[int], int, int]:
    """Five layers, the victim's order and the spoofer's own one, which has not traded yet: (tape, layers, own order, victim's order)."""
    tape = Tape()
    ids = [tape.new(0.0, SPOOFER, BUY, 18_000 - n, layer_qty, **more) for n in range(1, 6)]
    victim = tape.new(0.5, VICTIM, BUY, 18_000, 10_000)
    return tape, ids, tape.new(1.0, SPOOFER, SELL, 18_000, 50), victim


def test_a_hidden_order_is_no_layer_from_the_beginning_and_an_iceberg_is_what_it_shows() -> None:
    """NEW says what the market will see of it; before the first trade with it, nothing else does."""
    for display_qty, alerts in ((100, 1), (50, 1), (1, 0), (0, 0)):
        tape, ids, own, victim = changed_layers(display_qty=display_qty)
        tape.trade(1.0, own, victim, 50)
        for order_id in ids:
            tape.end(2.0, order_id)
        assert len(tape.alerts(*LAYERING)) == alerts, display_qty


@pytest.mark.parametrize(("layer", "alerts"), [({}, 1), ({"exec_inst": ExecInst.HIDDEN}, 0), ({"display_qty": 1}, 0)])
def test_the_book_says_itself_what_the_layers_display(layer: dict[str, int], alerts: int) -> None:
    """The whole pattern through the matching engine: plain layers, hidden ones, icebergs with a tip."""
    book, watch, found = BookShard(0, INSTRUMENTS, 1, levels=False), TradingWatch(INSTRUMENTS, LAYERING), []
    order = {"kind": BookCommandKind.NEW_ORDER, "instrument": 1, "ord_type": OrdType.LIMIT}
    of_spoofer = order | {"account": SPOOFER, "order_qty": 100}
    commands = [{"kind": BookCommandKind.TRADING_SESSION_CHANGE, "phase": Phase.CONTINUOUS}]
    commands += [of_spoofer | {"order_id": n, "side": BUY, "price": 18_000 - n} | layer for n in range(1, 6)]
    commands += [order | {"order_id": 6, "account": VICTIM, "side": BUY, "order_qty": 1_000, "price": 18_000}]
    commands += [of_spoofer | {"order_id": 7, "side": SELL, "price": 18_000}]
    commands += [{"kind": BookCommandKind.CANCEL, "instrument": 1, "account": SPOOFER, "order_id": n} for n in range(1, 6)]
    for at, command in enumerate(commands):
        rows = rows_of(BOOK_COMMAND_DTYPE, [command | {"transact_time": START + at * SECOND // 4}])
        found += watch.apply(book.apply(rows).executions, WHERE)
    assert len(found) == alerts


def test_an_order_that_is_hidden_or_shown_by_a_replace_counts_as_it_is_then() -> None:
    """REPLACED says it, at the old price and at another one."""
    for price_change in (0, -10):
        for display_qty, alerts in ((100, 1), (0, 0)):
            tape, ids, own, victim = changed_layers(display_qty=100 - display_qty)
            for order_id in ids:
                price = 18_000 - order_id + price_change
                tape.change(0.8, order_id, ExecKind.REPLACED, price=price, qty=100, leaves_qty=100, display_qty=display_qty)
            tape.trade(1.0, own, victim, 50)
            for order_id in ids:
                tape.end(2.0, order_id)
            assert len(tape.alerts(*LAYERING)) == alerts, (price_change, display_qty)


def test_what_nobody_sees_is_no_layer() -> None:
    """Orders that the book says to display nothing: told by a trade with each of them."""
    for display_qty, alerts in ((99, 1), (0, 0)):
        tape, ids, own, victim = changed_layers()
        buyer = tape.new(0.6, VICTIM, SELL, 17_000, 1_000)
        for order_id in ids:
            tape.trade(0.7, buyer, order_id, 1)
            tape.rows[-1]["display_qty"] = display_qty
        tape.trade(1.0, own, victim, 50)
        for order_id in ids:
            tape.end(2.0, order_id)
        assert len(tape.alerts(*LAYERING)) == alerts


def test_a_replace_to_less_is_a_cancellation() -> None:
    """99 of 100 lots taken away five times are as good as five cancels."""
    tape, ids, own, victim = changed_layers()
    tape.trade(1.0, own, victim, 50)
    for order_id in ids:
        tape.change(2.0, order_id, ExecKind.REPLACED, qty=1, leaves_qty=1, display_qty=1)
    assert len(tape.alerts(*LAYERING)) == 1


def test_an_old_order_that_is_replaced_to_another_price_is_a_new_one() -> None:
    """It has a new place in the book, and had no chance to trade there."""
    for moved, alerts in ((True, 1), (False, 0)):
        tape, ids, _, victim = changed_layers()
        for order_id in ids:
            price = 18_000 - order_id - 10 * moved
            tape.change(35.0, order_id, ExecKind.REPLACED, price=price, qty=100, leaves_qty=100, display_qty=100)
        own = tape.new(40.0, SPOOFER, SELL, 18_000, 50)
        tape.trade(40.0, own, victim, 50)
        for order_id in ids:
            tape.end(41.0, order_id)
        assert len(tape.alerts(*LAYERING)) == alerts


def test_stops_are_layers_once_they_are_triggered() -> None:
    """Before, they are in nobody's way."""
    for triggered, alerts in ((True, 1), (False, 0)):
        tape, ids, own, victim = changed_layers(ord_type=OrdType.STOP_LIMIT)
        for order_id in ids if triggered else ():
            tape.change(0.8, order_id, ExecKind.TRIGGERED, ord_type=OrdType.LIMIT, qty=100, display_qty=100)
        tape.trade(1.0, own, victim, 50)
        for order_id in ids:
            tape.end(2.0, order_id)
        assert len(tape.alerts(*LAYERING)) == alerts


def test_parked_pegs_are_no_layers() -> None:
    """Without a reference they are not in the book."""
    for reason, alerts in ((Reason.PEG_REPRICED, 1), (Reason.PEG_PARKED, 0)):
        tape, ids, own, victim = changed_layers(ord_type=OrdType.PEGGED)
        for order_id in ids:
            tape.change(0.8, order_id, ExecKind.RESTATED, reason=reason, display_qty=100 * (reason == Reason.PEG_REPRICED))
        tape.trade(1.0, own, victim, 50)
        for order_id in ids:
            tape.end(2.0, order_id)
        assert len(tape.alerts(*LAYERING)) == alerts


def test_an_operators_mass_cancel_is_not_the_owners_wish() -> None:
    """Nor is any other end that the owner did not ask for."""
    tape, ids, own, victim = changed_layers()
    tape.trade(1.0, own, victim, 50)
    for order_id in ids:
        tape.end(2.0, order_id, reason=Reason.MASS_CANCEL)
    assert tape.alerts(*LAYERING) == []


def test_an_execution_in_an_auction_is_an_execution() -> None:
    """In an uncross order_id is the buy, whoever came first."""
    tape, ids, own, victim = changed_layers()
    tape.trade(1.0, victim, own, 50)
    tape.rows[-1]["flags"] = ExecFlag.UNCROSS
    for order_id in ids:
        tape.end(2.0, order_id)
    assert len(tape.alerts(*LAYERING)) == 1
