"""`outcry users`: the people who work on the exchange, and the tokens of programs that work in their name.

Passwords come from a prompt, or from standard input if that is no terminal; never from the command line, which others can see.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Final, TypeVar

import click
from rich.console import Console
from rich.table import Table

from access import second_factor
from access.passwords import CHARACTERS_MAX, check_password, hash_password
from access.people import Role, check_name, roles_of, text_of
from access.tokens import digest_of, new_operator_token
from schemas.errors import OutcryError
from schemas.settings import Settings
from sinks.mysql import people as store
from sinks.mysql.pool import MySql
from sinks.mysql.schema import apply_schema
from streams.__main__ import settings_of
from streams.host.access_record import newest_events, record_command

T = TypeVar("T")
_DAY_NS: Final = 86_400_000_000_000
TOKEN_DAYS_MAX: Final = 366
LABEL_CHARACTERS_MAX: Final = 200


def in_mysql(settings: Settings, work: Callable[[MySql], Awaitable[T]]) -> T:
    """Do it with a connection of its own; makes the tables if there are none. Raises ServiceUnavailable."""

    async def connected() -> T:
        db = await MySql.connect(settings.mysql_url, size_max=1)
        try:
            await apply_schema(db)
            return await work(db)
        finally:
            await db.close()

    return asyncio.run(connected())


def put_person(settings: Settings, name: str, password: str, roles: frozenset[Role]) -> None:
    """Somebody without a second factor; if there is one of this name, they get this password and these roles. Raises ServiceUnavailable."""

    async def put(db: MySql) -> None:
        columns = {"password_hash": hash_password(password), "roles": text_of(roles), "totp_secret": ""}
        if await store.person(db, name) is None:
            await store.add_person(db, name, now=time.time_ns(), **columns)
        else:
            await store.change_person(db, name, time.time_ns(), enabled=1, attempts=0, **columns)

    in_mysql(settings, put)


def make_token(settings: Settings, name: str, roles: frozenset[Role], *, read_only: bool, days: float, label: str) -> tuple[str, str]:
    """(id, token) of an operator token in somebody's name, with roles that they have. Raises OutcryError, ServiceUnavailable."""

    async def make(db: MySql) -> tuple[str, str]:
        person = await store.person(db, name)
        if person is None:
            raise OutcryError(f"there is nobody of the name {name}")
        if lacking := roles - roles_of(person.roles):
            raise OutcryError(f"{name} is not {' or '.join(sorted(lacking))}: a token has no roles that its person has not")
        token_id, token = new_operator_token()
        now = time.time_ns()
        await store.add_token(
            db,
            token_id,
            digest_of(token),
            name,
            text_of(roles),
            read_only=read_only,
            label=label,
            now=now,
            ends_at=now + int(days * _DAY_NS),
        )
        return token_id, token

    return in_mysql(settings, make)


# ---- commands


@click.group()
def users() -> None:
    """People who work on the exchange: operators, analysts, supervisors, compliance."""


_NAME = click.argument("name")
_ROLES = click.option(
    "--role",
    "roles",
    multiple=True,
    required=True,
    type=click.Choice([role.value for role in Role]),
    help="What they work as; may be repeated.",
)


@users.command("add")
@_NAME
@_ROLES
@click.option("--without-totp", is_flag=True, help="No second factor: they may sign in on this machine only.")
@click.pass_context
def add_command(ctx: click.Context, name: str, roles: tuple[str, ...], without_totp: bool) -> None:
    """Add somebody, and print the secret of their second factor once: they type it into an authenticator app.

    The password is asked for, or read from standard input.

    \b
    Examples:
      outcry users add ann --role analyst --role supervisor
      outcry users add bob --role operator < password-file
    """
    check_name(name)
    password = _password(name)
    record_command(ctx)
    secret = "" if without_totp else second_factor.new_secret()
    text = text_of(Role(role) for role in roles)
    hashed = hash_password(password)
    in_mysql(settings_of(ctx), lambda db: store.add_person(db, name, hashed, secret, text, time.time_ns()))
    click.echo(f"{name} may sign in as {text}")
    _tell_secret(name, secret)


@users.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def list_command(ctx: click.Context, as_json: bool) -> None:
    """Who works here, and what they may do."""
    found = in_mysql(settings_of(ctx), store.people)
    rows = [
        {"name": one.name, "roles": one.roles.split(","), "second_factor": bool(one.totp_secret), "enabled": one.enabled,
         "failed_attempts": one.attempts, "changed_at": time_text(one.changed_at)}
        for one in found
    ]  # fmt: skip
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    if not rows:
        click.echo("nobody yet: outcry users add NAME --role analyst")
        return
    table = Table("name", "roles", "second factor", "state", "changed", box=None, pad_edge=False)
    for one, row in zip(found, rows, strict=True):
        table.add_row(one.name, one.roles.replace(",", ", "), "yes" if one.totp_secret else "no: this machine only",
                      "enabled" if one.enabled else "disabled", str(row["changed_at"]))  # fmt: skip
    Console().print(table)


@users.command("roles")
@_NAME
@_ROLES
@click.pass_context
def roles_command(ctx: click.Context, name: str, roles: tuple[str, ...]) -> None:
    """Give somebody these roles instead of those they have. They are signed out."""
    record_command(ctx)
    text = text_of(Role(role) for role in roles)
    in_mysql(settings_of(ctx), lambda db: store.change_person(db, name, time.time_ns(), roles=text))
    click.echo(f"{name} is now {text}")


@users.command("passwd")
@_NAME
@click.pass_context
def passwd_command(ctx: click.Context, name: str) -> None:
    """Set somebody's password, asked for or read from standard input. They are signed out."""
    hashed = hash_password(_password(name))
    record_command(ctx)
    in_mysql(settings_of(ctx), lambda db: store.change_person(db, name, time.time_ns(), password_hash=hashed, attempts=0))
    click.echo(f"{name} has another password")


