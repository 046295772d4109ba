"""`outcry accounts keys`: the API keys of customers' accounts."""

import json
import time
from collections.abc import Sequence
from typing import Final, TextIO

import click
from rich.console import Console
from rich.table import Table

from access.api_keys import ALL_SCOPES, Scope, networks_of, new_key, text_of_scopes
from access.signatures import public_key_of
from access.tokens import digest_of
from sinks.mysql import api_keys as store
from sinks.mysql.pool import MySql
from streams.__main__ import settings_of
from streams.host.access_record import record_command
from streams.operate.users import in_mysql, time_text

KEYS_OF_ACCOUNT_MAX: Final = 1_000
"""For operators; customers have a lower limit."""
_DAY_NS: Final = 86_400_000_000_000
_S: Final = 1_000_000_000
_KEY_FILE_CHARACTERS_MAX: Final = 4_096


@click.group()
def keys() -> None:
    """API keys of an account."""


_ADDRESSES = click.option(
    "--address",
    "addresses",
    multiple=True,
    metavar="NETWORK",
    help="It may be used from there only, such as 203.0.113.0/24; may be repeated.",
)
_READ_ONLY = click.option("--read-only", is_flag=True, help="It may read, and send no orders.")


_PUBLIC_KEY = click.option(
    "--public-key",
    "public_key_file",
    type=click.File(),
    help="Its requests are signed with this Ed25519 key (PEM, or base64); it has no secret.",
)


@keys.command("create")
@click.argument("account", type=click.IntRange(1, 1 << 48))
@_READ_ONLY
@_ADDRESSES
@click.option("--days", type=click.FloatRange(0, 3_660, min_open=True), help="It ends after so long (default: never).")
@click.option("--label", default="", help="What it is for.")
@_PUBLIC_KEY
@click.pass_context
def create_command(
    ctx: click.Context,
    account: int,
    read_only: bool,
    addresses: tuple[str, ...],
    days: float | None,
    label: str,
    public_key_file: TextIO | None,
) -> None:
    """Make an API key. Its secret is shown only here; with a public key there is none.

    \b
    Examples:
      outcry accounts keys create 7
      outcry accounts keys create 7 --read-only --address 203.0.113.0/24 --days 90 --label "reports"
      outcry accounts keys create 7 --public-key bot.pem
    """
    networks, public_key = _networks(addresses), _public_key(public_key_file)
    record_command(ctx)
    key_id, secret = new_key()
    ends_at = time.time_ns() + int(days * _DAY_NS) if days else 0
    scopes = text_of_scopes({Scope.READ} if read_only else ALL_SCOPES)
    in_mysql(
        settings_of(ctx),
        lambda db: store.add_key(
            db, key_id, digest_of(secret), account, scopes, networks, ends_at=ends_at, label=label, keys_max=KEYS_OF_ACCOUNT_MAX,
            public_key=public_key,
        ),
    )  # fmt: skip
    _tell(account, key_id, "" if public_key else secret)


@keys.command("list")
@click.argument("account", type=click.IntRange(1, 1 << 48))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def list_command(ctx: click.Context, account: int, as_json: bool) -> None:
    """Every API key that the account ever had, the newest first."""
    found = in_mysql(settings_of(ctx), lambda db: store.keys_of_account(db, account))
    if as_json:
        fields = ("key_id", "scopes", "networks", "ends_at", "label", "created_at", "public_key")
        click.echo(json.dumps([{name: getattr(one, name) for name in fields} for one in found], indent=1))
        return
    now = time.time_ns()
    table = Table("key", "may", "from", "state", "label", box=None, pad_edge=False)
    for one in found:
        state = (
            "good"
            if not one.ends_at
            else f"until {time_text(one.ends_at)}"
            if one.ends_at > now
            else f"over since {time_text(one.ends_at)}"
        )
        table.add_row(one.key_id, one.scopes.replace(",", ", "), one.networks.replace(",", ", ") or "everywhere", state, one.label)
    Console().print(table)


@keys.command("rotate")
@click.argument("key_id")
@click.option(
    "--overlap", type=click.FloatRange(0, 86_400), default=3_600, show_default=True, metavar="SECONDS", help="The old key works so long."
)
@_PUBLIC_KEY
@click.pass_context
def rotate_command(ctx: click.Context, key_id: str, overlap: float, public_key_file: TextIO | None) -> None:
    """Make a new key with the rights of another one, which ends after the overlap. Clients change over without an interruption."""
    public_key = _public_key(public_key_file)
    record_command(ctx)
    new_id, secret = new_key()

    ends_at = time.time_ns() + int(overlap * _S)
    before = in_mysql(
        settings_of(ctx),
        lambda db: store.rotate_key(db, key_id, ends_at, new_id, digest_of(secret), keys_max=KEYS_OF_ACCOUNT_MAX, public_key=public_key),
    )
    _tell(before.account, new_id, "" if public_key else secret)
    click.echo(f"key {key_id} works for another {overlap:g} s")


@keys.command("withdraw")
@click.argument("key_ids", nargs=-1, required=True)
@click.pass_context
def withdraw_command(ctx: click.Context, key_ids: tuple[str, ...]) -> None:
    """End API keys at once: every edge refuses them within a second and closes their WebSockets. Open orders stay."""
    record_command(ctx)

    async def withdraw(db: MySql) -> None:
        for key_id in key_ids:
            await store.end_key(db, key_id, time.time_ns())

    in_mysql(settings_of(ctx), withdraw)
    click.echo(f"withdrawn: {', '.join(key_ids)}")


@keys.command("limit")
@click.argument("key_id")
@_READ_ONLY
@_ADDRESSES
@click.pass_context
def limit_command(ctx: click.Context, key_id: str, read_only: bool, addresses: tuple[str, ...]) -> None:
    """Set what a key may do and from where. Options that are left out return to their defaults: everything, from everywhere."""
    networks = _networks(addresses)
    record_command(ctx)
    scopes = text_of_scopes({Scope.READ} if read_only else ALL_SCOPES)
    in_mysql(settings_of(ctx), lambda db: store.limit_key(db, key_id, scopes, networks))
    click.echo(f"{key_id}: {scopes.replace(',', ', ')}; from {networks.replace(',', ', ') or 'everywhere'}")


def _networks(addresses: Sequence[str]) -> str:
    return ",".join(map(str, networks_of(addresses)))


def _tell(account: int, key_id: str, secret: str) -> None:
    click.echo(f"account {account}  key {key_id}  " + (f"secret {secret}" if secret else "signed with its private key"))


def _public_key(file: TextIO | None) -> str:
    """As it is stored; empty without a file."""
    return public_key_of(file.read(_KEY_FILE_CHARACTERS_MAX)).hex() if file is not None else ""
