"""Which server gets a new copy of the data, and which one never."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from schemas.errors import OutcryError
from sinks.mysql.replication import Login
from sinks.mysql.servers import ServerAddress, Servers
from streams.services.promotion import ServersRecord, Users, promote
from streams.services.supervision.rebuilder import Rebuilder

URL = "mysql://outcry:secret@127.0.0.1:1/outcry"
USERS = Users(Login("admin", "x"), Login("replica", "x"), "outcry")


class Rebuilds(Rebuilder):
    """Notes what it would do."""

    def __init__(self, record: ServersRecord, down: set[str]) -> None:
        super().__init__(record, USERS, Path("/nowhere"), lambda name: name not in down)
        self.begun: list[str] = []

    async def _rebuild(self, name: str) -> None:
        self.begun.append(name)
        await asyncio.sleep(0)


@pytest.fixture
def record(tmp_path: Path) -> ServersRecord:
    """Three servers, of which a is the primary."""
    made = ServersRecord(tmp_path / "servers.json")
    made.write(Servers(3, "a", tuple(ServerAddress(name, URL) for name in "abc")))
    return made


async def begun(record: ServersRecord, down: set[str], rounds: int = 1) -> list[str]:
    """Who gets a copy in so many rounds."""
    rebuilder = Rebuilds(record, down)
    for _ in range(rounds):
        rebuilder.go_on(record.read())
    await asyncio.sleep(0.01)
    await rebuilder.close()
    return rebuilder.begun


async def test_one_marked_server_at_a_time_gets_a_copy(record: ServersRecord) -> None:
    """The rest has to serve meanwhile."""
    rebuilder = Rebuilds(record, set())
    assert await begun(record, set()) == []
    for name in "bc":
        rebuilder.mark(name, "its own transactions")
    assert await begun(record, set(), rounds=2) == ["b"]
    assert await begun(record, {"b"}) == ["c"]


async def test_the_primary_never_gets_one_and_without_a_primary_nobody_does(record: ServersRecord) -> None:
    """It may be the last that has everything."""
    Rebuilds(record, set()).mark("a", "its own transactions")
    assert not record.read().named("a").rebuild
    Rebuilds(record, set()).mark("b", "its own transactions")
    assert await begun(record, {"a"}) == []
    record.write(replace(record.read(), primary="", former="a"))
    assert await begun(record, set()) == []
    record.write(replace(record.read(), primary="b", former=""))
    assert await begun(record, set()) == []


async def test_a_mark_waits_for_a_promotion_and_a_marked_server_is_not_promoted(record: ServersRecord) -> None:
    """Both change the file."""
    rebuilder = Rebuilds(record, set())
    with record.locked(), pytest.raises(OutcryError, match="promotion is under way"):
        rebuilder.mark("b", "its own transactions")
    rebuilder.mark("b", "its own transactions")
    with pytest.raises(OutcryError, match="b is not one of the replicas that have all data; they are c"):
        await promote(record, USERS, None, "b")
    assert record.read().epoch == 3
