"""Real MySQL replicas under load and faults, with an oracle that knows every answer: `make replicas`.

    python tests/chaos/run_replicas.py                                     # 1 primary, 12 replicas, 100,000 reads with tokens, 10 promotions
    python tests/chaos/run_replicas.py --replicas 3 --reads 2000 --promotions 2
    python tests/chaos/run_replicas.py --replicas 100 --reads 20000 --promotions 0 --faults 0    # a hundred real servers

The sink of MySQL is fed with a log that anybody can compute. Readers ask for orders through routers, half with the place that was acknowledged last, half
without. Meanwhile replicas are killed, stopped, delayed, and primaries are killed, frozen or asked to step down. At the end every server has every row.
Exit status: 0 only if no read with a token was stale, some without were, no row is lost, and every bound holds. The last line is JSON.
"""

import asyncio
import json
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import click
from divergence import rebuilt, write_alone
from replica_log import FRAME_EVENTS, KEYS, Writer, version_at

from schemas.errors import OutcryError, ServiceUnavailable
from schemas.settings import Settings
from sinks.mysql.places import Place
from sinks.mysql.pool import MySql, Reader
from sinks.mysql.replication import Administrator
from sinks.mysql.routing import limits
from sinks.mysql.routing.router import Router
from sinks.mysql.schema import apply_schema
from sinks.mysql.servers import ServersFile
from streams.services.local_set import LocalSet
from streams.services.mysql_commands import end_process
from streams.services.promotion import ServersRecord, promote, standing_of
from streams.services.recipes.mariadb import SERVERS_FILE
from streams.services.supervision.replication_keeper import users_of

SETTLE_S: Final = 120.0
STUCK_S: Final = 120.0
"""What has not come about within this, on however busy a machine, never will."""
FAULT_S: Final = 3.0
CALM_SHARE: Final = 0.2
"""Of the reads, before the first fault: only then are equal shares to be expected."""
PROMOTED_MAX_S: Final = 5.0
WAYS: Final = ("asked", "alone", "frozen", "torn", "killed")
"""Alone: killed with transactions that nobody has received."""
LOAD_MAX: Final = 1.3
LOAD_READS_MIN: Final = 200
"""Of a replica: three standard deviations are then 1.21."""


@dataclass
class Told:
    """What happened."""

    fresh: int = 0
    stale: int = 0
    plain: int = 0
    plain_stale: int = 0
    refused: int = 0
    latency_s: list[float] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    promotions: list[dict[str, Any]] = field(default_factory=list)
    connections_max: int = 0
    load: list[float] = field(default_factory=list)
    first_stale: str = ""


async def until(holds: Callable[[], bool], what: Callable[[], str]) -> None:
    """Look again and again. Raises OutcryError, with `what` it waited for, once nothing of that has changed for STUCK_S."""
    found, since_s = what(), time.monotonic()
    while not holds():
        await asyncio.sleep(0.005)
        if (now := what()) != found:
            found, since_s = now, time.monotonic()
        elif time.monotonic() - since_s > STUCK_S:
            raise OutcryError(f"no change for {STUCK_S:g} s: {found}")


async def version(db: Reader, key: int) -> int:
    """Of an order; 0 if there is none."""
    rows = await db.fetch("SELECT version FROM orders WHERE order_id = %s", (key,))
    return int(rows[0][0]) if rows else 0


