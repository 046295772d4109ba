"""A simulated session on the reference machines alone: the traders trade, five manipulators are caught, the facts of the log hold."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest

from matchers.accounts.reference.shard import AccountShard
from matchers.books.reference.shard import BookShard
from matchers.settlement.reports import reports_of
from schemas.codec import FRAMES, Rows
from schemas.enums import AccountEventKind, BookCommandKind, CommandKind, ExecKind, Phase
from schemas.instruments import InstrumentTable, load_instruments
from schemas.reject_reasons import Reason
from streams.demo.bad_orders import EXPECTED, BadKind
from streams.demo.log_facts import LogFacts, facts_of
from streams.demo.manipulators import Pattern
from streams.demo.traders import TICK_S, Action, Channel, Crowd, NewOrder, Role, Trader, recruit
from surveillance import TradingWatch
from surveillance.alerts import Place

SESSION_S = 12
RATE = 200
ROW = FRAMES["order_command_frame"].dtype
START_NS = 1_800_000_000_000_000_000


@dataclass(frozen=True)
class Session:
    """Everything that a simulated session left behind."""

    traders: list[Trader]
    actions: list[Action]
    executions: Rows
    events: Rows
    texts: Rows
    alerts: list[dict[str, object]]
    facts: LogFacts


class Exchange:
    """One account shard and one book shard, called hand to hand."""

    def __init__(self, instruments: InstrumentTable) -> None:
        self._accounts, self._books = AccountShard(0, instruments), BookShard(0, instruments, 1)
        self.executions: list[Rows] = []
        self.events: list[Rows] = []
        self.texts: list[Rows] = []

    def command(self, rows: Rows, texts: Rows) -> None:
        """Orders through both shards and their reports back."""
        out = self._accounts.apply_commands(rows, texts, -1)
        self._keep(out.events, out.event_cl_ord_id)
        self.book(out.book_commands)

    def book(self, rows: Rows) -> None:
        """Book commands, and what the accounts hear of them."""
        if not len(rows):
            return
        executions = self._books.apply(rows).executions
        self.executions.append(executions)
        reports = reports_of(executions)
        if len(reports):
            out = self._accounts.apply_reports(reports)
            self._keep(out.events, out.event_cl_ord_id)

    def _keep(self, events: Rows, texts: Rows) -> None:
        self.events.append(events)
        self.texts.append(texts)


def row_of(action: Action, now: int) -> tuple[int, ...]:
    """An action as a row of an order_command_frame."""
    if isinstance(action, NewOrder):
        fields = {"kind": CommandKind.NEW_ORDER, "side": action.side, "ord_type": action.ord_type, "time_in_force": action.time_in_force,
                  "instrument": action.instrument, "order_qty": action.order_qty, "price": action.price,
                  "self_match_prevention_id": action.self_match_prevention_id}  # fmt: skip
    else:
        fields = {"kind": CommandKind.CANCEL}
    return tuple({**fields, "account": action.account, "transact_time": now}.get(name, 0) for name in ROW.names or ())


def deposits(traders: list[Trader], numbers: list[int]) -> Rows:
    """ACCOUNT_UPDATE rows that open every account."""
    rows = np.zeros(len(traders) * len(numbers), ROW)
    rows["kind"], rows["transact_time"] = CommandKind.ACCOUNT_UPDATE, START_NS
    rows["request_id"] = np.arange(1, len(rows) + 1)
    rows["account"] = np.repeat([trader.account for trader in traders], len(numbers))
    rows["instrument"] = np.tile(numbers, len(traders))
    rows["order_qty"] = np.repeat([trader.lots for trader in traders], len(numbers))
    rows["cash"][:: len(numbers)] = [trader.cash for trader in traders]
    return rows


@pytest.fixture(scope="module")
def session() -> Session:
    """Seed 1, 40 traders, 12 s of market time."""
    instruments = load_instruments(None)
    traders = recruit(40, instruments)
    exchange = Exchange(instruments)
    opening = deposits(traders, sorted(instruments.by_number))
    exchange.command(opening, np.zeros(len(opening), "S1"))
    phase = np.zeros(1, FRAMES["book_command_frame"].dtype)
    phase["kind"], phase["phase"], phase["transact_time"] = BookCommandKind.TRADING_SESSION_CHANGE, Phase.CONTINUOUS, START_NS
    exchange.book(phase)
    crowd, actions = Crowd(1, traders, instruments, RATE, SESSION_S), list[Action]()
    for tick in range(1, int(SESSION_S / TICK_S) + 1):
        now = START_NS + round(tick * TICK_S * 1e9)
        turn = [
            one for one in crowd.until(tick * TICK_S + 1e-6) if not isinstance(one, NewOrder) or not one.bad or not EXPECTED[one.bad].field
        ]
        actions += turn
        if turn:
            exchange.command(np.array([row_of(one, now) for one in turn], ROW), np.array([one.cl_ord_id for one in turn], "S"))
    executions, events, texts = (np.concatenate(part) for part in (exchange.executions, exchange.events, exchange.texts))
    alerts = [dict(alert) for alert in TradingWatch(instruments).apply(executions, Place())]
    return Session(traders, actions, executions, events, texts, alerts, facts_of(executions, events, texts, instruments))


def test_a_session_trades_in_every_instrument(session: Session) -> None:
    """Makers and takers meet: a good part of the orders trades, everywhere."""
    assert set(session.facts.traded) == set(load_instruments(None).by_number)
    assert session.facts.trades > 0.2 * len(session.facts.accepted)


def test_five_manipulators_are_caught_by_their_patterns_and_nobody_else_is_accused(session: Session) -> None:
    """Attempts within ten minutes are one episode, so each has one alert, which has revisions; honest traders give none."""
    did = {trader.account: trader.pattern for trader in session.traders if trader.pattern}
    assert set(did.values()) == set(Pattern)
    alerts = {alert["alert_id"]: (alert["account"], alert["pattern"]) for alert in session.alerts}
    assert sorted(alerts.values()) == sorted(did.items())


def test_orders_that_are_bad_on_purpose_are_refused_for_that_reason(session: Session) -> None:
    """The table of bad orders says what the account shard says."""
    seen = set()
    for action in session.actions:
        if isinstance(action, NewOrder) and action.bad:
            assert session.facts.rejected[action.account, action.cl_ord_id] == EXPECTED[action.bad].reason
            seen.add(action.bad)
    assert {BadKind.NO_MONEY, BadKind.NO_SHARES, BadKind.MARKET_TO_LIMIT_OPG, BadKind.ABOVE_QUANTITY_LIMIT} == seen


def test_honest_orders_are_hardly_ever_refused(session: Session) -> None:
    """Traders start with enough money and shares for a session."""
    bad = sum(isinstance(action, NewOrder) and action.bad is not None for action in session.actions)
    assert session.facts.orders_rejected == bad


def test_the_facts_of_a_sound_log_have_no_problems(session: Session) -> None:
    """Money, shares, holds, levels and sequences agree, with orders still resting."""
    facts = session.facts
    assert facts.problems == ()
    assert facts.money_conserved and facts.shares_conserved and facts.holds_agree
    assert facts.open_orders > 10 and facts.total_cash == facts.deposited_cash > 0


def test_a_seed_is_a_session_whatever_the_pace() -> None:
    """The same actions come out, asked for once or in small steps; another seed gives others."""
    instruments = load_instruments(None)
    traders = recruit(10, instruments)
    at_once = list(Crowd(7, traders, instruments, 100, 5).until(5))
    crowd = Crowd(7, traders, instruments, 100, 5)
    assert [action for step in range(1, 51) for action in crowd.until(step / 10 + 1e-9)] == at_once
    assert list(Crowd(8, traders, instruments, 100, 5).until(5)) != at_once


def test_traders_are_split_evenly_over_channels_and_shards() -> None:
    """Each channel has accounts of both parities, makers and takers."""
    traders = recruit(100, load_instruments(None))
    by_channel = Counter((trader.channel, trader.account % 2) for trader in traders)
    assert min(by_channel.values()) >= 24 and len(by_channel) == 4
    assert Counter(trader.role for trader in traders) == {Role.MAKER: 20, Role.TAKER: 75, Role.MANIPULATOR: 5}
    assert {trader.channel for trader in traders if trader.role is Role.MAKER} == set(Channel)


def tampered(session: Session, change: str) -> LogFacts:
    """The facts after one lie in the log."""
    executions, events = session.executions.copy(), session.events.copy()
    trade = int(np.flatnonzero(events["kind"] == AccountEventKind.TRADE)[0])
    first_trade = int(np.flatnonzero(executions["kind"] == ExecKind.TRADE)[0])
    if change == "cash":
        events["cash_delta"][trade] += 1
    elif change == "shares":
        events["shares_delta"][trade] += 1
    elif change == "hold":
        last = int(np.flatnonzero(events["account"] == session.traders[0].account)[-1])
        events["cash_held"][last] += 1
    elif change == "settled twice":
        events = np.concatenate([events, events[trade : trade + 1]])
        return facts_of(executions, events, np.append(session.texts, session.texts[trade]), load_instruments(None))
    elif change == "lost trade":
        executions = np.delete(executions, first_trade)
    elif change == "level":
        executions["qty"][int(np.flatnonzero(executions["kind"] == ExecKind.LEVEL)[-1])] += 1
    return facts_of(executions, events, session.texts, load_instruments(None))


@pytest.mark.parametrize("change", ["cash", "shares", "hold", "settled twice", "lost trade", "level"])
def test_one_lie_in_the_log_is_noticed(session: Session, change: str) -> None:
    """Each kind of damage is named, and only what it touches is in doubt."""
    facts = tampered(session, change)
    assert facts.problems
    assert facts.money_conserved == (change not in ("cash", "settled twice"))
    assert facts.shares_conserved == (change not in ("shares", "settled twice"))
    if change == "hold":
        assert not facts.holds_agree


def test_an_empty_log_has_empty_facts() -> None:
    """Nothing happened, nothing is wrong."""
    facts = facts_of(
        np.zeros(0, FRAMES["execution_frame"].dtype),
        np.zeros(0, FRAMES["account_event_frame"].dtype),
        np.zeros(0, "S1"),
        load_instruments(None),
    )
    assert (facts.trades, facts.problems, facts.total_cash) == (0, (), 0)


def test_every_kind_of_bad_order_has_exactly_one_expected_answer() -> None:
    """The table is total; on the topic either the library refuses or the log does."""
    assert EXPECTED.keys() == set(BadKind)
    for expected in EXPECTED.values():
        assert bool(expected.field) != (expected.reason != Reason.NONE)
