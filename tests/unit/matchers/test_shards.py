"""What shells rely on beyond the rules: snapshots, room, faults of ours, settlement reports."""

import itertools
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from matchers.accounts import shard as account_shard
from matchers.accounts.reference import shard as reference_account_shard
from matchers.books import shard as book_shard
from matchers.books.reference import shard as reference_book_shard
from matchers.rules.outputs import BOOK_COMMAND_DTYPE, COMMAND_DTYPE, EXECUTION_DTYPE, REPORT_DTYPE, python_rows, rows_of
from matchers.settlement.reports import QUIET_RESTATEMENTS, REPORT_OF, reports_of
from matchers.warm import warm
from schemas.enums import (
    AccountEventKind,
    AccountStatus,
    BookCommandKind,
    CommandKind,
    ExecFlag,
    ExecKind,
    OrdStatus,
    OrdType,
    Phase,
    ReportKind,
    Side,
    TimeInForce,
)
from schemas.errors import StaleData
from schemas.instruments import Instrument, InstrumentTable
from schemas.reject_reasons import Reason

_REQUEST_IDS = itertools.count(1)
ACCOUNT_MODULES: list[Any] = [reference_account_shard, account_shard]
BOOK_MODULES: list[Any] = [reference_book_shard, book_shard]


def instruments(count: int = 1) -> InstrumentTable:
    """Reference 100 ticks."""
    one = Decimal(1)
    return InstrumentTable(Instrument(n, f"I{n}", "", one / 100, one, Decimal(10**6), Decimal(10**9), one, 20) for n in range(1, count + 1))


def commands(**columns: Any) -> Any:
    """NEW_ORDER rows from arrays or numbers."""
    base = {
        "kind": CommandKind.NEW_ORDER,
        "instrument": 1,
        "account": 1,
        "side": Side.BUY,
        "ord_type": OrdType.LIMIT,
        "order_qty": 1,
        "price": 100,
    }
    count = max(np.size(value) for value in columns.values())
    rows = np.zeros(count, COMMAND_DTYPE)
    rows["request_id"] = [next(_REQUEST_IDS) for _ in range(count)]
    for column, value in (base | columns).items():
        rows[column] = value
    return rows


def texts(count: int, prefix: str = "c") -> Any:
    """Distinct cl_ord_ids."""
    return np.array([f"{prefix}{n}".encode() for n in range(count)])


@pytest.mark.parametrize("module", ACCOUNT_MODULES)
def test_a_report_that_does_not_fit_the_state_is_left_out_and_told_and_the_others_of_its_frame_are_applied(module: Any) -> None:
    """A shard that stopped for it would stop at it for ever. Nothing of it is applied, not even its time."""
    trade: dict[str, int] = {
        "kind": ReportKind.TRADE,
        "order_id": 1,
        "account": 1,
        "instrument": 1,
        "last_px": 100,
        "last_qty": 1,
        "leaves_qty": 0,
    }
    faults: list[dict[str, int]] = [
        {"order_id": 2}, {"account": 2}, {"instrument": 2}, {"kind": 99}, {"last_qty": 2}, {"leaves_qty": 1}, {"last_px": 101}, {"last_qty": 0},
        {"kind": ReportKind.CANCELED, "last_qty": 2}, {"kind": ReportKind.CANCELED, "reason": Reason.REQUESTED_BY_CUSTOMER},
        {"kind": ReportKind.CANCEL_REJECTED}, {"kind": ReportKind.CANCELED, "reason": Reason.REPLACED_TO_NOTHING},
        {"kind": ReportKind.REPLACED}, {"kind": ReportKind.RESTATED}, {"kind": ReportKind.TRIGGERED}, {"last_px": 0}, {"last_px": 1 << 40},
    ]  # fmt: skip
    for fault in faults:
        machine = module.AccountShard(0, instruments())
        machine.apply_commands(commands(kind=CommandKind.ACCOUNT_UPDATE, cash=10**6, order_qty=0), texts(1), -1)
        machine.apply_commands(commands(order_qty=[1]), texts(1), -1)
        before, log_time = machine.state_hash(), machine.log_time
        false = trade | fault | {"transact_time": 10**18}
        out = machine.apply_reports(rows_of(REPORT_DTYPE, [false]))
        assert (len(out.events), machine.state_hash(), machine.log_time) == (0, before, log_time)
        ((row, why),) = out.refused
        assert (row, bool(why)) == (0, True)
        out = machine.apply_reports(rows_of(REPORT_DTYPE, [false, trade]))
        assert ([row for row, _ in out.refused], out.events["kind"].tolist()) == ([0], [AccountEventKind.TRADE])


