"""The comparison of log, stores and clients: silent when all agree, and each disagreement by name."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from schemas.enums import OrdType, Side, TimeInForce
from schemas.instruments import load_instruments
from schemas.reject_reasons import Reason
from streams.demo import quiet
from streams.demo.bad_orders import BadKind
from streams.demo.commands import EXIT_CODES
from streams.demo.http_gateway import order_body
from streams.demo.log_facts import LogFacts, Traded
from streams.demo.market_watch import MarketWatcher, nanos_of
from streams.demo.quiet import Patience, caught_up, described, late_of, places_of
from streams.demo.reconcile import (
    AlertSeen,
    Check,
    ClientFacts,
    StoreFacts,
    Verdict,
    WatcherFacts,
    last_price_mismatches,
    reconcile,
    verdict_of,
)
from streams.demo.summary import Summary, percentile_ms
from streams.demo.topic_gateway import texts_of
from streams.demo.traders import NewOrder
from streams.operate.accounts import ApiKey

INSTRUMENTS = load_instruments(None)
TRADED = {1: Traded(2, 30, 540_300, 18_010, frozenset({11, 12}))}
ACCEPTED = frozenset({(1, "a"), (2, "b"), (3, "t")})
LOG = LogFacts(
    traded=TRADED, accepted=ACCEPTED, rejected={(2, "c"): Reason.INSUFFICIENT_SHARES}, orders_rejected=1, canceled=0, open_orders=1,
    deposited_cash=1_000, total_cash=1_000, money_conserved=True, shares_conserved=True, holds_agree=True,
)  # fmt: skip
ALERTS = frozenset({AlertSeen("x", 9, "LAYERING")})
STORE = StoreFacts(TRADED, ACCEPTED, 1, ALERTS, {0: 0, 1: 0})
WATCHER = WatcherFacts("w1", {1: frozenset({11, 12})}, {1: 30}, {1: 18_010}, 0)
CLIENTS = ClientFacts(
    frozenset({(1, "a")}), (), frozenset({(2, "c"), (3, "t")}), (), {(2, "c"): Reason.INSUFFICIENT_SHARES}, (), frozenset({9})
)


def checks_of(late: frozenset[str] = frozenset(), **changes: Any) -> list[Check]:
    """All checks, with some of the facts replaced."""
    facts: dict[str, Any] = {
        "log": LOG,
        "alerts": ALERTS,
        "mysql": STORE,
        "elastic": STORE,
        "redis": {1: 18_010},
        "watchers": [WATCHER],
        "clients": CLIENTS,
        "disturbed": False,
    }
    facts |= changes
    return reconcile(
        facts["log"], facts["alerts"], facts["mysql"], facts["elastic"], facts["redis"], facts["watchers"], facts["clients"], INSTRUMENTS, late,
        disturbed=facts["disturbed"],
    )  # fmt: skip


def failing(**changes: Any) -> set[str]:
    """Names of the checks that disagree."""
    return {check.name for check in checks_of(**changes) if not check.agrees}


def test_nothing_is_said_when_all_agree() -> None:
    """Every check of equal facts agrees."""
    assert failing() == set()


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"redis": {1: 18_011}}, {"AAPL last price"}),
        ({"redis": {}}, {"AAPL last price"}),
        ({"mysql": replace(STORE, traded={})}, {"AAPL trades", "AAPL each trade", "AAPL shares", "AAPL notional", "AAPL last price"}),
        ({"elastic": replace(STORE, traded={1: replace(TRADED[1], trade_ids=frozenset({11, 13}))})}, {"AAPL each trade"}),
        ({"mysql": replace(STORE, accepted=frozenset({(1, "a"), (2, "b"), (4, "z")}))}, {"each accepted order"}),
        ({"mysql": replace(STORE, accepted=frozenset({(2, "b"), (3, "t")}))},
         {"orders accepted", "each accepted order", "orders acknowledged over HTTP"}),
        ({"elastic": replace(STORE, rejected=2)}, {"orders rejected"}),
        ({"mysql": replace(STORE, trade_postings={0: 5})}, {"ledger postings sum to zero"}),
        ({"mysql": replace(STORE, imbalances=("x: 1",))}, {"contradictions between tables"}),
        ({"elastic": replace(STORE, alerts=frozenset())}, {"alerts"}),
        ({"alerts": frozenset(), "mysql": replace(STORE, alerts=frozenset()), "elastic": replace(STORE, alerts=frozenset())},
         {"the manipulators are caught, nobody else"}),
        ({"watchers": [WATCHER, replace(WATCHER, name="w2", trade_ids={1: frozenset({11})}, missing=1)]},
         {"AAPL trades", "AAPL each trade", "trades that a WebSocket client missed"}),
        ({"watchers": [WATCHER, replace(WATCHER, name="w2", qty={1: 31})]}, {"AAPL shares"}),
        ({"watchers": [WATCHER, replace(WATCHER, name="w2", last_px={1: 1})]}, {"AAPL last price"}),
        ({"log": replace(LOG, money_conserved=False)}, {"cash is conserved"}),
        ({"log": replace(LOG, shares_conserved=False)}, {"shares are conserved"}),
        ({"log": replace(LOG, holds_agree=False)}, {"holds are what open orders require"}),
        ({"log": replace(LOG, problems=("x",))}, {"contradictions inside the log"}),
        ({"clients": replace(CLIENTS, http_accepted=frozenset({(5, "lost")}))}, {"orders acknowledged over HTTP"}),
        ({"clients": replace(CLIENTS, http_unknown=((5, "u"),))}, {"orders without any answer"}),
        ({"clients": replace(CLIENTS, topic_posted=frozenset({(5, "lost")}))}, {"orders posted to the topic"}),
        ({"clients": replace(CLIENTS, topic_expected_rejects={(2, "c"): Reason.UNKNOWN_SYMBOL})}, {"bad orders with a wrong answer"}),
        ({"clients": replace(CLIENTS, surprises=("x",))}, {"bad orders with a wrong answer"}),
        ({"clients": replace(CLIENTS, manipulators=frozenset({8}))}, {"the manipulators are caught, nobody else"}),
    ],
)  # fmt: skip
def test_each_difference_is_named(changes: dict[str, Any], names: set[str]) -> None:
    """One wrong fact fails exactly the checks that look at it."""
    assert failing(**changes) == names


def test_under_faults_others_may_be_accused_and_some_manipulator_must_be_caught() -> None:
    """An innocent account's backlog looks like a flood."""
    burst = ALERTS | {AlertSeen("burst", 8, "QUOTE_STUFFING")}
    accused = {name: replace(STORE, alerts=burst) for name in ("mysql", "elastic")} | {"alerts": burst}
    (wrong,) = [check for check in checks_of(**accused) if not check.agrees]
    assert wrong.name == "the manipulators are caught, nobody else"
    assert wrong.problem == "account 8 is innocent and was accused of QUOTE_STUFFING"
    assert failing(**accused, disturbed=True) == set()
    slowed = {"clients": replace(CLIENTS, manipulators=CLIENTS.manipulators | {8})}
    assert failing(**slowed) == {"the manipulators are caught, nobody else"}
    assert failing(**slowed, disturbed=True) == set(), "the steps of one may have come too far apart"
    nobody = {name: replace(STORE, alerts=frozenset()) for name in ("mysql", "elastic")} | {"alerts": frozenset()}
    assert failing(**nobody, disturbed=True) == {"manipulators are caught"}


