"""API keys on the real stores: withdrawn, rotated and limited by `outcry accounts keys`, as two edges with one session cache see it."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from click.testing import CliRunner

from edge.gateway.access.key_changes import KeyChanges
from edge.gateway.access.sessions import NOT_FROM_HERE, WITHDRAWN, Sessions
from edge.gateway.outcomes import Accepted, Denied
from edge.gateway.stored.stores import EdgeStores
from schemas.errors import OutcryError
from schemas.settings import Settings
from streams.operate.accounts import accounts
from streams.operate.topics import create_topics

HERE = "203.0.113.7"


class Edge:
    """What an edge has of keys."""

    def __init__(self, settings: Settings) -> None:
        self.stores = EdgeStores(settings)
        self.now = 0.0
        self.sessions = Sessions(self.stores, lambda: self.now)
        self.changes = KeyChanges(self.stores, self.sessions)

    async def ask(self, key: tuple[str, str], address: str = HERE) -> Any:
        """(outcome) once it has heard of changes."""
        await self.changes.ask()
        return await self.sessions.authenticate(*key, address)


@pytest.fixture
async def edges(services: Settings) -> AsyncIterator[list[Edge]]:
    """Two, on the session's stores."""
    await asyncio.to_thread(create_topics, services)
    made = [Edge(services), Edge(services)]
    yield made
    for edge in made:
        await edge.stores.close()


async def outcry(services: Settings, *arguments: str) -> str:
    """What `outcry accounts keys` says."""
    done = await asyncio.to_thread(CliRunner().invoke, accounts, ["keys", *arguments], obj=services)
    if done.exception is not None:
        raise done.exception
    return done.output


async def made_key(services: Settings, *arguments: str) -> tuple[str, str]:
    """(id, secret) of what create or rotate prints."""
    words = (await outcry(services, *arguments)).split()
    return words[words.index("key") + 1], words[words.index("secret") + 1]


async def test_a_withdrawn_key_opens_nothing_on_any_edge_nor_from_the_cache(services: Settings, edges: list[Edge]) -> None:
    """Also on an edge that starts afterwards and finds it in the cache."""
    key = await made_key(services, "create", "701")
    for edge in edges:
        assert isinstance(await edge.ask(key), Accepted)
    await outcry(services, "withdraw", key[0])
    late = Edge(services)
    try:
        assert [await edge.ask(key) for edge in (*edges, late)] == [Denied(WITHDRAWN)] * 3
    finally:
        await late.stores.close()
    (listed,) = json.loads(await outcry(services, "list", "701", "--json"))
    assert (listed["key_id"], listed["ends_at"] > 0) == (key[0], True)
    assert key[1] not in json.dumps(listed)
    assert "over since" in await outcry(services, "list", "701")


async def test_a_rotated_key_works_on_until_the_overlap_is_over(services: Settings, edges: list[Edge]) -> None:
    """The new one has its rights; neither can be rotated once it is over."""
    old = await made_key(services, "create", "702", "--read-only", "--address", "203.0.113.0/24", "--label", "bot")
    new = await made_key(services, "rotate", old[0], "--overlap", "600")
    for edge in edges:
        first, second = await edge.ask(old), await edge.ask(new)
        assert (first.value.may_trade, second.value.may_trade) == (False, False)
        assert await edge.ask(new, "198.51.100.1") == Denied(NOT_FROM_HERE)
        edge.now += 601
        assert isinstance(await edge.ask(new), Accepted)
    gone = await made_key(services, "rotate", new[0], "--overlap", "0")
    assert await edges[0].ask(new) == Denied(WITHDRAWN)
    assert isinstance(await edges[0].ask(gone), Accepted)
    with pytest.raises(OutcryError, match="has ended"):
        await outcry(services, "rotate", new[0])


async def test_limits_of_a_key_are_changed_at_once(services: Settings, edges: list[Edge]) -> None:
    """Address and scope, and back again."""
    key = await made_key(services, "create", "703")
    assert (await edges[0].ask(key)).value.may_trade
    await outcry(services, "limit", key[0], "--read-only", "--address", "198.51.100.0/24")
    assert await edges[0].ask(key) == Denied(NOT_FROM_HERE)
    assert not (await edges[1].ask(key, "198.51.100.1")).value.may_trade
    await outcry(services, "limit", key[0])
    assert (await edges[1].ask(key)).value.may_trade


async def test_what_cannot_be_is_refused(services: Settings, edges: list[Edge]) -> None:
    """With a sentence; of several keys none is withdrawn twice, and an unknown one is named."""
    for arguments, sentence in (
        (("withdraw", "OONONE"), "no API key OONONE"),
        (("rotate", "é"), "no API key é"),
        (("create", "704", "--address", "nowhere"), "no address or network"),
    ):
        with pytest.raises(OutcryError, match=sentence):
            await outcry(services, *arguments)