@pytest.mark.parametrize("module", [*ACCOUNT_MODULES, *BOOK_MODULES])
def test_a_snapshot_is_only_taken_by_its_own_shard_and_instruments(module: Any) -> None:
    """Another shard's, another list's or another version's snapshot is refused by name."""
    kind = module.AccountShard if hasattr(module, "AccountShard") else module.BookShard
    arrays = kind(1, instruments(), 2).snapshot()
    assert kind.restore(1, instruments(), arrays).shards == 2
    with pytest.raises(StaleData, match="shard 1"):
        kind.restore(0, instruments(), arrays)
    with pytest.raises(StaleData, match="instrument list"):
        kind.restore(1, instruments(2), arrays)
    if module in (account_shard, book_shard):
        name = "orders"
        with pytest.raises(StaleData, match=name):
            kind.restore(1, instruments(), arrays | {name: np.zeros(3, np.int64)})


def test_snapshots_are_as_long_as_what_is_used_and_change_in_few_places() -> None:
    """A thousand resting orders, one more: only the pages of that order and its account differ."""
    machine = account_shard.AccountShard(0, instruments())
    machine.apply_commands(commands(kind=CommandKind.ACCOUNT_UPDATE, cash=10**12, order_qty=0), texts(1), -1)
    machine.apply_commands(commands(order_qty=np.ones(1_000)), texts(1_000), -1)
    before = {name: array.copy() for name, array in machine.snapshot().items()}
    assert len(before["orders"]) == 1 + 1_000
    machine.apply_commands(commands(order_qty=[1]), texts(1, "d"), -1)
    after = machine.snapshot()
    assert len(after["orders"]) == 1 + 1_001
    changed = np.flatnonzero(before["orders"] != after["orders"][:1_001])
    assert changed.tolist() == [1_000], "the last of the account's list now points to the new one; nothing else moved"


def test_the_shards_grow_far_beyond_their_first_memory() -> None:
    """50,000 accounts with an order each, 20,000 price levels, one sweep through all but one of them."""
    count = 50_000
    accounts = account_shard.AccountShard(0, instruments())
    books = book_shard.BookShard(0, instruments(), 1)
    books.apply(rows_of(BOOK_COMMAND_DTYPE, [{"kind": BookCommandKind.TRADING_SESSION_CHANGE, "phase": Phase.CONTINUOUS}]))
    numbers = np.arange(1, count + 1)
    opened = accounts.apply_commands(commands(kind=CommandKind.ACCOUNT_UPDATE, account=numbers, cash=10**12, order_qty=1), texts(count), -1)
    assert (opened.events["kind"] == AccountEventKind.ACCOUNT_UPDATED).all()
    accepted = accounts.apply_commands(commands(account=numbers, side=Side.SELL, price=100 + 7 * (numbers % 20_000)), texts(count), -1)
    resting = books.apply(accepted.book_commands)
    assert (resting.executions["kind"] == ExecKind.NEW).sum() == count
    sweep = accounts.apply_commands(commands(order_qty=[count - 1], price=1_000_000, time_in_force=TimeInForce.IOC), texts(1, "sweep"), -1)
    assert sweep.events["reason"].tolist() == [Reason.INSUFFICIENT_BUYING_POWER]
    sweep = accounts.apply_commands(commands(order_qty=[count - 1], price=140_100, time_in_force=TimeInForce.IOC), texts(1, "sweep"), -1)
    out = books.apply(sweep.book_commands)
    trades = out.executions[out.executions["kind"] == ExecKind.TRADE]
    assert len(trades) == count - 1
    assert (np.diff(trades["price"]) >= 0).all()
    settled = accounts.apply_reports(reports_of(out.executions))
    assert int(settled.events["cash_delta"].sum()) == 0 == int(settled.events["shares_delta"].sum())
    assert accounts.state_hash() == account_shard.AccountShard.restore(0, instruments(), accounts.snapshot()).state_hash()
    assert books.state_hash() == book_shard.BookShard.restore(0, instruments(), books.snapshot()).state_hash()


