"""The money audit: a true log agrees, and whatever is changed in it is found and named."""

import re
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from support.memory_log import INSTRUMENTS, traded

from schemas.codec import FRAMES, Frame, Header
from schemas.enums import AccountEventKind, Side
from schemas.errors import OutcryError, StaleData
from schemas.ids import EXCHANGE_ACCOUNT
from schemas.instruments import InstrumentTable
from schemas.settings import Settings
from sinks.mysql.ledger import Contradiction, StoredMoney
from streams.proofs import audit_money
from streams.proofs.audit import audit
from streams.proofs.audit_money import MoneyAudit, audit_money_of, compare_with_mysql
from streams.proofs.money_ledger import CASH, MEANINGS, SIDE_DTYPE, MoneyLedger, Problems
from streams.proofs.money_trades import check_settlement
from topics.catalogue import ACCOUNT_EVENTS, EXECUTIONS

EVENT = FRAMES["account_event_frame"].dtype


@pytest.fixture
def exchange():
    """A finished session."""
    return traded()


def audited(log, monkeypatch, *, instruments=INSTRUMENTS, with_mysql=False):
    """The report on a log in memory."""
    monkeypatch.setattr(audit_money, "Log", lambda settings: nullcontext(log))
    monkeypatch.setattr(audit_money, "load_instruments", lambda path: instruments)
    return audit_money_of(Settings(), with_mysql=with_mysql, wait_s=0, quiet=True)


def place_of(log, kind: AccountEventKind, **wanted: int) -> tuple[int, int, int]:
    """(partition, offset, row) of the first event of a kind with these columns."""
    for partition in (0, 1):
        for offset, frame in enumerate(log.frames(ACCOUNT_EVENTS, partition)):
            fits = frame.rows["kind"] == kind
            for name, value in wanted.items():
                fits &= frame.rows[name] == value
            if fits.any():
                return partition, offset, int(np.flatnonzero(fits)[0])
    raise AssertionError(f"no {kind.name} with {wanted}")


def test_every_kind_of_event_has_a_meaning():
    """A new kind must be told to the audit; it is never passed over."""
    assert {kind.name for kind in AccountEventKind} <= MEANINGS.keys()


def test_a_true_log_adds_up(exchange, monkeypatch):
    """What came in is what accounts have; open orders hold what is held."""
    report = audited(exchange.log, monkeypatch)
    assert report.problems == []
    assert report.cash == {"deposited": 40_000_000_000, "available": 40_000_000_000 - 10 * 17_000 * 100, "held": 10 * 17_000 * 100,
                           "fees": 0, "in_flight": 0, "missing": 0}  # fmt: skip
    assert report.shares["AAPL"] == {"deposited": 4_000, "available": 3_940, "held": 60, "in_flight": 0, "missing": 0}
    assert (report.accounts, report.trades, report.trades_in_flight, report.orders, report.open_orders) == (4, 2, 0, 5, 2)


@pytest.mark.parametrize(
    ("kind", "column", "words"),
    [
        (AccountEventKind.TRADE, "cash", "cash was"),
        (AccountEventKind.TRADE, "cash_delta", "cash was"),
        (AccountEventKind.TRADE, "position", "position in instrument 1 was"),
        (AccountEventKind.TRADE, "shares_delta", "position in instrument 1 was"),
        (AccountEventKind.ACCEPTED, "cash_delta", "cash was"),
        (AccountEventKind.ACCOUNT_UPDATED, "cash", "cash was"),
        (AccountEventKind.TRADE, "seq", "events are missing or twice there"),
    ],
)
def test_a_number_that_does_not_follow_is_named_with_account_and_place(exchange, monkeypatch, kind, column, words):
    """Off by one minor unit, one lot, one event."""
    wanted = {} if kind == AccountEventKind.ACCOUNT_UPDATED else {"instrument": 1}
    partition, offset, row = place_of(exchange.log, kind, **wanted)
    rows = exchange.log.frames(ACCOUNT_EVENTS, partition)[offset].rows
    exchange.log.change(ACCOUNT_EVENTS.name, partition, offset, **{column: (row, int(rows[column][row]) + 1)})
    first = next(one for one in audited(exchange.log, monkeypatch).problems if words in one.what)
    assert first.account == rows["account"][row]
    assert first.where == f"account.events/{partition} offset {offset:,}, row {row}"


