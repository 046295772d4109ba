"""A log for the tests of the sinks: a session played by the reference shards, and the rough ways in which it may be delivered."""

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
from support.records.alert_records import whole

from matchers.accounts.reference.shard import AccountShard
from matchers.accounts.reference.state import AccountState
from matchers.books.reference.shard import BookShard
from matchers.settlement.reports import reports_of
from schemas.codec import FRAMES, Frame, Header, Rows
from schemas.enums import BookCommandKind, CommandKind, ExecKind, MarketDataKind, OrdType, Phase, TimeInForce
from schemas.instruments import load_instruments
from schemas.reject_reasons import Reason
from sinks import Input

INSTRUMENTS = load_instruments(None)
START = 1_800_000_000_000_000_000
ACCOUNTS = range(1, 9)
ALERT = whole({
    "alert_id": "layering-00ff", "pattern": "LAYERING", "instrument": 1, "symbol": "AAPL", "account": 3, "side": "BUY", "score": 0.97,
    "explanation": "It's \\ \"quoted\"; and – typographic", "window_start": START, "window_end": START + 5, "detected_at": START + 5,
    "source": "executions/0@7",
    "evidence": [
        {"role": "LAYER", "order_id": 1, "side": "BUY", "price": 17_999, "qty": 5, "traded_qty": 0, "placed_at": START, "ended_at": 0},
        {"role": "EXECUTION", "order_id": 2, "side": "SELL", "price": 18_000, "qty": 5, "traded_qty": 5, "placed_at": START, "ended_at": START + 1},
    ],
})  # fmt: skip


@dataclass
class Session:
    """A session of one account shard and one book shard: what they wrote, and the accounts to compare with."""

    inputs: list[Input]
    accounts: AccountState
    executions: Rows
    events: Rows


def play(seed: int, turns: int = 60, turn_ns: int = 1_000_000) -> Session:
    """Random trading, a turn each turn_ns, through the reference shards: orders, cancels (of others' orders too), refusals, a busted trade, a closing auction."""
    rng = random.Random(seed)
    accounts, book = AccountShard(0, INSTRUMENTS), BookShard(0, INSTRUMENTS, 1)
    inputs: list[Input] = []
    all_events, all_executions = [], []
    offsets = {"account.events": 0, "executions": 0}

    def write(topic: str, schema: str, source: str, rows: Rows, text: Rows | None, first_seq: int) -> None:
        header = Header(source, source_offset=len(inputs), first_seq=first_seq, created_at=START)
        inputs.append(Input(topic, 0, offsets[topic], Frame(schema, header, rows, text)))
        offsets[topic] += 1

    def take(output: Any) -> None:
        write("account.events", "account_event_frame", "account.commands/0", output.events, output.event_cl_ord_id, output.first_seq)
        all_events.append(output.events)
        if len(output.book_commands):
            match(output.book_commands)

    def match(commands: Rows) -> None:
        output = book.apply(commands)
        write("executions", "execution_frame", "book.commands/0", output.executions, None, output.first_seq)
        all_executions.append(output.executions)
        reports = reports_of(output.executions)
        if len(reports):
            take(accounts.apply_reports(reports))

    def phase(value: Phase, now: int) -> None:
        rows = np.zeros(1, FRAMES["book_command_frame"].dtype)
        rows["kind"], rows["phase"], rows["transact_time"] = BookCommandKind.TRADING_SESSION_CHANGE, value, now
        match(rows)

    def bust() -> None:
        trades = [row for rows in all_executions for row in rows if row["kind"] == ExecKind.TRADE]
        rows = np.zeros(min(1, len(trades)), FRAMES["book_command_frame"].dtype)
        rows["kind"], rows["reason"] = BookCommandKind.TRADE_BUST, Reason.CLEARLY_ERRONEOUS
        for trade in trades[:1]:
            rows["instrument"], rows["trd_match_id"] = trade["instrument"], trade["trd_match_id"]
            rows["price"], rows["order_qty"] = trade["price"], trade["qty"]
        match(rows)

    phase(Phase.CONTINUOUS, START)
    take(accounts.apply_commands(*_openings(), -1))
    for turn in range(turns):
        if turn == turns * 3 // 4:
            bust()
            phase(Phase.CLOSING_AUCTION, START + turn * turn_ns)
        take(accounts.apply_commands(*_random_commands(rng, turn, START + turn * turn_ns, accounts.state), -1))
    phase(Phase.POST_CLOSE, START + max(10**12, turns * turn_ns))
    phase(Phase.CLOSED, START + max(10**12, turns * turn_ns))
    return Session(inputs, accounts.state, np.concatenate(all_executions), np.concatenate(all_events))