@pytest.mark.parametrize("module", ACCOUNT_MODULES)
def test_position_cost_stays_within_its_bound(module: Any) -> None:
    """The largest position there may be costs more than 60 bits hold; the cost stays at its bound and comes back down by shares."""
    machine = module.AccountShard(0, instruments())
    posted = [1 << 53, -(1 << 52), -((1 << 52) - 1), -1]
    out = machine.apply_commands(commands(kind=CommandKind.ACCOUNT_UPDATE, order_qty=posted, cash=0), texts(4), -1)
    assert out.events["position_cost"].tolist() == [1 << 60, 1 << 59, 128, 0]
    assert out.events["position"].tolist() == [1 << 53, 1 << 52, 1, 0]


def test_a_session_of_ten_thousand_orders_is_told_in_one_call() -> None:
    """More replies than a call has room for at first."""
    machine = account_shard.AccountShard(0, instruments())
    machine.apply_commands(commands(kind=CommandKind.ACCOUNT_UPDATE, cash=10**12, order_qty=1), texts(1), -1)
    machine.apply_commands(commands(order_qty=np.ones(10_000)), texts(10_000), -1)
    asked = commands(kind=[CommandKind.NEW_ORDER, CommandKind.REGISTER_SESSION, CommandKind.REGISTER_SESSION], request_id=[1, 2, 3])
    out = machine.apply_commands(asked, texts(3), 7)
    kinds = out.replies["kind"].tolist()
    assert kinds.count(AccountEventKind.ORDER_STATE) == 20_000
    assert out.replies["request_id"].tolist() == [1] + [2] * 10_002 + [3] * 10_002
    assert (out.reply_mask == 1 << 7).all()


def test_rows_from_any_memory_are_taken() -> None:
    """Read-only rows, every other row of an array, text that is not aligned: the same result as from fresh arrays."""
    rows, text = commands(kind=CommandKind.ACCOUNT_UPDATE, account=np.arange(1, 9), cash=5, order_qty=0), texts(8)
    read_only = np.frombuffer(rows.tobytes(), COMMAND_DTYPE)
    wide = np.repeat(rows, 2)[::2]
    machines = [account_shard.AccountShard(0, instruments()) for _ in range(3)]
    for machine, given in zip(machines, (rows, read_only, wide), strict=True):
        machine.apply_commands(given, text, -1)
    assert len({machine.state_hash() for machine in machines}) == 1