def test_a_posting_on_an_event_that_has_none_is_found(exchange, monkeypatch):
    """Even where the account's cash follows it."""
    partition, offset, row = place_of(exchange.log, AccountEventKind.ACCEPTED, account=3)
    cash = int(exchange.log.frames(ACCOUNT_EVENTS, partition)[offset].rows["cash"][row])
    exchange.log.change(ACCOUNT_EVENTS.name, partition, offset, cash=(row, cash + 5), cash_delta=(row, 5))
    assert "ACCEPTED has a posting" in [one.what for one in audited(exchange.log, monkeypatch).problems]


def test_a_hold_that_is_not_released_is_named_by_its_order(exchange, monkeypatch):
    """The cancelled buy keeps one minor unit; the account's later events say so too."""
    log = exchange.log
    partition, offset, row = place_of(log, AccountEventKind.CANCELED)
    rows = log.frames(ACCOUNT_EVENTS, partition)[offset].rows
    log.change(ACCOUNT_EVENTS.name, partition, offset, cash_held=(row, int(rows["cash_held"][row]) + 1))
    first = audited(log, monkeypatch).problems[0]
    assert (first.account, first.order_id) == (4, int(rows["order_id"][row]))
    assert "the order is over and still holds 1 minor units" in first.what


def test_a_hold_that_is_released_twice_is_found(exchange, monkeypatch):
    """Below nothing."""
    log = exchange.log
    partition, offset, row = place_of(log, AccountEventKind.CANCELED)
    rows = log.frames(ACCOUNT_EVENTS, partition)[offset].rows
    log.change(ACCOUNT_EVENTS.name, partition, offset, cash_held=(row, int(rows["cash_held"][row]) - 1))
    assert any("are held" in one.what or "more of its hold is released" in one.what for one in audited(log, monkeypatch).problems)


def test_a_trade_that_is_settled_on_one_side_only_is_named_and_its_other_half_is_in_flight(exchange, monkeypatch):
    """The sums still add up: what one side has paid is neither lost nor doubled."""
    log = exchange.log
    partition, offset, row = place_of(log, AccountEventKind.TRADE, side=Side.BUY, instrument=2)
    frame = log.frames(ACCOUNT_EVENTS, partition)[offset]
    trade = int(frame.rows["trd_match_id"][row])
    log.parts[ACCOUNT_EVENTS.name, partition] = log.parts[ACCOUNT_EVENTS.name, partition][:offset]
    report = audited(log, monkeypatch)
    assert [one.trd_match_id for one in report.problems] == [trade]
    assert report.cash["missing"] == 0
    assert report.cash["in_flight"] == -10 * 40_000 * 100
    assert report.shares["MSFT"]["in_flight"] == 10


def test_a_trade_that_no_book_decided_is_named(exchange, monkeypatch):
    """Both of its sides."""
    log = exchange.log
    partition, offset, row = place_of(log, AccountEventKind.TRADE)
    log.change(ACCOUNT_EVENTS.name, partition, offset, trd_match_id=(row, 12_345))
    assert any("no book decided it" in one.what and one.trd_match_id == 12_345 for one in audited(log, monkeypatch).problems)


def test_a_side_at_another_price_than_the_trade_is_named_by_its_order(exchange, monkeypatch):
    """Although the account's cash follows the posting."""
    log = exchange.log
    offset = next(place for place, frame in enumerate(log.frames(EXECUTIONS, 1)) if 2 in frame.rows["kind"])
    row = log.frames(EXECUTIONS, 1)[offset].rows["kind"].tolist().index(2)
    log.change(EXECUTIONS.name, 1, offset, price=(row, 17_999))
    found = [one for one in audited(log, monkeypatch).problems if "last_px is 18000, not 17999" in one.what]
    assert {one.account for one in found} == {1, 2}


def test_a_kind_that_nobody_knows_is_a_problem(exchange, monkeypatch):
    """Of a newer program, say."""
    partition, offset, row = place_of(exchange.log, AccountEventKind.ACCEPTED)
    exchange.log.change(ACCOUNT_EVENTS.name, partition, offset, kind=(row, 200))
    assert "event kind 200 is unknown to this audit: use a newer version" in [
        one.what for one in audited(exchange.log, monkeypatch).problems
    ]


