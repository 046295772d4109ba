"""`outcry keys`: the keys that prove who writes records; those of services are in streams.operate.certificates."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Column, Table

from streams.__main__ import settings_of
from streams.operate.certificates import certificates, containers, services
from streams.process import key_folder
from topics.key_files import KEY_ID, RecordKeys
from topics.record_codes import Key
from topics.speakers import UNSIGNED

AHEAD_S_MIN: Final = 5
"""Every process has looked at its folder by then; replicas must not decide differently on the same record."""
AHEAD_S: Final = 30
OVERLAP_S: Final = 600
"""What was signed with the old key may still be on its way for so long."""
_after = click.option(
    "--after", "after_s", type=click.IntRange(AHEAD_S_MIN), default=AHEAD_S, show_default=True, metavar="SECONDS",
    help="When it takes effect. On several machines: long enough to copy the folder to each of them.",
)  # fmt: skip


@click.group()
def keys() -> None:
    """Make, list and replace the keys that prove who writes records (docs/design/log.md#trust).

    One secret key for each role, for operators and for producers, in a folder that only its owner may enter: OUTCRY_HOME/keys/records, or OUTCRY_KEYS_DIR.
    Roles notice a change within a second; none has to be restarted. Each file stays: it proves what was written while its key was valid.

    `services`, `certificates` and `containers` are about TLS and logins between the services and roles of a set (docs/operate.md#tls-and-logins).
    """


keys.add_command(services)
keys.add_command(certificates)
keys.add_command(containers)


class _Accounts(click.ParamType):
    name = "ACCOUNTS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[tuple[int, int], ...]:
        return value if isinstance(value, tuple) else accounts_of(value)


def accounts_of(text: str) -> tuple[tuple[int, int], ...]:
    """Ranges of accounts: 7, 1-99 or 1-99,200. Raises click.BadParameter."""
    ranges = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not (first.isascii() and first.isdigit() and (not dash or (last.isascii() and last.isdigit()))):
            raise click.BadParameter(f"{part!r} is no account and no range of accounts: use 7, 1-99 or 1-99,200")
        ranges.append((int(first), int(last) if dash else int(first)))
        if ranges[-1][0] > ranges[-1][1]:
            raise click.BadParameter(f"{part!r} ends before it begins")
    return tuple(ranges)


@keys.command()
@_after
@click.pass_context
def init(ctx: click.Context, after_s: int) -> None:
    """Make the keys that are missing. `outcry up` does it in a new home.

    Where there were none, records that are appended from then on are believed only with a code. Roles that run begin to sign at once;
    give producers their keys before that time.
    """
    folder = settings_of(ctx).record_keys_dir
    made = key_folder.make_missing(folder, _in(after_s))
    click.echo(f"{folder}: {', '.join(key.key_id for key in made) or 'nothing was missing'}")


@keys.command(name="list")
@click.pass_context
def list_(ctx: click.Context) -> None:
    """Show whose keys there are and when they are valid, but no secret."""
    folder, now_ns = settings_of(ctx).record_keys_dir, time.time_ns()
    table = Table(Column("key", no_wrap=True), "valid from", "until", "accounts", "state", box=None, pad_edge=False)
    for key in sorted(RecordKeys(folder).ring.keys, key=lambda key: (key.name, key.number)):
        until = "" if key.until_ns is None else _text(key.until_ns)
        accounts = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in key.accounts)
        table.add_row(key.key_id, _text(key.from_ns), until, accounts, _state(key, now_ns))
    click.echo(f"keys in {folder}" if table.row_count else f"no keys in {folder}: `outcry keys init` makes them")
    if table.row_count:
        Console().print(table)


@keys.command()
@click.argument("name")
@click.option("--accounts", type=_Accounts(), default=(), help="That it may trade for: 7, 1-99 or 1-99,200. Without it: any.")
@_after
@click.pass_context
def add(ctx: click.Context, name: str, accounts: tuple[tuple[int, int], ...], after_s: int) -> None:
    """Make a key for the producer NAME: a program that posts orders to the log.

    \b
    Example:
      outcry keys add acme --accounts 1-99
    """
    if not KEY_ID.fullmatch(f"{name}-1"):
        raise click.BadParameter(f"{name!r}: small letters, digits, dots and dashes, at most 50", param_hint="NAME")
    folder = settings_of(ctx).record_keys_dir
    key = key_folder.add_producer(folder, name, _in(after_s), accounts)
    click.echo(f"{_path(folder, key)} is made, valid from {_text(key.from_ns)}: give this file to the producer, and to nobody else")


@keys.command()
@click.argument("name")
@_after
@click.option(
    "--overlap", "overlap_s", type=click.IntRange(0), default=OVERLAP_S, show_default=True, metavar="SECONDS",
    help="The old key ends so long after.",
)  # fmt: skip
@click.pass_context
def rotate(ctx: click.Context, name: str, after_s: int, overlap_s: int) -> None:
    """Make the next key of NAME, and let the old ones end a while after it has begun."""
    folder, from_ns = settings_of(ctx).record_keys_dir, _in(after_s)
    made, ended = key_folder.rotate(folder, name, from_ns, from_ns + overlap_s * 10**9)
    click.echo(f"{_path(folder, made)} is made, valid from {_text(from_ns)}")
    for key in ended:
        click.echo(f"{key.key_id} ends at {_text(key.until_ns or 0)}")


@keys.command()
@click.argument("key_id")
@_after
@click.pass_context
def retire(ctx: click.Context, key_id: str, after_s: int) -> None:
    """Let the key KEY_ID end: nothing that is appended later is believed by it."""
    key = key_folder.retire(settings_of(ctx).record_keys_dir, key_id, _in(after_s))
    click.echo(f"{key.key_id} ends at {_text(key.until_ns or 0)}")


@keys.command(name="allow-unsigned")
@_after
@click.pass_context
def allow_unsigned(ctx: click.Context, after_s: int) -> None:
    """Let single orders and cancels in without a code: of clients that cannot sign.

    Whoever can write to account.commands then trades for any account. `outcry keys retire` ends it.
    """
    key = key_folder.allow_unsigned(settings_of(ctx).record_keys_dir, _in(after_s))
    click.echo(f"from {_text(key.from_ns)} on single orders need no code, until `outcry keys retire {key.key_id}`")


def _in(seconds: int) -> int:
    return time.time_ns() + seconds * 10**9


def _text(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _state(key: Key, now_ns: int) -> str:
    if key.is_valid(now_ns):
        return "needs no code" if key.speaker == UNSIGNED else "valid"
    return "to come" if now_ns < key.from_ns else "ended"


def _path(folder: Path, key: Key) -> Path:
    return folder / f"{key.key_id}.json"