def test_reports_tell_both_sides_of_a_trade_and_skip_what_is_nobodys_order() -> None:
    """TRADE makes the aggressor's report, then the resting order's; prices, phases, time and non-commands make none."""
    trade = {
        "kind": ExecKind.TRADE, "order_id": 5, "account": 50, "leaves_qty": 3, "contra_order_id": 6, "contra_account": 60, "contra_leaves_qty": 0,
        "price": 101, "qty": 7, "trd_match_id": 9, "rpt_seq": 4, "instrument": 1, "transact_time": 11,
    }  # fmt: skip
    quiet = [
        {"kind": kind, "order_id": 5} for kind in (ExecKind.NEW, ExecKind.LEVEL, ExecKind.TOP, ExecKind.SECURITY_STATUS, ExecKind.TIME)
    ]
    none = [{"kind": ExecKind.REJECTED, "reason": Reason.INVALID_COMMAND}]
    gone = [{"kind": ExecKind.CANCELED, "order_id": 8, "account": 80, "qty": 2, "price": 99, "reason": Reason.NO_LIQUIDITY}]
    reports = python_rows(reports_of(rows_of(EXECUTION_DTYPE, [*quiet, trade, *none, trade, *gone])))
    named = [{column: value for column, value in row.items() if value} for row in reports]
    common = {
        "kind": ReportKind.TRADE,
        "last_px": 101,
        "last_qty": 7,
        "trd_match_id": 9,
        "rpt_seq": 4,
        "instrument": 1,
        "transact_time": 11,
    }
    sides = [common | {"aggressor": 1, "order_id": 5, "account": 50, "leaves_qty": 3}, common | {"order_id": 6, "account": 60}]
    assert named == [
        *sides,
        *sides,
        {"kind": ReportKind.CANCELED, "order_id": 8, "account": 80, "last_qty": 2, "reason": Reason.NO_LIQUIDITY},
    ]
    assert len(reports_of(np.zeros(0, EXECUTION_DTYPE))) == 0


@pytest.mark.parametrize("module", ACCOUNT_MODULES)
def test_an_account_of_another_shard_is_not_opened(module: Any) -> None:
    """Its books' reports would go elsewhere; unchecked only where the number of shards is not given."""
    update = commands(kind=CommandKind.ACCOUNT_UPDATE, account=[4, 5], cash=1, order_qty=0)
    out = module.AccountShard(1, instruments(), 2).apply_commands(update, texts(2), -1)
    assert out.events["reason"].tolist() == [Reason.UNKNOWN_ACCOUNT, Reason.NONE]
    assert not module.AccountShard(1, instruments()).apply_commands(update, texts(2), -1).events["reason"].any()


def test_warming_names_every_step() -> None:
    """A worker shows the steps while it compiles."""
    told: list[str] = []
    warm(told.append)
    columns, account, book = ["columns of frames"], ["account kernel"] * 3, ["book kernel"] * 3
    assert [name.split(":")[0] for name in told] == columns + account + columns + book


def test_every_decision_of_a_book_has_its_place_in_the_table_of_reports() -> None:
    """A new kind must be thought about: an account shard that does not hear of it keeps its hold."""
    assert set(REPORT_OF) == set(ExecKind)
    restated = [{"kind": ExecKind.RESTATED, "order_id": 5, "account": 50, "reason": reason} for reason in QUIET_RESTATEMENTS]
    silent = restated + [{"kind": kind, "order_id": 5, "account": 50, "qty": 1} for kind, report in REPORT_OF.items() if report is None]
    assert len(reports_of(rows_of(EXECUTION_DTYPE, silent))) == 0


def test_nobody_is_the_aggressor_of_an_uncross() -> None:
    """The buy's report comes first; trades of continuous trading beside it keep their aggressor."""
    trade = {"kind": ExecKind.TRADE, "order_id": 5, "account": 50, "contra_order_id": 6, "contra_account": 60, "price": 101, "qty": 7}
    reports = reports_of(rows_of(EXECUTION_DTYPE, [trade | {"flags": ExecFlag.UNCROSS | ExecFlag.SELF_MATCH}, trade]))
    assert list(zip(reports["order_id"].tolist(), reports["aggressor"].tolist(), strict=True)) == [(5, 0), (6, 0), (5, 1), (6, 0)]


