"""`outcry accounts`: open accounts with cash, shares and API keys, suspend them, limit them; their API keys are in streams.operate.api_keys."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import click
import numpy as np

from access.api_keys import new_key
from access.tokens import digest_of
from schemas.codec import FRAMES, Header, Rows, encode_frame
from schemas.enums import AccountEventKind, AccountPermission, AccountStatus, CommandKind
from schemas.errors import OutcryError
from schemas.instruments import InstrumentTable, load_instruments
from schemas.limits import ORDERS_AT_ONCE_MAX
from schemas.reject_reasons import SENTENCES, Reason
from schemas.settings import Settings
from schemas.units import MINOR_PER_UNIT, NotAMultiple, NotANumber, to_decimal, to_steps
from streams.__main__ import settings_of
from streams.host.access_record import record_command
from streams.operate.api_keys import keys
from streams.operate.ask_shards import ANSWER_TIMEOUT_S, ask, operator_id
from streams.transport.cluster import partition_counts
from topics.catalogue import ACCOUNT_COMMANDS, ACCOUNT_EVENTS
from topics.partitioning import split_by

ROWS_PER_FRAME: Final = 4_000


@dataclass(frozen=True)
class Opening:
    """An account to open or deposit to: cash in minor units, lots by instrument number."""

    account: int
    cash: int
    positions: dict[int, int]


@dataclass(frozen=True)
class ApiKey:
    """What a client of the edge needs. The secret is shown once and stored nowhere."""

    account: int
    key_id: str
    secret: str

    @property
    def secret_sha256(self) -> str:
        """What MySQL keeps."""
        return digest_of(self.secret)


def open_accounts(
    settings: Settings, openings: Sequence[Opening], *, timeout_s: float = ANSWER_TIMEOUT_S, update_id: int | None = None
) -> int:
    """Open the accounts (existing ones get the amounts on top). Returns how many postings were confirmed.

    `update_id`: of the first posting; the others count up from it. The same call with the same id pays only once. None: the current time in ns.
    Raises ServiceUnavailable, NotConfirmed, or OutcryError naming the postings that were refused.
    """
    return len(_command_accounts(settings, _update_rows(openings), timeout_s, update_id))


def set_status(settings: Settings, accounts: Sequence[int], status: AccountStatus, *, timeout_s: float = ANSWER_TIMEOUT_S) -> int:
    """Suspend accounts, let them trade again, or use the kill switch. Returns how many open orders the shard has begun to cancel.

    Raises ServiceUnavailable, NotConfirmed, or OutcryError naming the accounts that were refused (an unknown one).
    """
    rows = _account_rows(CommandKind.ACCOUNT_STATUS, accounts)
    rows["account_word"] = status
    events = _command_accounts(settings, rows, timeout_s)
    return int(np.count_nonzero(events["kind"] == AccountEventKind.CANCEL_PENDING))


def set_limits(settings: Settings, accounts: Sequence[int], limits: dict[str, int], *, timeout_s: float = ANSWER_TIMEOUT_S) -> None:
    """Set the limits of accounts, in all instruments or in one: columns of an ACCOUNT_LIMITS row. Columns left out mean "no limit".

    Raises as set_status.
    """
    rows = _account_rows(CommandKind.ACCOUNT_LIMITS, accounts)
    for column, value in limits.items():
        rows[column] = value
    _command_accounts(settings, rows, timeout_s)


def _account_rows(kind: CommandKind, accounts: Sequence[int]) -> Rows:
    rows = np.zeros(len(accounts), FRAMES["order_command_frame"].dtype)
    rows["kind"], rows["account"], rows["transact_time"] = kind, accounts, time.time_ns()
    return rows


def _command_accounts(settings: Settings, rows: Rows, timeout_s: float, update_id: int | None = None) -> Rows:
    """Post the commands and return their events. A command that was applied before counts as confirmed.

    Raises ServiceUnavailable, NotConfirmed, or OutcryError for those refused.
    """
    rows["request_id"] = (time.time_ns() if update_id is None else update_id) + np.arange(len(rows))
    partitions = partition_counts(settings, ACCOUNT_COMMANDS)[ACCOUNT_COMMANDS.name]
    source = operator_id()
    frames: list[tuple[int, bytes]] = []
    for shard, index in split_by(rows["account"], partitions):
        of_shard = rows[index]
        for start in range(0, len(of_shard), ROWS_PER_FRAME):
            header = Header(source, source_offset=len(frames) + 1, created_at=time.time_ns())
            frames.append((shard, encode_frame("order_command_frame", header, of_shard[start : start + ROWS_PER_FRAME])))
    answers = ask(settings, ACCOUNT_COMMANDS, frames, ACCOUNT_EVENTS, "hold-funds", timeout_s, rows_wanted=len(rows))
    events = np.concatenate([answer.rows for answer in answers])
    is_refused = events["kind"] == AccountEventKind.ACCOUNT_UPDATE_REJECTED
    refused = events[is_refused & (events["reason"] != Reason.UPDATE_APPLIED_BEFORE)]
    if len(refused):
        first = refused[0]
        why = SENTENCES[Reason(int(first["reason"]))]
        raise OutcryError(f"{len(refused)} of {len(rows)} commands were refused; the first: account {first['account']}: {why}")
    return events


def make_api_keys(accounts: Sequence[int]) -> list[ApiKey]:
    """A new random key for each account; nothing is stored."""
    return [ApiKey(account, *new_key()) for account in accounts]


def store_api_keys(settings: Settings, keys: Sequence[ApiKey]) -> None:
    """Register the keys with the edge: MySQL gets their digests. Raises ServiceUnavailable."""
    from sinks.mysql.api_keys import open_api_keys

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


accounts.add_command(keys)


@accounts.command("open")
@click.option("--count", type=click.IntRange(1, 1_000_000), default=1, show_default=True, help="How many accounts.")
@click.option("--first", type=click.IntRange(1, 1 << 48), default=1, show_default=True, help="Number of the first account.")
@click.option("--cash", default="100000", show_default=True, metavar="AMOUNT", help="Deposit to each, decimal.")
@click.option("--position", "positions", multiple=True, metavar="SYMBOL=QTY", help="Shares for each; may be repeated.")
@click.option(
    "--update-id",
    type=click.IntRange(1, 1 << 63),
    default=None,
    metavar="NUMBER",
    help="Of this deposit; the same command with the same number pays once (default: the time now in ns). At most that, and above the one before.",
)
@click.option("--keys-file", type=click.Path(dir_okay=False, path_type=Path), help="Write the API keys there instead of printing them.")
@click.pass_context
def open_accounts_command(
    ctx: click.Context, count: int, first: int, cash: str, positions: tuple[str, ...], update_id: int | None, keys_file: Path | None
) -> None:
    """Open accounts with cash, shares and an API key each. Returns when the account shards have confirmed the deposits.

    An existing account gets the deposit on top, and another key. Secrets are shown only here: keep them. If the command is interrupted,
    repeat it with the same --update-id: nothing is paid twice.

    \b
    Examples:
      outcry accounts open --cash 25000
      outcry accounts open --count 100 --first 1000 --cash 1000000 --position AAPL=500 --position SPY=100 --keys-file keys.json
    """
    settings = settings_of(ctx)
    table = load_instruments(settings.instruments_file)
    amount, shares = _cash(cash), dict(_position(table, text) for text in positions)
    numbers = range(first, first + count)
    update_id = update_id or time.time_ns()
    record_command(ctx)
    try:
        open_accounts(settings, [Opening(number, amount, shares) for number in numbers], update_id=update_id)
    except OutcryError as error:
        raise OutcryError(f"{error}; repeat the command with --update-id {update_id}: nothing is paid twice") from error
    keys = make_api_keys(numbers)
    store_api_keys(settings, keys)
    if keys_file is not None:
        write_keys_file(keys_file, keys)
        click.echo(f"opened accounts {first} to {first + count - 1}; their API keys are in {keys_file}")
        return
    for key in keys:
        click.echo(f"account {key.account}  key {key.key_id}  secret {key.secret}")


_ACCOUNTS = click.argument("accounts", nargs=-1, required=True, type=click.IntRange(1, 1 << 48), metavar="ACCOUNT...")


@accounts.command("suspend")
@_ACCOUNTS
@click.pass_context
def suspend_command(ctx: click.Context, accounts: tuple[int, ...]) -> None:
    """Refuse new orders and replaces of these accounts. Open orders stay; cancels are accepted."""
    record_command(ctx)
    set_status(settings_of(ctx), accounts, AccountStatus.SUSPENDED)
    click.echo(f"suspended: {_listed(accounts)}")


@accounts.command("resume")
@_ACCOUNTS
@click.pass_context
def resume_command(ctx: click.Context, accounts: tuple[int, ...]) -> None:
    """Let suspended or killed accounts trade again."""
    record_command(ctx)
    set_status(settings_of(ctx), accounts, AccountStatus.ACTIVE)
    click.echo(f"active: {_listed(accounts)}")


@accounts.command("kill")
@_ACCOUNTS
@click.pass_context
def kill_command(ctx: click.Context, accounts: tuple[int, ...]) -> None:
    """Kill switch: suspend these accounts and cancel all their open orders. `outcry accounts resume` lifts the suspension."""
    record_command(ctx)
    canceled = set_status(settings_of(ctx), accounts, AccountStatus.KILLED)
    click.echo(f"killed: {_listed(accounts)}; open orders being canceled: {canceled}")


@accounts.command("limits")
@_ACCOUNTS
@click.option("--short-sale/--no-short-sale", default=False, show_default=True, help="Whether they may sell short, with located shares.")
@click.option(
    "--max-order", default="0", metavar="AMOUNT", help="Largest order at its worst price, decimal; 0: the instrument's own limit."
)
@click.option("--orders-per-second", type=click.IntRange(0, 1_000_000_000), default=0, show_default=True, help="0: no limit.")
@click.option(
    "--orders-at-once",
    type=click.IntRange(0, ORDERS_AT_ONCE_MAX),
    default=0,
    show_default=True,
    help="Burst of orders; 0: one second's worth.",
)
@click.option("--symbol", help="Set limits in this instrument only.")
@click.option("--restrict", is_flag=True, help="With --symbol: no new orders in it.")
@click.option(
    "--max-position", default="0", metavar="QTY", help="With --symbol: largest long or short position; 0: the instrument's own limit."
)
@click.pass_context
def limits_command(
    ctx: click.Context,
    accounts: tuple[int, ...],
    short_sale: bool,
    max_order: str,
    orders_per_second: int,
    orders_at_once: int,
    symbol: str | None,
    restrict: bool,
    max_position: str,
) -> None:
    """Set what accounts may do. Options that are left out return to their defaults.

    \b
    Examples:
      outcry accounts limits 7 --short-sale --max-order 500000 --orders-per-second 100
      outcry accounts limits 7 8 --symbol AAPL --max-position 1000
      outcry accounts limits 7 --symbol TSLA --restrict
    """
    settings = settings_of(ctx)
    if symbol is None:
        if restrict or max_position != "0":
            raise click.UsageError("--restrict and --max-position need --symbol")
        permissions = AccountPermission.SHORT_SALE if short_sale else 0
        limits = {"account_word": int(permissions), "cash": _cash(max_order, "--max-order"),
                  "order_qty": orders_per_second, "min_qty": orders_at_once}  # fmt: skip
    else:
        if short_sale or max_order != "0" or orders_per_second or orders_at_once:
            raise click.UsageError("--symbol goes with --restrict and --max-position only")
        table = load_instruments(settings.instruments_file)
        number, lots = _position(table, f"{symbol}={max_position}", "--max-position", least=0)
        limits = {"instrument": number, "account_word": int(restrict), "order_qty": lots}
    record_command(ctx)
    set_limits(settings, accounts, limits)
    click.echo(f"limits set: {_listed(accounts)}")


def _listed(accounts: Sequence[int]) -> str:
    return ", ".join(map(str, accounts))


def _cash(text: str, option: str = "--cash") -> int:
    try:
        amount = to_steps(to_decimal(text) * MINOR_PER_UNIT, Decimal(1))
    except (NotANumber, NotAMultiple) as error:
        raise click.BadParameter(str(error), param_hint=option) from error
    if amount < 0:
        raise click.BadParameter("must not be negative", param_hint=option)
    return amount


def _position(table: InstrumentTable, text: str, option: str = "--position", least: int = 1) -> tuple[int, int]:
    """(instrument number, lots) of SYMBOL=QTY."""
    symbol, _, qty = text.partition("=")
    instrument: Any = table.by_symbol.get(symbol)
    if instrument is None:
        raise click.BadParameter(f"{symbol!r} is not traded here", param_hint=option)
    try:
        lots = instrument.qty_to_lots(to_decimal(qty))
    except (NotANumber, NotAMultiple) as error:
        raise click.BadParameter(f"{text}: {error}", param_hint=option) from error
    if lots < least:
        raise click.BadParameter(f"{text}: must be {'positive' if least else 'no less than 0'}", param_hint=option)
    return instrument.number, lots
