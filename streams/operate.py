"""What an operator does to a running exchange: open and close the trading session, open accounts with money, shares and API keys.

Commands are posted to the log like everybody's, and are done when the shard that read them has answered: its output names the input
offset that made it, so the answer to our very record is found without any other bookkeeping.
"""

import hashlib
import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from schemas.codec import FRAMES, Frame, Header, Rows, decode_frame, encode_frame
from schemas.enums import AccountEventKind, BookCommandKind, CommandKind, ExecKind, Phase
from schemas.errors import OutcryError, ServiceUnavailable
from schemas.instruments import InstrumentTable, load_instruments
from schemas.limits import FRAME_BYTES_MAX
from schemas.reject_reasons import SENTENCES, Reason
from schemas.settings import Settings
from schemas.units import MINOR_PER_UNIT, NotAMultiple, NotANumber, to_decimal, to_steps
from streams.__main__ import settings_of
from streams.cluster import partition_counts
from topics.catalogue import ACCOUNT_COMMANDS, ACCOUNT_EVENTS, BOOK_COMMANDS, EXECUTIONS, Topic
from topics.partitioning import book_shard, split_by

ANSWER_TIMEOUT_S: Final = 30.0
ROWS_PER_FRAME: Final = 4_000
KEY_ID_PREFIX: Final = "OO"


class NotConfirmed(OutcryError):
    """The shard that has to act did not say that it has; the message names its role and partitions."""


@dataclass(frozen=True)
class Opening:
    """An account to open, or to deposit to: cash in minor units, lots by instrument number."""

    account: int
    cash: int
    positions: dict[int, int]


@dataclass(frozen=True)
class ApiKey:
    """What a client of the edge needs; the secret is shown once and kept nowhere."""

    account: int
    key_id: str
    secret: str

    @property
    def secret_sha256(self) -> str:
        """What MySQL keeps."""
        return hashlib.sha256(self.secret.encode()).hexdigest()


def change_session(settings: Settings, phase: Phase, *, timeout_s: float = ANSWER_TIMEOUT_S) -> dict[int, Phase]:
    """Tell every book shard to go to `phase`; the phase of each instrument as its shard confirmed it.

    Raises ServiceUnavailable, or NotConfirmed when a book shard does not answer.
    """
    rows = np.zeros(1, FRAMES["book_command_frame"].dtype)
    rows["kind"], rows["phase"], rows["transact_time"] = BookCommandKind.TRADING_SESSION_CHANGE, phase, time.time_ns()
    partitions = partition_counts(settings, BOOK_COMMANDS)[BOOK_COMMANDS.name]
    frame = encode_frame("book_command_frame", Header(_operator_id(), created_at=time.time_ns()), rows)
    instruments = load_instruments(settings.instruments_file)
    without_instruments = frozenset(range(partitions)) - {book_shard(one.number, partitions) for one in instruments}
    frames = [(p, frame) for p in range(partitions)]
    answers = _ask(settings, BOOK_COMMANDS, frames, EXECUTIONS, "match-orders", timeout_s, silent=without_instruments)
    found: dict[int, Phase] = {}
    for answer in answers:
        status = answer.rows[answer.rows["kind"] == ExecKind.SECURITY_STATUS]
        found |= {int(row["instrument"]): Phase(int(row["phase"])) for row in status}
    wrong = sorted(one.symbol for one in instruments if found.get(one.number) != phase)
    if wrong:
        raise NotConfirmed(
            f"the book shards answered, but not that {', '.join(wrong)} are {phase.name}: do they know the same instruments?"
        )
    return found


def open_accounts(settings: Settings, openings: Sequence[Opening], *, timeout_s: float = ANSWER_TIMEOUT_S) -> int:
    """Open the accounts (those that exist get the amounts on top); returns how many postings were confirmed.

    Raises ServiceUnavailable, NotConfirmed, or OutcryError naming the postings that were refused.
    """
    rows = _update_rows(openings)
    partitions = partition_counts(settings, ACCOUNT_COMMANDS)[ACCOUNT_COMMANDS.name]
    source = _operator_id()
    frames: list[tuple[int, bytes]] = []
    for shard, index in split_by(rows["account"], partitions):
        for start in range(0, len(index), ROWS_PER_FRAME):
            header = Header(source, source_offset=len(frames) + 1, created_at=time.time_ns())
            frames.append((shard, encode_frame("order_command_frame", header, rows[index[start : start + ROWS_PER_FRAME]])))
    answers = _ask(settings, ACCOUNT_COMMANDS, frames, ACCOUNT_EVENTS, "hold-funds", timeout_s, rows_wanted=len(rows))
    events = np.concatenate([answer.rows for answer in answers])
    refused = events[events["kind"] != AccountEventKind.ACCOUNT_UPDATED]
    if len(refused):
        first = refused[0]
        why = SENTENCES[Reason(int(first["reason"]))]
        raise OutcryError(f"{len(refused)} of {len(rows)} postings were refused; the first: account {first['account']}: {why}")
    return len(events)