def test_a_record_that_cannot_be_read_is_a_problem(exchange, monkeypatch):
    """Of a version that this program does not know, say: nothing is proven without it."""
    log = exchange.log
    part = log.parts[EXECUTIONS.name, 1]
    part[0] = replace(part[0], value=part[0].value[:2] + b"\7" * 8 + part[0].value[10:])
    (one,) = audited(log, monkeypatch).problems
    assert one.where == "executions/1 offset 0"
    assert "UNKNOWN_FINGERPRINT" in one.what


def test_the_command_shows_a_table_or_json_and_exits_by_what_it_found(exchange, monkeypatch):
    """0 all agrees, 1 something does not."""
    monkeypatch.setattr(audit_money, "Log", lambda settings: nullcontext(exchange.log))
    done = CliRunner().invoke(audit, ["money", "--log-only", "--quiet"], obj=Settings())
    assert done.exit_code == 0
    assert "all agrees" in done.stdout
    assert "4 accounts, 5 orders (2 open), 2 trades, 0 in flight" in done.stdout
    exchange.log.change(ACCOUNT_EVENTS.name, 0, 0, cash=(0, 1))
    done = CliRunner().invoke(audit, ["money", "--log-only", "--quiet", "--json"], obj=Settings())
    assert done.exit_code == 1
    found = msgspec.json.decode(done.stdout)
    assert (found["agrees"], found["problems"][0]["account"]) == (False, 2)
    assert "DIFFERS account.events/0 offset 0, row 0: account 2: cash was 0" in CliRunner().invoke(
        audit, ["money", "--log-only", "--quiet", "--wait", "0"], obj=Settings()
    ).stdout.replace("\n", " ")


def test_other_instruments_and_a_log_without_its_beginning_are_refused(exchange, monkeypatch):
    """Before anything is added up."""
    with pytest.raises(OutcryError, match="trades of instrument 1, which OUTCRY_INSTRUMENTS_FILE does not have"):
        audited(exchange.log, monkeypatch, instruments=InstrumentTable([one for one in INSTRUMENTS if one.number != 1]))
    exchange.log.low[ACCOUNT_EVENTS.name, 1] = 1
    with pytest.raises(StaleData, match=r"account\.events/1 begins at offset 1"):
        audited(exchange.log, monkeypatch)


def test_copies_of_frames_count_once(exchange, monkeypatch):
    """A restarted shard writes them again."""
    log = exchange.log
    for topic in (ACCOUNT_EVENTS.name, EXECUTIONS.name):
        for partition in (0, 1):
            for record in list(log.parts[topic, partition]):
                log.append(topic, partition, record.value)
    report = audited(log, monkeypatch)
    assert report.problems == []
    assert report.trades == 2


# ---- MySQL


def stored(exchange) -> tuple[MoneyAudit, StoredMoney]:
    """An audit of the whole log, and what a true MySQL would say."""
    audit = MoneyAudit(exchange.log, INSTRUMENTS, quiet=True)
    ends = audit.ends(ACCOUNT_EVENTS) | audit.ends(EXECUTIONS)
    audit.read_to(ends)
    filled = {1: (1, 40, 40 * 18_000), 2: (1, 40, 40 * 18_000), 3: (1, 10, 10 * 40_000), 4: (1, 10, 10 * 40_000)}
    trades = {1: (1, 40, 40 * 18_000), 2: (1, 10, 10 * 40_000)}
    deposited = {CASH: 40_000_000_000, 1: 4_000, 2: 4_000}
    orders = {1: 1, 2: 2, 3: 1, 4: 1}
    return audit, StoredMoney(
        ends, audit.ledger.balances(), deposited, orders, dict(audit.ledger.open_orders()), filled, trades, frozenset(), ()
    )


def test_a_true_mysql_agrees_with_the_log(exchange):
    """Nothing to say."""
    audit, money = stored(exchange)
    problems = Problems()
    compare_with_mysql(audit, money, audit.settlement(Problems()), problems)
    assert problems.first == []