class Campaign:
    """One run on a set that is up."""

    def __init__(self, local: LocalSet, settings: Settings, seed: int, routers: int, pause_s: float, promoted_max_s: float) -> None:
        self.local, self.settings, self.promoted_max_s = local, settings, promoted_max_s
        self.data_dir = settings.data_dir.resolve()
        self.record, self.users = ServersRecord(self.data_dir / SERVERS_FILE), users_of(self.data_dir)
        self.file = ServersFile(self.data_dir / SERVERS_FILE)
        self.names = [f"edge-{number}" for number in range(routers)]
        self.draw, self.told = random.Random(seed), Told()
        self.writer = Writer(self.file, pause_s)
        self.routers: list[Router] = []
        self.own_keys: list[str] = []
        """Of primaries that died with them."""

    # -- readers

    async def read(self, router: Router, stop: asyncio.Event) -> None:
        """Until `stop`: every fault meets readers."""
        told = self.told
        while not stop.is_set():
            key, seen = 1 + self.draw.randrange(KEYS), self.writer.acknowledged
            with_token = self.draw.random() < 0.5
            began_s = time.monotonic()
            try:
                found = await router.read(version, Place(0, seen) if with_token else None, key)
            except ServiceUnavailable:
                told.refused += 1
                await asyncio.sleep(0.02)
                continue
            told.latency_s.append(time.monotonic() - began_s)
            self._judge(found, version_at(key, seen), with_token, f"order {key} at event {seen}")

    def _judge(self, found: int, needed: int, with_token: bool, what: str) -> None:
        told, stale = self.told, found < needed
        if not with_token:
            told.plain, told.plain_stale = told.plain + 1, told.plain_stale + stale
            return
        told.fresh, told.stale = told.fresh + (not stale), told.stale + stale
        if stale and not told.first_stale:
            told.first_stale = f"{what}: version {found}, needed {needed}"

    async def count_connections(self, stop: asyncio.Event) -> None:
        """The most that any replica has of the routers' user, now and then."""
        while not stop.is_set():
            for one in self.file.read().replicas:
                with suppress(OutcryError, TimeoutError):
                    async with asyncio.timeout(2), Administrator.of(self.users.administrator.url(one.url)) as server:
                        count = await server.connections_of(self.users.application)
                        self.told.connections_max = max(self.told.connections_max, count)
            await asyncio.sleep(1)

    # -- faults

    async def faults(self, count: int, promotions: int, reads: int, stop: asyncio.Event) -> None:
        """Spread over the reads that follow the calm beginning."""
        kinds = [self.kill, self.stop_thread, self.freeze, self.delay, self.half_attached]
        plan = kinds * (count // len(kinds) + 1)
        plan = plan[:count] + [self.promote] * promotions
        self.draw.shuffle(plan)
        for step, fault in enumerate(plan):
            due = reads * (CALM_SHARE + (0.9 - CALM_SHARE) * step / max(1, len(plan)))
            await until(lambda due=due: self.told.fresh >= due or stop.is_set(), self.progress)
            if stop.is_set():
                return
            if step == 0:
                self.told.load = self.loads()
            await fault()

    def loads(self) -> list[float]:
        """Of each router, the most reads of a replica over the mean; none with so few reads that chance alone would make them uneven."""
        found = [[one.reads for one in router.stats().servers if not one.is_primary] for router in self.routers]
        return [max(reads) / statistics.mean(reads) for reads in found if statistics.mean(reads) >= LOAD_READS_MIN]

    def pid_of(self, name: str) -> int:
        """Of a server that runs."""
        status = self.local.status()
        assert status is not None, "the set is down"
        return next((child.pid for child in status.children if child.name == name and child.pid), 0)

    def victim(self) -> str:
        """A replica."""
        return self.draw.choice([one.name for one in self.file.read().replicas])

    async def kill(self) -> None:
        """A replica comes back by itself."""
        self.told.faults["kill"] += 1
        if pid := self.pid_of(self.victim()):
            os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(FAULT_S)

    async def freeze(self) -> None:
        """SIGSTOP: connections stay open, nothing answers."""
        self.told.faults["freeze"] += 1
        if pid := self.pid_of(self.victim()):
            os.kill(pid, signal.SIGSTOP)
            try:
                await asyncio.sleep(FAULT_S)
            finally:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    async def stop_thread(self) -> None:
        """STOP SLAVE SQL_THREAD: the replica answers, receives, and applies nothing."""
        await self._while("stop_thread", ["STOP SLAVE SQL_THREAD"], ["START SLAVE"])

    async def delay(self) -> None:
        """Two seconds behind."""
        await self._while(
            "delay",
            ["STOP SLAVE", "CHANGE MASTER TO MASTER_DELAY = 2", "START SLAVE"],
            ["STOP SLAVE", "CHANGE MASTER TO MASTER_DELAY = 0", "START SLAVE"],
        )

    async def half_attached(self) -> None:
        """As after a promotion that ran out of time on a replica: it has its source, in a new epoch, and nobody has started it."""
        self.told.faults["half_attached"] += 1
        with suppress(OutcryError, TimeoutError):
            await self._say(self.users.administrator.url(self.file.read().named(self.victim()).url), ["STOP SLAVE"])
        with self.record.locked():
            before = self.record.read()
            self.record.write(replace(before, epoch=before.epoch + 1))

    async def _while(self, name: str, begin: list[str], end: list[str]) -> None:
        self.told.faults[name] += 1
        url = self.users.administrator.url(self.file.read().named(self.victim()).url)
        with suppress(OutcryError, TimeoutError):
            await self._say(url, begin)
        await asyncio.sleep(FAULT_S)
        deadline_s = time.monotonic() + STUCK_S
        while True:  # a fault that stays would be found at the end as a fault of the servers
            try:
                return await self._say(url, end)
            except (OutcryError, TimeoutError):
                if time.monotonic() > deadline_s:
                    raise
                await asyncio.sleep(0.1)

    async def _say(self, url: str, statements: list[str]) -> None:
        async with asyncio.timeout(5), Administrator.of(url) as server:
            for statement in statements:
                await server.run(statement)

    async def promote(self) -> None:
        """The primary steps down, dies, freezes, or whoever promotes dies half-way, in turn; time until the sink has stored something on the new one."""
        how = WAYS[len(self.told.promotions) % len(WAYS)]
        if how == "alone":
            self.own_keys.append(await write_alone(self.file, self.users, self.writer))
        former, began_s = self.file.read().primary, time.monotonic()
        pid = self.pid_of(former)
        if pid and how in ("alone", "killed", "frozen"):
            os.kill(pid, signal.SIGSTOP if how == "frozen" else signal.SIGKILL)
        primary = await (self.abandon() if how == "torn" else self.ask())
        opened_s, moved = time.monotonic() - began_s, asyncio.get_running_loop().time()
        await until(
            lambda: self.writer.last_s >= moved, lambda: f"the sink stores on {primary}; {self.writer.acknowledged} events acknowledged"
        )
        told = {"how": how, "from": former, "to": primary, "done_s": round(opened_s, 3), "written_s": round(time.monotonic() - began_s, 3)}
        self.told.promotions.append(told)
        print(f"# {told}", file=sys.stderr)
        if how == "alone":
            await self.kill_half_way(former)

    async def kill_half_way(self, name: str) -> None:
        """A server dies as it gets its new copy: that begins again."""
        before = rebuilt(self.settings.log_dir)
        await until(
            lambda: bool(self.file.read().named(name).rebuild) or rebuilt(self.settings.log_dir) > before,
            lambda: f"{name} is to get a new copy of the data",
        )
        if pid := self.pid_of(name):
            os.kill(pid, signal.SIGKILL)

    async def ask(self) -> str:
        """`outcry mysql promote`, until it succeeds. Returns the new primary."""
        deadline_s = time.monotonic() + STUCK_S
        while True:
            try:
                return (await promote(self.record, self.users, partial(end_process, self.local))).primary
            except OutcryError as error:
                print(f"# promotion again: {error}", file=sys.stderr)
                if time.monotonic() > deadline_s:
                    raise
                await asyncio.sleep(0.1)

    async def abandon(self) -> str:
        """A promotion that ended after its first step: the file names nobody. The keeper of the set goes on. Returns the new primary."""
        with self.record.locked():
            before = self.record.read()
            self.record.write(replace(before, epoch=before.epoch + 1, primary="", former=before.primary))
        await until(lambda: bool(self.file.read().primary), lambda: "the keeper finds a primary")
        return self.file.read().primary

    def progress(self) -> str:
        """What changes as long as anything goes on."""
        told, writer = self.told, self.writer
        return f"{told.fresh} reads with a token, {told.plain} without, {told.refused} refused; {writer.acknowledged} events acknowledged"

    # -- the whole

    async def run(self, reads: int, readers: int, faults: int, promotions: int) -> list[str]:
        """Everything; returns what is wrong."""
        await self.wait_attached()
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:  # who fails ends them all, rather than being waited for
            tasks.create_task(self.writer.run())
            await until(lambda: self.writer.acknowledged >= 2 * KEYS + FRAME_EVENTS, self.progress)
            self.routers = [await Router.started(self.file, name, self.names, seed=number) for number, name in enumerate(self.names)]
            for number in range(readers):
                tasks.create_task(self.read(self.routers[number % len(self.routers)], stop))
            tasks.create_task(self.count_connections(stop))
            breaking = tasks.create_task(self.faults(faults, promotions, reads, stop))
            await until(lambda: breaking.done() and self.told.fresh + self.told.stale >= reads, self.progress)
            if not faults + promotions:
                self.told.load = self.loads()
            stop.set()
            self.writer.stopping = True
        for router in self.routers:
            await router.close()
        return await self.lost_rows() + self.problems(reads, promotions)

    async def wait_attached(self) -> None:
        """Until every replica follows the primary, and all have the tables."""
        db = await MySql.connect(self.file.read().primary_url(), 1)
        await apply_schema(db)
        await db.close()
        await self.everywhere("SELECT COUNT(*) FROM sink_marks", None)

    async def everywhere(self, sql: str, wanted: int | None) -> list[str]:
        """The servers that do not give this number (any number, for None) within SETTLE_S."""
        deadline_s, wrong = time.monotonic() + SETTLE_S, [""]
        while wrong and time.monotonic() < deadline_s:
            servers, wrong = self.file.read(), []
            for one in servers.servers:
                try:
                    async with asyncio.timeout(5):
                        db = await MySql.connect(one.url, 1)
                        ((found,),) = await db.fetch(sql)
                        await db.close()
                except (ServiceUnavailable, TimeoutError) as error:
                    wrong.append(f"{one.name}: {error}")
                else:
                    if wanted is not None and found != wanted:
                        wrong.append(f"{one.name}: {sql} gives {found}, not {wanted}")
            await asyncio.sleep(0.2)
        return wrong

    async def lost_rows(self) -> list[str]:
        """What is missing anywhere, against the arithmetic of the log."""
        seq = self.writer.acknowledged
        versions = sum(version_at(key, seq) for key in range(1, KEYS + 1))
        lost = [
            *await self.everywhere("SELECT last_seq FROM sink_marks WHERE topic = 'account.events' AND source = ''", seq),
            *await self.everywhere("SELECT COUNT(*) FROM rejects", seq // 2),
            *await self.everywhere("SELECT CAST(SUM(seq) AS SIGNED) FROM rejects", sum(range(2, seq + 1, 2))),
            *await self.everywhere("SELECT CAST(SUM(version) AS SIGNED) FROM orders", versions),
            *await self.everywhere(f"SELECT COUNT(*) FROM api_keys WHERE key_id IN ({str(['', *self.own_keys])[1:-1]})", 0),
        ]
        return lost + (await self.standings() if lost else [])

    async def standings(self) -> list[str]:
        """Why a server may be behind: what each says of its replication."""
        servers = self.file.read()
        found = await asyncio.gather(*(standing_of(one.url, self.users) for one in servers.servers))
        return [f"{one.name}: {standing}" for one, standing in zip(servers.servers, found, strict=True)]

    def problems(self, reads: int, promotions: int) -> list[str]:
        """Bounds that do not hold."""
        told, cap = self.told, len(self.names) * (limits.LANES + 1) + 3  # the sink's, and a probe of the supervisor
        checks = {
            f"{told.stale} stale reads with a token, the first: {told.first_stale}": told.stale == 0,
            f"only {told.fresh} reads with a token": told.fresh >= reads,
            "no stale read without a token: the oracle shows nothing": told.plain_stale > 0,
            f"a promotion took {max((one['written_s'] for one in told.promotions), default=0)} s": all(
                one["written_s"] < self.promoted_max_s for one in told.promotions
            ),
            f"{len(told.promotions)} promotions of {promotions}": len(told.promotions) == promotions,
            f"{rebuilt(self.settings.log_dir)} servers got a new copy of the data": rebuilt(self.settings.log_dir)
            >= sum(one["how"] == "alone" for one in told.promotions),
            f"load {[round(one, 2) for one in told.load]}": not told.load or max(told.load) <= LOAD_MAX,
            f"{told.connections_max} connections to one replica, at most {cap}": told.connections_max <= cap,
        }
        return [text for text, holds in checks.items() if not holds]


def summary(campaign: Campaign, problems: list[str], replicas: int, seconds: float) -> dict[str, Any]:
    """The last line."""
    told = campaign.told
    ordered = sorted(told.latency_s)
    counts: Counter[str] = Counter()
    for router in campaign.routers:
        counts.update(router.stats().counts)
    return {
        "replicas": replicas, "seconds": round(seconds, 1), "reads_with_token": told.fresh + told.stale, "stale_with_token": told.stale,
        "reads_without": told.plain, "stale_without": told.plain_stale, "refused": told.refused, "load_max_over_mean": [round(one, 3) for one in told.load],
        "read_p50_ms": round(1e3 * ordered[len(ordered) // 2], 2), "read_p99_ms": round(1e3 * ordered[len(ordered) * 99 // 100], 2),
        "connections_max": told.connections_max, "rebuilt": rebuilt(campaign.settings.log_dir), "events": campaign.writer.acknowledged, "records_written_again": campaign.writer.again,
        "faults": dict(told.faults), "promotions": told.promotions, "promotion_s_max": max((one["written_s"] for one in told.promotions), default=None),
        "router": dict(counts), "problems": problems,
    }  # fmt: skip


@click.command(help=__doc__.replace("\n\n", "\n\n\b\n"))
@click.option("--replicas", default=12, show_default=True, type=click.IntRange(1, 120))
@click.option("--reads", default=100_000, show_default=True, type=click.IntRange(100), help="Reads with a token.")
@click.option("--faults", default=24, show_default=True, type=click.IntRange(0), help="Of replicas.")
@click.option("--promotions", default=10, show_default=True, type=click.IntRange(0))
@click.option("--routers", default=3, show_default=True, type=click.IntRange(1, 200))
@click.option("--readers", default=16, show_default=True, type=click.IntRange(1, 1_000))
@click.option("--pause-ms", default=20.0, show_default=True, help="Of the writer, between two batches.")
@click.option(
    "--promoted-within", default=PROMOTED_MAX_S, show_default=True, help="Seconds, until the sink has stored something on the new primary."
)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--home", type=click.Path(file_okay=False, path_type=Path), help="Where data and logs are kept; without it they are not.")
def main(
    replicas: int, reads: int, faults: int, promotions: int, routers: int, readers: int, pause_ms: float, promoted_within: float, seed: int, home: Path | None,
) -> None:  # fmt: skip
    """See the head of this file."""
    with tempfile.TemporaryDirectory(prefix="outcry-replicas-") as temporary:
        local = LocalSet(Settings(home=home or Path(temporary)), bound=True)
        with local.running(services=("mariadb",), mysql_replicas=replicas) as settings:
            campaign = Campaign(local, settings, seed, routers, pause_ms / 1e3, promoted_within)
            began_s = time.monotonic()
            problems = asyncio.run(campaign.run(reads, readers, faults, promotions))
            print(json.dumps(summary(campaign, problems, replicas, time.monotonic() - began_s)))
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
