"""The command `outcry mysql`: the servers of a home that has replicas, and another primary."""

import asyncio
import os
import signal
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

import click

from schemas.errors import OutcryError
from schemas.settings import Settings
from sinks.mysql.replication import Standing
from sinks.mysql.servers import Servers
from streams.__main__ import settings_of
from streams.services.local_set import LocalSet
from streams.services.promotion import ServersRecord, promote, standing_of
from streams.services.recipes.mariadb import SERVERS_FILE
from streams.services.supervision.replication_keeper import users_of

ENDED_WITHIN_S: Final = 5.0
STARTED_WITHIN_S: Final = 0.5


@click.group()
def mysql() -> None:
    """MySQL with replicas: see docs/replicas.md."""


@mysql.command()
@click.pass_context
def servers(ctx: click.Context) -> None:
    """Show each server's place: who is primary, how far the others are. Exit code 1 if one is not in its place."""
    data_dir = _data_dir(settings_of(ctx))
    found = asyncio.run(places_of_servers(data_dir))
    for name, text in found.items():
        click.echo(f"{name:<14} {text}")
    sys.exit(1 if any(text.startswith("no") for text in found.values()) else 0)


@mysql.command(name="promote")
@click.option("--to", default="", metavar="NAME", help="This replica (default: the one that has received most).")
@click.pass_context
def promote_command(ctx: click.Context, to: str) -> None:
    """Make a replica the primary. The former one is fenced first: closed for writes, or killed if it does not answer, and follows when it is back.

    What only the former primary had is written again from the log.
    """
    settings = settings_of(ctx)
    data_dir, local = _data_dir(settings), LocalSet(settings)

    began_s = time.monotonic()
    after = asyncio.run(promote(ServersRecord(data_dir / SERVERS_FILE), users_of(data_dir), partial(end_process, local), to))
    click.echo(f"{after.primary} is the primary now, epoch {after.epoch}, after {time.monotonic() - began_s:.1f} s")


async def places_of_servers(data_dir: Path) -> dict[str, str]:
    """By name, what a server is and how far; begins with "no" if it is not in its place."""
    record, users = ServersRecord(data_dir / SERVERS_FILE), users_of(data_dir)
    if not record.path.exists():
        return {}
    servers = record.read()
    found = await asyncio.gather(*(standing_of(one.url, users) for one in servers.servers))
    standings = {one.name: standing for one, standing in zip(servers.servers, found, strict=True)}
    first = standings.get(servers.primary)
    return {name: _place(name, servers, standing, first) for name, standing in standings.items()}


def _place(name: str, servers: Servers, standing: Standing | None, primary: Standing | None) -> str:
    if reason := servers.named(name).rebuild:
        return f"no: gets a new copy of the data{' once it answers' if standing is None else ''}: {reason}"
    if standing is None:
        return "no: it does not answer"
    where = f"{standing.version}, {standing.gtid or 'nothing written'}"
    if name == servers.primary:
        return (
            f"primary, epoch {servers.epoch}, {where}"
            if not standing.read_only
            else f"no: it should be primary and is closed for writes, {where}"
        )
    behind = "" if primary is None else f", {max(0, primary.position - standing.position):,} transactions behind"
    threads = standing.threads
    what = f"replica of {servers.primary or 'nobody'}, {where}{behind}"
    if not standing.read_only:
        return f"no: open for writes, {what}"
    stopped = [word for word, runs in (("receiving", threads.receives), ("applying", threads.applies)) if not runs]
    if stopped:
        return f"no: not {' and not '.join(stopped)}, {what}{': ' + threads.error if threads.error else ''}"
    return what


async def end_process(local: LocalSet, name: str) -> None:
    """Kill the server's process, which the supervisor then starts again, closed for writes. Raises OutcryError if it is not ours to kill."""
    deadline_s = time.monotonic() + STARTED_WITHIN_S
    while (pid := _pid_of(local, name)) is None:
        # it has ended by itself. Had it been started again before the list was changed, the supervisor would say so by now
        if time.monotonic() > deadline_s:
            return
        await asyncio.sleep(0.05)
    deadline_s = time.monotonic() + ENDED_WITHIN_S
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        while time.monotonic() < deadline_s:
            os.kill(pid, 0)
            await asyncio.sleep(0.02)
        raise OutcryError(f"{name}, process {pid}, has not ended {ENDED_WITHIN_S:g} s after SIGKILL")


def _pid_of(local: LocalSet, name: str) -> int | None:
    """Of a server of a home; None while it does not run. Raises OutcryError if there is no such one."""
    status = local.status()
    if status is None or not any(child.name == name for child in status.children):
        raise OutcryError(f"{name} does not answer, and its process is not one of this home: end it by other means")
    return next(child.pid for child in status.children if child.name == name)


def _data_dir(settings: Settings) -> Path:
    """Raises OutcryError where there are no replicas."""
    data_dir = settings.data_dir.resolve()
    if not (data_dir / SERVERS_FILE).exists():
        raise OutcryError(f"{settings.home} has one MySQL server: `outcry up --mysql-replicas N` starts more (after `outcry down`)")
    return data_dir