@pytest.mark.parametrize(
    ("change", "account", "order", "words"),
    [
        (
            lambda m: replace(m, balances=m.balances | {(3, 0): 1, (4, 0): 1}),
            3,
            0,
            "balance of cash is .* by the log, 1 in MySQL; and 1 more",
        ),
        (
            lambda m: replace(m, balances={k: v for k, v in m.balances.items() if k != (1, 2)}),
            1,
            0,
            "balance of instrument 2 .* not there in MySQL",
        ),
        (lambda m: replace(m, deposited=m.deposited | {0: 7}), 0, 0, "deposits of cash is 40000000000 by the log, 7 in MySQL"),
        (lambda m: replace(m, orders=m.orders | {2: 1}), 2, 0, "number of orders is 2 by the log, 1 in MySQL"),
        (lambda m: replace(m, open_orders=m.open_orders | {77: (5, 1, 0)}), 0, 77, "not there by the log"),
        (lambda m: replace(m, filled=m.filled | {4: (1, 11, 11 * 40_000)}), 4, 0, "of trades is"),
        (lambda m: replace(m, trades={1: m.trades[1]}), 0, 0, r"\(trades, lots, ticks x lots\) of instrument 2"),
        (lambda m: replace(m, unsettled=frozenset({5})), 0, 0, "both sides are settled in the log only"),
        (lambda m: replace(m, contradictions=(Contradiction("a side", 3, 9, 1),)), 3, 9, "MySQL: a side"),
    ],
    ids=["balance", "no-balance", "deposits", "orders", "open-order", "fills", "trades", "unsettled", "contradiction"],
)
def test_what_mysql_says_otherwise_is_named_by_account_or_order(exchange, change, account, order, words):
    """The first of each kind of fact, with both values."""
    audit, money = stored(exchange)
    problems = Problems()
    compare_with_mysql(audit, change(money), audit.settlement(Problems()), problems)
    (one,) = problems.first
    assert (one.account, one.order_id) == (account, order)
    assert re.search(words, one.what), one.what


def test_a_mysql_of_another_log_is_refused(exchange, monkeypatch):
    """It cannot be compared with this one."""

    async def read(url):
        return replace(stored(exchange)[1], offsets={(ACCOUNT_EVENTS.name, 0): 1_000_000})

    monkeypatch.setattr(audit_money, "read_money", read)
    with pytest.raises(StaleData, match="its tables are of another log"):
        audited(exchange.log, monkeypatch, with_mysql=True)


# ---- fees, busts, short positions, lists: rows as the account shards write them


def events(*rows: dict[str, int]) -> Frame:
    """A frame of account 1; columns that are not given are zero. fee and list_id as the newer schema has them."""
    names = dict(EVENT.descr) | {"fee": "<i8", "list_id": "<u8"}
    table = np.zeros(len(rows), [(name, kind) for name, kind in names.items() if name])
    table["account"], table["seq"], table["instrument"] = 1, np.arange(1, len(rows) + 1), 1
    for index, row in enumerate(rows):
        for name, value in row.items():
            table[name][index] = value
    return Frame("account_event_frame", Header("account.commands/0"), table)


def ledger_of(*rows: dict[str, int], margin: int = 0) -> MoneyLedger:
    """What follows from the rows."""
    rules = np.zeros(2, [("short_margin_minor", "<i8")])
    rules["short_margin_minor"] = margin
    ledger = MoneyLedger(SimpleNamespace(rules=rules))
    ledger.take(0, 0, events(*rows))
    ledger.follow()
    return ledger


DEPOSIT = {"kind": AccountEventKind.ACCOUNT_UPDATED, "cash_delta": 1_000, "cash": 1_000}


def test_a_fee_leaves_the_account_beside_the_price():
    """Cash goes down by both; the exchange's part is counted."""
    buy = {"kind": AccountEventKind.TRADE, "cash_delta": -100, "fee": 3, "cash": 897, "shares_delta": 1, "position": 1}
    ledger = ledger_of(DEPOSIT, buy)
    assert ledger.problems.first == []
    assert (ledger.sums()[CASH].total, ledger.sums()[CASH].fees, ledger.sums()[CASH].deposited) == (897, 3, 1_000)
    assert ledger.balances() == {(1, CASH): 897, (1, 1): 1, (EXCHANGE_ACCOUNT, CASH): 3}
    assert ledger_of(DEPOSIT, buy | {"cash": 900}).problems.count == 1


def test_a_short_position_keeps_its_margin_held_after_its_order_is_over():
    """Held by the position, not by an order."""
    order = {"order_id": 5, "submitted_at": 1, "cash": 1_000}
    accepted = order | {"kind": AccountEventKind.ACCEPTED, "leaves_qty": 2, "cash_held": 20}
    sold = order | {"kind": AccountEventKind.TRADE, "cash_delta": 100, "cash": 1_100, "shares_delta": -2, "position": -2, "cash_held": 20}
    ledger = ledger_of(DEPOSIT, accepted, sold, margin=10)
    ledger.check_holds()
    assert ledger.problems.first == []
    wrong = ledger_of(DEPOSIT, accepted, sold | {"cash_held": 19}, margin=10)
    assert "more of its hold is released" in wrong.problems.first[0].what