def test_a_last_price_that_differs_anywhere_is_counted() -> None:
    """The summary's last_price_mismatches counts instruments."""
    assert last_price_mismatches(checks_of(redis={})) == 1
    assert last_price_mismatches(checks_of()) == 0


def order(**changes: Any) -> NewOrder:
    """A limit order for 100 AAPL at 180.05."""
    fields = {"account": 1, "cl_ord_id": "o", "instrument": 1, "side": Side.BUY, "ord_type": OrdType.LIMIT, "time_in_force": TimeInForce.DAY,
              "order_qty": 100, "price": 18_005}  # fmt: skip
    return NewOrder(**{**fields, **changes})


def test_orders_become_the_json_of_the_alpaca_api() -> None:
    """Decimals are text; a market order has no price."""
    assert json.loads(order_body(order(), INSTRUMENTS)) == {
        "symbol": "AAPL", "qty": "100", "side": "buy", "type": "limit", "time_in_force": "day", "client_order_id": "o", "limit_price": "180.05",
    }  # fmt: skip
    market = json.loads(order_body(order(ord_type=OrdType.MARKET, time_in_force=TimeInForce.IOC, price=0), INSTRUMENTS))
    assert market["type"] == "market" and "limit_price" not in market
    guarded = json.loads(order_body(order(self_match_prevention_id=1), INSTRUMENTS))
    assert guarded["self_match_prevention_id"] == 1