@users.command("totp")
@_NAME
@click.option("--remove", is_flag=True, help="No second factor from now on: they may sign in on this machine only.")
@click.pass_context
def totp_command(ctx: click.Context, name: str, remove: bool) -> None:
    """Give somebody a new second factor, for instance for a new phone. They are signed out."""
    record_command(ctx)
    secret = "" if remove else second_factor.new_secret()
    what = f"{'removed' if remove else 'changed'} the second factor of {name}"
    in_mysql(settings_of(ctx), lambda db: store.change_person(db, name, time.time_ns(), totp_secret=secret, totp_step=0))
    click.echo(what)
    _tell_secret(name, secret)


@users.command("disable")
@_NAME
@click.pass_context
def disable_command(ctx: click.Context, name: str) -> None:
    """Let somebody in no more, at once: sessions end, tokens open nothing."""
    record_command(ctx)
    in_mysql(settings_of(ctx), lambda db: store.change_person(db, name, time.time_ns(), enabled=0))
    click.echo(f"{name} is disabled")


@users.command("enable")
@_NAME
@click.pass_context
def enable_command(ctx: click.Context, name: str) -> None:
    """Let somebody in again who was disabled, or who has to wait after wrong attempts."""
    record_command(ctx)
    in_mysql(settings_of(ctx), lambda db: store.change_person(db, name, time.time_ns(), enabled=1, attempts=0))
    click.echo(f"{name} is enabled")


@users.command("sign-out")
@_NAME
@click.pass_context
def sign_out_command(ctx: click.Context, name: str) -> None:
    """End all sessions of somebody."""
    record_command(ctx)
    ended = in_mysql(settings_of(ctx), lambda db: store.end_sessions(db, name))
    click.echo(f"sessions ended: {ended}")


@users.command("token")
@_NAME
@_ROLES
@click.option("--days", type=click.FloatRange(0, TOKEN_DAYS_MAX, min_open=True), default=30, show_default=True, help="It works so long.")
@click.option("--read-only", is_flag=True, help="It may not change anything.")
@click.option("--label", default="", help="What it is for.")
@click.pass_context
def token_command(ctx: click.Context, name: str, roles: tuple[str, ...], days: float, read_only: bool, label: str) -> None:
    """Make a token for a program that works in somebody's name, with some of their roles. It is printed once.

    The program sends it as `Authorization: Bearer TOKEN`.

    \b
    Example:
      outcry users token ann --role analyst --read-only --days 90 --label "night report"
    """
    if len(label) > LABEL_CHARACTERS_MAX:
        raise click.BadParameter(f"at most {LABEL_CHARACTERS_MAX} characters", param_hint="--label")
    record_command(ctx)
    wanted = frozenset(Role(role) for role in roles)
    settings = settings_of(ctx)
    token_id, token = make_token(settings, name, wanted, read_only=read_only, days=days, label=label)
    click.echo(f"token {token_id} of {name}; whoever has it is {text_of(wanted)} for {days:g} days:")
    click.echo(token)


@users.command("tokens")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def tokens_command(ctx: click.Context, as_json: bool) -> None:
    """The operator tokens, the newest first."""
    found = in_mysql(settings_of(ctx), store.tokens)
    if as_json:
        hidden = ("digest", "persons_roles", "enabled")
        click.echo(json.dumps([{name: value for name, value in asdict(one).items() if name not in hidden} for one in found], indent=1))
        return
    now = time.time_ns()
    table = Table("token", "name", "roles", "may", "state", "label", box=None, pad_edge=False)
    for one in found:
        state = f"until {time_text(one.ends_at)}" if one.ends_at > now else f"over since {time_text(one.ends_at)}"
        table.add_row(one.token_id, one.name, one.roles.replace(",", ", "), "read" if one.read_only else "read, change", state, one.label)
    Console().print(table)


@users.command("withdraw")
@click.argument("token_id")
@click.pass_context
def withdraw_command(ctx: click.Context, token_id: str) -> None:
    """Withdraw an operator token by its id (outcry users tokens). From now on it opens nothing."""
    record_command(ctx)
    in_mysql(settings_of(ctx), lambda db: store.withdraw_token(db, token_id, time.time_ns()))
    click.echo(f"token {token_id} is withdrawn")


@users.command("events")
@click.option("--last", type=click.IntRange(1, 1_000_000), default=50, show_default=True, help="How many.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one event a line.")
@click.pass_context
def events_command(ctx: click.Context, last: int, as_json: bool) -> None:
    """Who signed in, was refused, or changed something: the newest records of access.events, oldest first."""
    for event in newest_events(settings_of(ctx), last):
        said = " ".join(filter(None, (event["person"] or event["address"], event["what"], event["detail"])))
        click.echo(json.dumps(event) if as_json else f"{time_text(event['at_ns'])}  {event['act']:<15}  {said}")


def _password(name: str) -> str:
    stdin = click.get_text_stream("stdin")
    if stdin.isatty():
        password = str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    else:
        password = stdin.readline(4 * CHARACTERS_MAX).rstrip("\r\n")
    check_password(name, password)
    return password


def _tell_secret(name: str, secret: str) -> None:
    if secret:
        click.echo(
            f"second factor, for an authenticator app (shown only here):\n  secret  {secret}\n  address {second_factor.uri_of(secret, name)}"
        )
    else:
        click.echo(f"{name} has no second factor, and so may sign in on this machine only")


def time_text(ns: int) -> str:
    """A time for people."""
    return datetime.fromtimestamp(ns / 1e9, UTC).isoformat(" ", "seconds").removesuffix("+00:00") + " UTC"