def _openings() -> tuple[Rows, Rows]:
    rows = np.zeros(2 * len(ACCOUNTS), FRAMES["order_command_frame"].dtype)
    rows["kind"], rows["transact_time"], rows["account"] = CommandKind.ACCOUNT_UPDATE, START, [*ACCOUNTS, *ACCOUNTS]
    rows["request_id"] = np.arange(1, len(rows) + 1)
    rows["cash"][: len(ACCOUNTS)] = 10_000_000_000
    rows["instrument"][len(ACCOUNTS) :], rows["order_qty"][len(ACCOUNTS) :] = 1, 500
    return rows, np.zeros(len(rows), "S1")


def _random_commands(rng: random.Random, turn: int, now: int, accounts: AccountState) -> tuple[Rows, Rows]:
    rows = np.zeros(10, FRAMES["order_command_frame"].dtype)
    texts = []
    for index, row in enumerate(rows):
        row["account"], row["transact_time"] = rng.choice([*ACCOUNTS, 99]), now + index
        if rng.random() < 0.25:
            row["kind"], row["order_id"], row["order_qty"] = CommandKind.CANCEL, rng.randint(1, 1 + len(accounts.orders)), 7
            mine = [order_id for order_id, order in accounts.orders.items() if order.leaves_qty and order.account.account == row["account"]]
            if mine and rng.random() < 0.5:
                row["order_id"] = rng.choice(mine)
            texts.append(b"")
            continue
        row["kind"], row["side"], row["instrument"] = CommandKind.NEW_ORDER, rng.choice([1, 2]), rng.choice([1] * 20 + [77])
        row["order_qty"], row["ord_type"] = rng.choice([1, 5, 20, 0]), rng.choice([OrdType.LIMIT] * 8 + [OrdType.MARKET])
        row["price"] = rng.randint(17_990, 18_010) if row["ord_type"] == OrdType.LIMIT else 0
        row["time_in_force"] = rng.choice([TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC])
        texts.append(f"it's \\{turn}\"%s-{rng.choice([index, 0])}".encode())
    return rows, np.array(texts, "S40")


def disturbed(inputs: list[Input], rng: random.Random) -> list[list[Input]]:
    """The same log as a rough delivery brings it: batches of any size, each perhaps again, then frames a replaying shard wrote again."""
    again = [one._replace(offset=one.offset + 10_000) for one in inputs]
    batches: list[list[Input]] = []
    for log in (inputs, again):
        start = 0
        while start < len(log):
            size = rng.randint(1, 12)
            batches += [log[start : start + size]] * rng.choice([1, 1, 2])
            if rng.random() < 0.2:  # back to an earlier committed offset, as after a crash
                batches.append(log[max(0, start - 8) : start + 3])
            start += size
    return batches


def market_data(kind: MarketDataKind, first_seq: int, count: int, offset: int) -> Input:
    """`count` rows of one kind for instruments 1 and 2 in turn; price 1,000 + seq."""
    rows = np.zeros(2 * count, FRAMES["market_data_frame"].dtype)
    rows["kind"], rows["instrument"] = kind, [1, 2] * count
    rows["seq"] = np.repeat(np.arange(first_seq, first_seq + count), 2)
    rows["price"] = rows["bid_px"] = 1_000 + rows["seq"]
    rows["transact_time"] = START + rows["seq"]
    return Input("market.data", 0, offset, Frame("market_data_frame", Header("executions/0", offset), rows))