def test_orders_that_are_bad_in_their_text_are_spoilt() -> None:
    """Each kind changes just the field that is wrong."""
    assert texts_of(order(bad=BadKind.OFF_TICK), INSTRUMENTS).price == "180.0501"
    assert texts_of(order(bad=BadKind.NEGATIVE_QUANTITY), INSTRUMENTS).order_qty == "-100"
    assert texts_of(order(bad=BadKind.UNKNOWN_SYMBOL), INSTRUMENTS).symbol == "NOPE"
    assert texts_of(order(bad=BadKind.NO_MONEY), INSTRUMENTS) == texts_of(order(), INSTRUMENTS)
    assert b'"qty": NaN' in order_body(order(bad=BadKind.NOT_A_NUMBER), INSTRUMENTS)


def trade(seq: int, number: int, price: str = "180.01") -> dict[str, Any]:
    """A trade message as the edge sends it, decimals parsed."""
    return {"T": "t", "S": "AAPL", "i": number, "p": Decimal(price), "s": 10, "t": "2026-01-02T03:04:05.000000006Z", "seq": seq}


def test_a_watcher_counts_gaps_and_ignores_repeats() -> None:
    """What is told again after a resume is not counted twice; what is skipped is missing."""
    watcher = MarketWatcher("w", lambda: "", ApiKey(1, "k", "s"), ["AAPL"])
    for message in (trade(1, 11), trade(2, 12), trade(2, 12), trade(1, 11), trade(4, 14, "180.02")):
        watcher._take(message, 0)
    seen = watcher.seen["AAPL"]
    assert (seen.trade_ids, seen.missing, seen.repeats, seen.last_seq) == ({11, 12, 14}, 1, 2, 4)
    assert (seen.last_price, seen.qty) == (Decimal("180.02"), Decimal(30))
    assert watcher._subscription()["resume"] == {"AAPL": 4}


def test_a_watcher_keeps_the_book_it_is_told() -> None:
    """A whole book replaces, changes apply, size 0 removes."""
    watcher = MarketWatcher("w", lambda: "", ApiKey(1, "k", "s"), ["AAPL"], "AAPL")

    def level(price: str, size: int) -> dict[str, Any]:
        return {"p": Decimal(price), "s": size}

    watcher._take({"T": "o", "S": "AAPL", "b": [level("1", 5), level("2", 6)], "a": [level("3", 7)], "r": True}, 0)
    watcher._take({"T": "o", "S": "AAPL", "b": [level("2", 0)], "a": [level("3", 9)], "r": False}, 0)
    assert watcher.tape.book(5) == ([(Decimal(1), 5)], [(Decimal(3), 9)])


def test_times_and_percentiles_are_exact() -> None:
    """Nanoseconds survive the text; the 99th percentile of a hundred values is the largest but none is invented."""
    assert nanos_of("2026-01-02T03:04:05.000000006Z") % 1_000_000_000 == 6
    values = list(range(1_000_000, 101_000_000, 1_000_000))
    assert (percentile_ms(values, 50), percentile_ms(values, 99), percentile_ms([], 50)) == (51.0, 100.0, None)


def verdicts(late: frozenset[str], **changes: Any) -> dict[str, Verdict]:
    """The verdicts of what does not agree, when these places are late."""
    return {check.name: check.verdict for check in checks_of(late=late, **changes) if not check.agrees}


LESS = replace(
    STORE, traded={1: Traded(1, 10, 180_000, 18_000, frozenset({11}))}, accepted=frozenset({(1, "a")}), rejected=0, alerts=frozenset()
)
MORE = replace(LESS, traded={1: Traded(1, 10, 180_000, 18_000, frozenset({13}))}, rejected=2)


def test_what_a_late_store_lacks_is_not_caught_up_and_no_disagreement() -> None:
    """Nothing is known of it yet; the same of a store that has read everything is wrong."""
    assert set(verdicts(frozenset({"elasticsearch"}), elastic=LESS).values()) == {Verdict.NOT_CAUGHT_UP}
    assert set(verdicts(frozenset({"mysql"}), mysql=replace(LESS, imbalances=("x: 1",), trade_postings={0: 5})).values()) == {
        Verdict.NOT_CAUGHT_UP
    }
    assert set(verdicts(frozenset({"redis"}), redis={}).values()) == {Verdict.NOT_CAUGHT_UP}
    assert set(verdicts(frozenset(), elastic=LESS).values()) == {Verdict.DISAGREES}
    assert set(verdicts(frozenset({"mysql"}), elastic=LESS).values()) == {Verdict.DISAGREES}, "who is late excuses nobody else"