def test_a_mass_cancel_that_meets_frozen_orders_answers_nobody() -> None:
    """Its CANCEL_REJECTED rows make no report; a customer's own cancel of a frozen order, in the same frame, does."""
    books = rows_of(BOOK_COMMAND_DTYPE, [{"kind": BookCommandKind.MASS_CANCEL}, {"kind": BookCommandKind.CANCEL, "order_id": 5}])
    frozen = {"kind": ExecKind.CANCEL_REJECTED, "order_id": 5, "account": 50, "reason": Reason.AUCTION_FROZEN}
    reports = reports_of(rows_of(EXECUTION_DTYPE, [frozen, frozen | {"command_index": 1}]), books)
    assert reports["kind"].tolist() == [ReportKind.CANCEL_REJECTED]


def test_a_bust_is_told_to_both_parties_as_the_command_names_them() -> None:
    """The book does not remember who traded; the operator's command does."""
    bust = {
        "kind": BookCommandKind.TRADE_BUST, "account": 50, "order_id": 5, "self_match_prevention_id": 60, "list_id": 6, "side": Side.SELL,
    }  # fmt: skip
    done = {"kind": ExecKind.TRADE_BUSTED, "instrument": 1, "price": 100, "qty": 3, "trd_match_id": 9, "reason": Reason.CLEARLY_ERRONEOUS}
    reports = reports_of(rows_of(EXECUTION_DTYPE, [done]), rows_of(BOOK_COMMAND_DTYPE, [bust]))
    named = reports[["kind", "account", "order_id", "side", "aggressor", "last_px", "last_qty", "trd_match_id"]].tolist()
    assert named == [(ReportKind.TRADE_BUSTED, 50, 5, Side.BUY, 0, 100, 3, 9), (ReportKind.TRADE_BUSTED, 60, 6, Side.SELL, 1, 100, 3, 9)]


@pytest.mark.parametrize("module", ACCOUNT_MODULES)
@pytest.mark.parametrize("kind", [ReportKind.CANCELED, ReportKind.EXPIRED, ReportKind.REJECTED])
def test_the_end_of_an_order_releases_its_hold_whatever_the_reason(module: Any, kind: ReportKind) -> None:
    """Every reason of the complete engine but the customer's own wishes, which need a cancel or replace that is pending."""
    reasons = [reason for reason in Reason if reason not in (Reason.REQUESTED_BY_CUSTOMER, Reason.REPLACED_TO_NOTHING)]
    machine = module.AccountShard(0, instruments())
    machine.apply_commands(commands(kind=CommandKind.ACCOUNT_UPDATE, cash=10**9, order_qty=0), texts(1), -1)
    sent = machine.apply_commands(commands(order_qty=np.full(len(reasons), 3)), texts(len(reasons)), -1).book_commands
    report = {"kind": kind, "account": 1, "instrument": 1, "last_qty": 3}
    rows = [report | {"order_id": int(order_id), "reason": reason} for order_id, reason in zip(sent["order_id"], reasons, strict=True)]
    events = machine.apply_reports(rows_of(REPORT_DTYPE, rows)).events
    assert events["reason"].tolist() == reasons
    assert events["cash_held"].tolist()[-1] == 0 == int(events["leaves_qty"].sum())


@pytest.mark.parametrize("module", ACCOUNT_MODULES)
def test_a_mass_cancel_may_overtake_the_customers_cancel(module: Any) -> None:
    """The order ends MASS_CANCEL; the book answers the cancel, which comes too late, and the order is done once."""
    machine = module.AccountShard(0, instruments())
    machine.apply_commands(commands(kind=CommandKind.ACCOUNT_UPDATE, cash=10**9, order_qty=0), texts(1), -1)
    machine.apply_commands(commands(order_qty=[3]), texts(1), -1)
    machine.apply_commands(commands(kind=CommandKind.CANCEL, order_id=1), np.array([b""]), -1)
    report = {"account": 1, "instrument": 1, "order_id": 1}
    ended = report | {"kind": ReportKind.CANCELED, "last_qty": 3, "reason": Reason.MASS_CANCEL}
    late = report | {"kind": ReportKind.CANCEL_REJECTED, "reason": Reason.TOO_LATE_TO_CANCEL}
    events = machine.apply_reports(rows_of(REPORT_DTYPE, [ended, late])).events
    assert events["kind"].tolist() == [AccountEventKind.CANCELED, AccountEventKind.CANCEL_REJECTED]
    assert events["ord_status"].tolist() == [OrdStatus.CANCELED] * 2