def make_api_keys(accounts: Sequence[int]) -> list[ApiKey]:
    """A new random key for each account; nothing is stored."""
    return [ApiKey(account, KEY_ID_PREFIX + secrets.token_hex(9).upper(), secrets.token_urlsafe(30)) for account in accounts]


def store_api_keys(settings: Settings, keys: Sequence[ApiKey]) -> None:
    """Make the keys known to the edge: MySQL gets their digests. Raises ServiceUnavailable."""
    from sinks.mysql_queries import open_api_keys

    open_api_keys(settings.mysql_url, [(key.key_id, key.secret_sha256, key.account) for key in keys])


def write_keys_file(path: Path, keys: Sequence[ApiKey]) -> None:
    """A JSON list of {account, key_id, secret}, readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(json.dumps([{"account": key.account, "key_id": key.key_id, "secret": key.secret} for key in keys], indent=1) + "\n")


def _operator_id() -> str:
    return f"operator-{secrets.token_hex(4)}"


def _update_rows(openings: Sequence[Opening]) -> Rows:
    """One ACCOUNT_UPDATE row for the cash (it opens the account even if 0), one more for each position."""
    postings = [(one.account, one.cash, 0, 0) for one in openings]
    postings += [(one.account, 0, instrument, lots) for one in openings for instrument, lots in one.positions.items()]
    rows = np.zeros(len(postings), FRAMES["order_command_frame"].dtype)
    rows["kind"], rows["transact_time"] = CommandKind.ACCOUNT_UPDATE, time.time_ns()
    for column, values in zip(("account", "cash", "instrument", "order_qty"), zip(*postings, strict=True), strict=True):
        rows[column] = values
    return rows


# ---- asking a shard and waiting for its answer


def _ask(
    settings: Settings,
    commands: Topic,
    frames: Sequence[tuple[int, bytes]],
    answers: Topic,
    role: str,
    timeout_s: float,
    *,
    rows_wanted: int = 0,
    silent: frozenset[int] = frozenset(),
) -> list[Frame]:
    """Post (partition, frame)s and collect the frames of `answers` that they caused: one each at least, `rows_wanted` rows together.

    `silent`: partitions from which no answer is expected. Answers are in the partition of the same number.
    """
    deadline = time.monotonic() + timeout_s
    consumer = _reader_at_end(settings, answers)
    try:
        waiting = {(p, offset) for p, offset in _post(settings, commands, frames, timeout_s) if p not in silent}
        unanswered, found = set(waiting), list[Frame]()
        while unanswered or sum(len(frame.rows) for frame in found) < rows_wanted:
            if time.monotonic() > deadline:
                where = ", ".join(map(str, sorted({p for p, _ in unanswered}))) or "some"
                raise NotConfirmed(
                    f"{role} did not answer within {timeout_s:g} s on partition {where} of {commands.name}: is it running? `outcry status` shows; "
                    f"the command is in the log and takes effect when {role} gets there"
                )
            frame, partition = _next_frame(consumer)
            if frame is None:
                continue
            key = (partition, frame.header.source_offset)
            if key in waiting and frame.header.source == f"{commands.name}/{partition}":
                found.append(frame)
                unanswered.discard(key)
        return found
    finally:
        consumer.close()


def _reader_at_end(settings: Settings, topic: Topic) -> Consumer:
    """A consumer of no group that will see whatever comes from now on."""
    partitions = partition_counts(settings, topic)[topic.name]
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka_url,
            "group.id": "outcry-operate",  # never committed to, never joined: partitions are assigned by hand
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 20,
            "fetch.message.max.bytes": FRAME_BYTES_MAX,
        }
    )
    try:
        ends = [consumer.get_watermark_offsets(TopicPartition(topic.name, p), timeout=10)[1] for p in range(partitions)]
    except KafkaException as error:
        consumer.close()
        raise ServiceUnavailable(f"Kafka at {settings.kafka_url} does not answer: {error}") from error
    consumer.assign([TopicPartition(topic.name, p, end) for p, end in enumerate(ends)])
    return consumer


def _next_frame(consumer: Consumer) -> tuple[Frame | None, int]:
    message = consumer.poll(0.1)
    if message is None or message.error() is not None:
        return None, -1
    partition = message.partition()
    assert partition is not None
    return decode_frame(message.value() or b""), partition


def _post(settings: Settings, topic: Topic, frames: Sequence[tuple[int, bytes]], timeout_s: float) -> set[tuple[int, int]]:
    """Send the frames; (partition, offset) of each. Raises ServiceUnavailable for any that is not acknowledged."""
    producer = Producer({"bootstrap.servers": settings.kafka_url, "enable.idempotence": True, "message.max.bytes": FRAME_BYTES_MAX})
    placed: set[tuple[int, int]] = set()
    problems: list[str] = []

    def delivered(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            problems.append(error.str())
            return
        partition, offset = message.partition(), message.offset()
        assert partition is not None and offset is not None
        placed.add((partition, offset))

    for partition, frame in frames:
        producer.produce(topic.name, frame, partition=partition, on_delivery=delivered)
    left = producer.flush(timeout_s)
    if problems or left:
        raise ServiceUnavailable(
            f"Kafka at {settings.kafka_url} did not take {left + len(problems)} records for {topic.name}: {problems[:1]}"
        )
    return placed


# ---- commands


@click.group()
def session() -> None:
    """Open or close the trading session of every instrument."""


@session.command("open")
@click.pass_context
def open_session(ctx: click.Context) -> None:
    """Begin continuous trading; returns when every book shard has confirmed it.

    \b
    Example:
      outcry session open
    """
    _session(settings_of(ctx), Phase.CONTINUOUS)


@session.command("close")
@click.pass_context
def close_session(ctx: click.Context) -> None:
    """End the trading day: DAY orders expire, GTC orders stay; returns when every book shard has confirmed it.

    \b
    Example:
      outcry session close
    """
    _session(settings_of(ctx), Phase.CLOSED)


def _session(settings: Settings, phase: Phase) -> None:
    instruments = load_instruments(settings.instruments_file)
    for number, now in sorted(change_session(settings, phase).items()):
        click.echo(f"{instruments.by_number[number].symbol:<8} {now.name}")


@click.group()
def accounts() -> None:
    """Customers' accounts."""


