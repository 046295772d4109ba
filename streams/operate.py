"""What an operator does to the accounts of a running exchange: open them with money, shares and API keys."""

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

from schemas.codec import FRAMES, Header, Rows, encode_frame
from schemas.enums import AccountEventKind, CommandKind
from schemas.errors import OutcryError
from schemas.instruments import InstrumentTable, load_instruments
from schemas.reject_reasons import SENTENCES, Reason
from schemas.settings import Settings
from schemas.units import MINOR_PER_UNIT, NotAMultiple, NotANumber, to_decimal, to_steps
from streams.__main__ import settings_of
from streams.ask_shards import ANSWER_TIMEOUT_S, ask, operator_id
from streams.cluster import partition_counts
from topics.catalogue import ACCOUNT_COMMANDS, ACCOUNT_EVENTS
from topics.partitioning import split_by

ROWS_PER_FRAME: Final = 4_000
KEY_ID_PREFIX: Final = "OO"


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


def open_accounts(settings: Settings, openings: Sequence[Opening], *, timeout_s: float = ANSWER_TIMEOUT_S) -> int:
    """Open the accounts (those that exist get the amounts on top); returns how many postings were confirmed.

    Raises ServiceUnavailable, NotConfirmed, or OutcryError naming the postings that were refused.
    """
    rows = _update_rows(openings)
    partitions = partition_counts(settings, ACCOUNT_COMMANDS)[ACCOUNT_COMMANDS.name]
    source = operator_id()
    frames: list[tuple[int, bytes]] = []
    for shard, index in split_by(rows["account"], partitions):
        for start in range(0, len(index), ROWS_PER_FRAME):
            header = Header(source, source_offset=len(frames) + 1, created_at=time.time_ns())
            frames.append((shard, encode_frame("order_command_frame", header, rows[index[start : start + ROWS_PER_FRAME]])))
    answers = ask(settings, ACCOUNT_COMMANDS, frames, ACCOUNT_EVENTS, "hold-funds", timeout_s, rows_wanted=len(rows))
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


def _update_rows(openings: Sequence[Opening]) -> Rows:
    """One ACCOUNT_UPDATE row for the cash (it opens the account even if 0), one more for each position."""
    postings = [(one.account, one.cash, 0, 0) for one in openings]
    postings += [(one.account, 0, instrument, lots) for one in openings for instrument, lots in one.positions.items()]
    rows = np.zeros(len(postings), FRAMES["order_command_frame"].dtype)
    rows["kind"], rows["transact_time"] = CommandKind.ACCOUNT_UPDATE, time.time_ns()
    for column, values in zip(("account", "cash", "instrument", "order_qty"), zip(*postings, strict=True), strict=True):
        rows[column] = values
    return rows


# ---- commands


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