def test_orders_of_a_list_may_hold_together():
    """An OCO pair holds the larger of the two, whichever of them the event is about."""
    one = {"order_id": 5, "list_id": 5, "submitted_at": 1, "leaves_qty": 1, "cash": 1_000, "cash_held": 50}
    accepted = [one | {"kind": AccountEventKind.ACCEPTED}, one | {"kind": AccountEventKind.ACCEPTED, "order_id": 6}]
    gone = one | {"kind": AccountEventKind.CANCELED, "leaves_qty": 0}
    both_gone = gone | {"order_id": 6, "cash_held": 0}
    assert ledger_of(DEPOSIT, *accepted, gone, both_gone).problems.first == []
    kept = ledger_of(DEPOSIT, *accepted, gone, both_gone | {"cash_held": 50})
    assert "still holds 50" in kept.problems.first[0].what


def test_a_refused_request_that_names_somebody_elses_order_ends_no_hold():
    """Its row is about no order of the account."""
    accepted = {"kind": AccountEventKind.ACCEPTED, "order_id": 5, "submitted_at": 1, "leaves_qty": 1, "cash": 1_000, "cash_held": 50}
    refused = {"kind": AccountEventKind.CANCEL_REJECTED, "order_id": 5, "cash": 1_000, "cash_held": 50}
    ledger = ledger_of(DEPOSIT, accepted, refused)
    ledger.check_holds()
    assert ledger.problems.first == []
    assert dict(ledger.open_orders()) == {5: (1, 1, 0)}
    assert "for no known order" in ledger_of(DEPOSIT, accepted, refused | {"cash_held": 0}).problems.first[0].what


def sides(*rows: tuple[int, Side, int, int, int]) -> np.ndarray:
    """(trade, side, cash_delta, shares_delta, fee) as settled sides of one lot at 100 for accounts 1 (buys) and 2 (sells)."""
    table = np.zeros(len(rows), SIDE_DTYPE)
    for index, (trade, side, cash, shares, fee) in enumerate(rows):
        table[index] = (trade, side, 1 if side == Side.BUY else 2, 10 * trade + side, 1, 100, 1, cash, shares, fee)
    return table


TRADE = sides((7, Side.BUY, -100, 1, 3), (7, Side.SELL, 100, -1, 2))


def test_a_trade_that_is_undone_gives_back_everything_fees_too():
    """Both sides negated, once, and only if the book said so."""
    undone = sides((7, Side.BUY, 100, -1, -3), (7, Side.SELL, -100, 1, -2))
    said = np.array([7], np.uint64)
    problems = Problems()
    found = check_settlement(TRADE, TRADE, undone, said, problems)
    assert (problems.first, found.busts, found.in_flight) == ([], 1, {})
    for wrong, words in (
        (sides((7, Side.BUY, 100, -1, 0), (7, Side.SELL, -100, 1, -2)), "fee is"),
        (np.concatenate([undone[:1], undone]), "undone twice"),
        (sides((8, Side.BUY, 100, -1, -3)), "undone, but it was not settled"),
    ):
        problems = Problems()
        check_settlement(TRADE, TRADE, wrong, np.array([7, 8], np.uint64), problems)
        assert words in problems.first[0].what
    problems = Problems()
    check_settlement(TRADE, TRADE, undone, said[:0], problems)
    assert "no book said so" in problems.first[0].what


def test_a_bust_that_nobody_posted_and_one_that_is_half_way_are_told():
    """The first is counted; of the second what is posted is on its way."""
    found = check_settlement(TRADE, TRADE, TRADE[:0], np.array([7], np.uint64), Problems())
    assert (found.busts, found.busts_not_posted) == (0, 1)
    half = check_settlement(TRADE, TRADE, sides((7, Side.BUY, 100, -1, -3)), np.array([7], np.uint64), Problems())
    assert (half.busts, half.in_flight) == (0, {CASH: -100, 1: 1})


def test_a_trade_is_settled_once_a_side():
    """Twice the same side is not two sides."""
    problems = Problems()
    check_settlement(TRADE, np.concatenate([TRADE[:1], TRADE]), TRADE[:0], np.zeros(0, np.uint64), problems)
    assert (problems.first[0].trd_match_id, problems.first[0].what) == (7, "a side is settled twice")