@accounts.command("open")
@click.option("--count", type=click.IntRange(1, 1_000_000), default=1, show_default=True, help="How many accounts.")
@click.option("--first", type=click.IntRange(1, 1 << 48), default=1, show_default=True, help="Number of the first account.")
@click.option("--cash", default="100000", show_default=True, metavar="AMOUNT", help="Deposit to each, decimal.")
@click.option("--position", "positions", multiple=True, metavar="SYMBOL=QTY", help="Shares for each; may be repeated.")
@click.option("--keys-file", type=click.Path(dir_okay=False, path_type=Path), help="Write the API keys there instead of printing them.")
@click.pass_context
def open_accounts_command(
    ctx: click.Context, count: int, first: int, cash: str, positions: tuple[str, ...], keys_file: Path | None
) -> None:
    """Open accounts with cash, shares and an API key each; returns when the account shards have confirmed the deposits.

    An account that exists gets the deposit on top, and one more key. Secrets are shown only here: keep them.

    \b
    Examples:
      outcry accounts open --cash 25000
      outcry accounts open --count 100 --first 1000 --cash 1000000 --position AAPL=500 --position SPY=100 --keys-file keys.json
    """
    settings = settings_of(ctx)
    table = load_instruments(settings.instruments_file)
    amount, shares = _cash(cash), dict(_position(table, text) for text in positions)
    numbers = range(first, first + count)
    open_accounts(settings, [Opening(number, amount, shares) for number in numbers])
    keys = make_api_keys(numbers)
    store_api_keys(settings, keys)
    if keys_file is not None:
        write_keys_file(keys_file, keys)
        click.echo(f"opened accounts {first} to {first + count - 1}; their API keys are in {keys_file}")
        return
    for key in keys:
        click.echo(f"account {key.account}  key {key.key_id}  secret {key.secret}")


def _cash(text: str) -> int:
    try:
        amount = to_steps(to_decimal(text) * MINOR_PER_UNIT, Decimal(1))
    except (NotANumber, NotAMultiple) as error:
        raise click.BadParameter(str(error), param_hint="--cash") from error
    if amount < 0:
        raise click.BadParameter("must not be negative", param_hint="--cash")
    return amount


def _position(table: InstrumentTable, text: str) -> tuple[int, int]:
    """(instrument number, lots) of SYMBOL=QTY."""
    symbol, _, qty = text.partition("=")
    instrument: Any = table.by_symbol.get(symbol)
    if instrument is None:
        raise click.BadParameter(f"{symbol!r} is not traded here", param_hint="--position")
    try:
        lots = instrument.qty_to_lots(to_decimal(qty))
    except (NotANumber, NotAMultiple) as error:
        raise click.BadParameter(f"{text}: {error}", param_hint="--position") from error
    if lots <= 0:
        raise click.BadParameter(f"{text}: must be positive", param_hint="--position")
    return instrument.number, lots