@pytest.mark.parametrize("module", ACCOUNT_MODULES)
def test_an_auction_is_settled_without_an_aggressor_and_beyond_no_hold(module: Any) -> None:
    """Market buys meet two sales, one of them the buyer's own, at the worst price that is held for; what waited in vain is released.

    The books are the reference. More market orders than sales would trade at any price: the auction is extended, then trades at its limit.
    """
    machine, books = module.AccountShard(0, instruments()), reference_book_shard.BookShard(0, instruments(), 1)
    machine.apply_commands(commands(kind=CommandKind.ACCOUNT_UPDATE, account=[1, 2], cash=10**9, order_qty=100), texts(2), -1)

    def phase(to: Phase) -> list[Any]:
        out = books.apply(rows_of(BOOK_COMMAND_DTYPE, [{"kind": BookCommandKind.TRADING_SESSION_CHANGE, "phase": to}]))
        return [out.executions, machine.apply_reports(reports_of(out.executions)).events]

    phase(Phase.OPENING_AUCTION)
    limit, market = OrdType.LIMIT, OrdType.MARKET
    asked = commands(
        account=[1, 1, 2, 1, 2, 1], side=[1, 1, 2, 2, 1, 1], order_qty=[10, 10, 10, 5, 50, 5], price=[110, 0, 90, 95, 0, 100],
        time_in_force=[TimeInForce.DAY] * 5 + [TimeInForce.IOC], ord_type=[limit, market, limit, limit, market, limit],
    )  # fmt: skip
    accepted = machine.apply_commands(asked, texts(6), -1)
    assert (accepted.events["kind"] == AccountEventKind.ACCEPTED).all()
    waiting = books.apply(accepted.book_commands).executions
    refused = machine.apply_reports(reports_of(waiting)).events
    assert refused["reason"].tolist() == [Reason.NOT_IN_THIS_PHASE]
    extended, _ = phase(Phase.CONTINUOUS)
    assert Reason.AUCTION_EXTENDED in extended["reason"]
    executions, events = phase(Phase.CONTINUOUS)
    assert (executions["flags"][executions["kind"] == ExecKind.TRADE] & ExecFlag.UNCROSS).all()
    trades = events[events["kind"] == AccountEventKind.TRADE]
    assert int(trades["last_qty"].sum()) == 2 * 15 and not trades["aggressor"].any()
    assert int(trades["cash_delta"].sum()) == 0 == int(trades["shares_delta"].sum())
    assert set(trades["last_px"].tolist()) == {120}
    assert events["reason"][events["kind"] == AccountEventKind.CANCELED].tolist() == [Reason.NOT_FILLED_IN_AUCTION]
    phase(Phase.CLOSED)
    state = machine.apply_commands(commands(kind=CommandKind.REGISTER_SESSION, account=[1, 2]), texts(2), 0).replies
    assert not state["cash_held"].any() and not state["position_held"].any()


@pytest.mark.parametrize("module", ACCOUNT_MODULES)
def test_a_registration_says_whether_the_account_may_trade(module):
    """An edge that has just been started has not heard of the change."""
    machine = module.AccountShard(0, instruments(), 1)
    opened = commands(kind=[CommandKind.ACCOUNT_UPDATE, CommandKind.ACCOUNT_STATUS, CommandKind.REGISTER_SESSION], account_word=[0, 1, 0])
    (reply,) = machine.apply_commands(opened, texts(3), 0).replies[-1:]
    assert (reply["kind"], reply["account_word"]) == (AccountEventKind.SESSION_REGISTERED, AccountStatus.SUSPENDED)