def test_what_a_late_store_has_and_the_log_has_not_is_wrong() -> None:
    """Being late explains what is missing, not what was never there."""
    found = verdicts(frozenset({"elasticsearch"}), elastic=MORE)
    assert found["AAPL each trade"] is found["orders rejected"] is Verdict.DISAGREES
    assert found["AAPL trades"] is found["each accepted order"] is Verdict.NOT_CAUGHT_UP
    both = verdicts(frozenset({"elasticsearch"}), elastic=LESS, mysql=LESS)
    assert both["AAPL trades"] is Verdict.DISAGREES, "one of the two is not late"


def test_while_the_log_is_not_complete_nothing_is_known() -> None:
    """Orders are still being decided: clients know more than the log."""
    lost = replace(CLIENTS, http_accepted=frozenset({(5, "lost")}), topic_posted=frozenset({(5, "lost")}))
    assert set(verdicts(frozenset({"log"}), clients=lost).values()) == {Verdict.NOT_CAUGHT_UP}
    assert set(verdicts(frozenset({"mysql"}), clients=lost).values()) == {Verdict.DISAGREES}
    silent = {"alerts": frozenset(), "mysql": replace(STORE, alerts=frozenset()), "elastic": replace(STORE, alerts=frozenset())}
    assert verdicts(frozenset({"alerts"}), **silent) == {"the manipulators are caught, nobody else": Verdict.NOT_CAUGHT_UP}


def test_the_verdict_of_a_session_is_that_of_its_worst_fact() -> None:
    """And each of the three has an exit code of its own."""
    good, late, bad = Check("a"), Check("b", problem="x", verdict=Verdict.NOT_CAUGHT_UP), Check("c", problem="x", verdict=Verdict.DISAGREES)
    assert [verdict_of(checks) for checks in ([good], [good, late], [good, late, bad], [bad, late])] == [
        Verdict.AGREES, Verdict.NOT_CAUGHT_UP, Verdict.DISAGREES, Verdict.DISAGREES,
    ]  # fmt: skip
    assert len(set(EXIT_CODES.values())) == len(EXIT_CODES) == len(Verdict) and EXIT_CODES[Verdict.AGREES] == 0


def test_who_is_late_is_told_by_place_and_by_how_much() -> None:
    """A group that has read nothing is late too; a role that writes the log makes the log late."""
    ends = {("executions", 0): 10, ("executions", 1): 5, ("account.commands", 0): 7}
    positions = {
        "persist-mysql": {("executions", 0): 10, ("executions", 1): 5},
        "persist-elasticsearch": {("executions", 0): 4, ("executions", 1): 5},
        "persist-redis": {},
        "match-orders-b": {("account.commands", 0): 9},
    }
    late = late_of(positions, ends)
    assert late == {"persist-elasticsearch": {("executions", 0): 6}, "persist-redis": {}}
    assert places_of(late) == {"elasticsearch", "redis"}
    assert described(late) == "persist-elasticsearch (6 records), persist-redis (nothing read yet)"
    assert places_of({"hold-funds": {}, "watch-trading-b": {}}) == {"log", "alerts"}
    assert caught_up(late).verdict is Verdict.NOT_CAUGHT_UP and caught_up({}).agrees


def test_patience_lasts_for_as_long_as_something_moves_and_counts_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow: only what has stood still for the whole time is given up, and each line says how long that is."""
    now, told = [0.0], list[str]()
    monkeypatch.setattr(quiet.time, "monotonic", lambda: now[0])
    patience = Patience(10, told.append)
    for records in range(100, 0, -1):
        now[0] += 9
        assert not patience.over({"sink": records}, f"{records} records")
    now[0] += 9
    assert not patience.over({"sink": 1}, "1 record")
    now[0] += 2
    assert patience.over({"sink": 1}, "1 record")
    assert len(told) == 102 and told[-2] == "  909 s  waiting for 1 record; given up if nothing moves for 1 s more"


def test_a_summary_is_json_whatever_was_found(tmp_path: Path) -> None:
    """With facts of every verdict."""
    summary = Summary(checks=checks_of(late=frozenset({"mysql"}), mysql=LESS, elastic=LESS))
    summary.write(tmp_path / "summary.json")
    written = json.loads((tmp_path / "summary.json").read_text())["checks"]
    assert {check["verdict"] for check in written} == {"agree", "not caught up", "DISAGREE"}
    assert next(check for check in written if check["name"] == "orders rejected")["lacking"] == ["elasticsearch", "mysql"]
