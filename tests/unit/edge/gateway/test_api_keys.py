"""API keys of customers at the edge: withdrawn, limited to addresses, for reading only; and what a customer may change."""

import asyncio
import json
from dataclasses import replace
from hashlib import sha256
from typing import Any

import aiohttp
import pytest
from support.edge_parts import FakeStore
from support.served_edge import WAIT_S, Served, served, until

from access.api_keys import Scope, admits, networks_of, new_key, scopes_of
from access.events import AccessEvent
from edge.gateway.access.api_keys import ApiKeys, NewKey, NotDone
from edge.gateway.access.key_changes import KeyChanges
from edge.gateway.access.sessions import NOT_FROM_HERE, WITHDRAWN, Session, Sessions
from edge.gateway.limits import API_KEYS_OF_ACCOUNT_MAX
from edge.gateway.outcomes import Accepted, Denied, Unavailable
from schemas.errors import OutcryError, ServiceUnavailable
from sinks.mysql.api_keys import StoredKey

HERE = "203.0.113.7"


class World:
    """Sessions over a store with the key `k`, and a clock."""

    def __init__(self) -> None:
        self.now, self.store = 1_000.0, FakeStore()
        self.sessions = Sessions(self.store, lambda: self.now)

    async def ask(self, address: str = HERE, secret: str = "s") -> Any:
        """As an edge does."""
        return self.sessions.recall("k", secret) or await self.sessions.authenticate("k", secret, address)

    async def session(self) -> Session:
        """Of the key."""
        found = await self.ask()
        return found if isinstance(found, Session) else found.value

    def change(self, **columns: Any) -> None:
        """As `outcry accounts keys` does; the edge has not heard of it."""
        self.store.key = replace(self.store.key, version=self.store.key.version + 1, **columns)

    async def hear(self) -> None:
        """Now it has."""
        await self.sessions.take_changes({"k": self.store.key.version})


async def test_a_withdrawn_key_is_refused_as_soon_as_the_edge_hears_of_it() -> None:
    """Though memory and the cache still have it; somebody who does not know the secret is told nothing of it."""
    world = World()
    world.store.cached = world.store.key
    await world.session()
    world.change(left_s=0.0)
    assert isinstance(await world.ask(), Session), "it has not heard of it"
    await world.hear()
    assert await world.ask() == Denied(WITHDRAWN)
    assert await world.ask(secret="wrong") == Denied()
    await world.sessions.take_changes({"k": 1})
    assert await world.ask() == Denied(WITHDRAWN), "an older version changes nothing"


async def test_a_look_up_that_is_under_way_while_the_key_is_withdrawn_brings_it_not_back() -> None:
    """Its answer is of an older version, so it is asked again."""
    asked, may_answer = asyncio.Event(), asyncio.Event()

    class Slow(FakeStore):
        async def find_key(self, key_id: str, version_min: int) -> Any:
            found = await super().find_key(key_id, version_min)
            asked.set()
            await may_answer.wait()
            return found

    world = World()
    world.store = Slow()
    world.sessions = Sessions(world.store, lambda: world.now)
    asking = asyncio.create_task(world.ask())
    await asked.wait()
    world.change(left_s=0.0)
    await world.hear()
    may_answer.set()
    assert await asking == Denied(WITHDRAWN)
    assert world.store.asked == 2


async def test_whoever_holds_a_key_is_told_that_it_was_changed_once_and_not_after_release() -> None:
    """A WebSocket ends; also where the key was changed between its look-up and now, or is over."""
    world, told = World(), list[str]()
    ends = {name: (lambda name=name: told.append(name)) for name in ("first", "second", "late", "timed")}
    session = await world.session()
    world.sessions.hold(session, ends["first"])
    world.sessions.hold(session, ends["second"])
    world.sessions.release(session, ends["second"])
    world.change(scopes=frozenset({Scope.READ}))
    await world.hear()
    await world.hear()
    assert told == ["first"]
    world.sessions.hold(session, ends["late"])
    assert told == ["first", "late"]
    world.change(left_s=60.0)
    await world.hear()
    world.sessions.hold(await world.session(), ends["timed"])
    world.sessions.end_what_is_over()
    assert told == ["first", "late"]
    world.now += 60
    world.sessions.end_what_is_over()
    assert told == ["first", "late", "timed"]
    world.store.key = replace(world.store.key, left_s=0.0)
    assert await world.ask() == Denied(WITHDRAWN), "not even from memory"


@pytest.mark.parametrize(
    ("listed", "address", "may"),
    [
        ((), "198.51.100.1", True), (("203.0.113.7",), HERE, True), (("203.0.113.0/24",), HERE, True), (("203.0.113.8",), HERE, False),
        (("2001:db8:1::/48",), "2001:db8:1:2::/64", True), (("2001:db8:2::/48",), "2001:db8:1:2::/64", False), (("0.0.0.0/0",), "2001:db8::/64", False),
        (("203.0.113.7", "10.0.0.0/8"), "10.2.3.4", True), (("10.0.0.0/8",), "", False), (("10.0.0.0/8",), "nowhere", False),
    ],
)  # fmt: skip
async def test_a_key_works_from_the_addresses_of_its_list_only(listed: tuple[str, ...], address: str, may: bool) -> None:
    """The first time, from memory, and when it is looked up again; a right secret from elsewhere is no guess."""
    world = World()
    world.store.key = replace(world.store.key, networks=networks_of(listed))
    for later in (0, 1, 1_000):
        world.now += later
        found = await world.ask(address)
        assert (found == Denied(NOT_FROM_HERE)) is not may
    assert admits(networks_of(listed), address) is may
    assert world.sessions.refused_guesses == 0


@pytest.mark.parametrize("text", ["", "x", "203.0.113.0/33", "203.0.113.7/24", "2001:db8::1", "2001:db8::/65"])
def test_a_network_that_cannot_be_is_named(text: str) -> None:
    """One address of IPv6 too: its neighbours are the same customer."""
    with pytest.raises(OutcryError, match="network"):
        networks_of([text])


def test_scopes_that_a_later_version_stored_give_no_rights() -> None:
    """And keys are random."""
    assert scopes_of("read,withdraw") == {Scope.READ}
    assert len({new_key() for _ in range(100)}) == 100


# ---- over HTTP and WebSocket

KEY = {"APCA-API-KEY-ID": "KEY1", "APCA-API-SECRET-KEY": "secret-1"}


def change(edge: Served, **columns: Any) -> None:
    """Of KEY1."""
    record = edge.stores.keys_changed.get("KEY1") or edge.stores.first_version(1)
    edge.stores.keys_changed["KEY1"] = replace(record, version=record.version + 1, **columns)


async def test_a_key_for_reading_sends_changes_and_cancels_no_order() -> None:
    """403 before anything else is looked at; reading goes on (503 here: there is no shard)."""
    async with served() as edge:
        change(edge, scopes=frozenset({Scope.READ}))
        order = "/v2/orders/6ba7b810-9dad-11d1-80b4-00c04fd430c8"
        for method, path in (("POST", "/v2/orders"), ("DELETE", "/v2/orders"), ("PATCH", order), ("DELETE", order)):
            async with edge.client.request(method, path, headers=KEY, json={}) as response:
                assert (response.status, (await response.json())["message"]) == (403, "this API key may only read"), (method, path)
        assert (await edge.get("/v2/account", headers=KEY))[0] == 503
        assert (await edge.get("/v2/assets", headers=KEY))[0] == 200


async def test_withdrawing_a_key_closes_its_sockets_and_nobody_elses() -> None:
    """Both kinds, with a word why; requests get 401 that says it."""
    async with served() as edge:

        async def streaming(number: int) -> aiohttp.ClientWebSocketResponse:
            ws = await edge.client.ws_connect("/stream")
            await ws.send_json({"action": "auth", "key": f"KEY{number}", "secret": f"secret-{number}"})
            assert b"authorized" in (await asyncio.wait_for(ws.receive(), WAIT_S)).data
            return ws

        async def prices(number: int) -> aiohttp.ClientWebSocketResponse:
            ws = await edge.client.ws_connect("/v2/iex")
            await ws.receive()
            await ws.send_json({"action": "auth", "key": f"KEY{number}", "secret": f"secret-{number}"})
            assert "authenticated" in (await asyncio.wait_for(ws.receive(), WAIT_S)).data
            return ws

        mine, others = [await streaming(1), await prices(1)], [await streaming(2), await prices(2)]
        change(edge, left_s=0.0)
        await edge.gateway.key_changes.ask()
        for ws in mine:
            said = json.loads((await asyncio.wait_for(ws.receive(), WAIT_S)).data)
            assert "changed or withdrawn" in json.dumps(said)
            assert (await asyncio.wait_for(ws.receive(), WAIT_S)).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        await until(lambda: len(edge.state.sockets) == 2, "only the withdrawn key's sockets end")
        status, body, _ = await edge.get("/v2/assets", headers=KEY)
        assert (status, "withdrawn" in body["message"]) == (401, True)
        for ws in others:
            assert not ws.closed
            await ws.close()


async def test_an_edge_that_cannot_hear_of_changes_goes_on_and_hears_of_all_afterwards() -> None:
    """It asks with what it was told last."""
    asked: list[int | None] = []

    class Changes:
        away = False

        async def changed_keys(self, since_us: int | None) -> tuple[int, dict[str, int]]:
            asked.append(since_us)
            if self.away:
                raise ServiceUnavailable("away")
            return 7, {"k": 2}

    world, store = World(), Changes()
    changes = KeyChanges(store, world.sessions)
    for away in (False, True, True, False):
        store.away = away
        await changes.ask()
    assert asked == [None, 7, 7, 7]


# ---- what a customer may do


class Office:
    """ApiKeyStore and AccessLog in memory."""

    def __init__(self) -> None:
        self.keys: dict[str, StoredKey] = {}
        self.events: list[AccessEvent] = []
        self.away = self.record_away = False

    async def record(self, event: AccessEvent) -> None:
        if self.record_away:
            raise ServiceUnavailable("away")
        self.events.append(event)

    async def keys_of_account(self, account: int) -> list[StoredKey]:
        if self.away:
            raise ServiceUnavailable("MySQL at db.internal refused")
        return [key for key in self.keys.values() if key.account == account]

    async def add_key(
        self,
        key_id: str,
        digest: str,
        account: int,
        scopes: str,
        networks: str,
        *,
        ends_at: int,
        label: str,
        keys_max: int,
        public_key: str,
    ) -> None:
        if len(await self.keys_of_account(account)) >= keys_max:
            raise OutcryError(f"account {account} has {keys_max} API keys already")
        self.keys[key_id] = StoredKey(key_id, bytes.fromhex(digest), account, scopes, networks, ends_at, 1, label, 0, public_key)

    async def rotate_key(
        self, key_id: str, ends_at: int, new_id: str, digest: str, account: int, *, keys_max: int, public_key: str
    ) -> StoredKey:
        before = self._mine(key_id, account)
        if before.public_key and not public_key:
            raise OutcryError(f"requests of API key {key_id} are signed: name the public key of the new one")
        rights = (account, before.scopes, before.networks)
        await self.add_key(new_id, digest, *rights, ends_at=0, label=before.label, keys_max=keys_max, public_key=public_key)
        await self.end_key(key_id, ends_at, account)
        return before

    async def end_key(self, key_id: str, ends_at: int, account: int) -> None:
        self.keys[key_id] = replace(self._mine(key_id, account), ends_at=ends_at)

    def _mine(self, key_id: str, account: int) -> StoredKey:
        if key_id not in self.keys or self.keys[key_id].account != account:
            raise OutcryError(f"there is no API key {key_id}")
        return self.keys[key_id]


async def test_a_customer_makes_lists_rotates_and_withdraws_keys_of_the_own_account_only() -> None:
    """Each is recorded first, with the account and the address; the secret is in the answer and nowhere else."""
    office, now = Office(), 10**18
    keys = ApiKeys(office, office, lambda: now)
    made = await keys.create(7, HERE, {Scope.READ}, ["203.0.113.0/24"], label="reports")
    assert isinstance(made, Accepted)
    stored = office.keys[made.value.key_id]
    assert (stored.secret_sha256, stored.scopes, stored.networks) == (sha256(made.value.secret.encode()).digest(), "read", "203.0.113.0/24")
    assert made.value.secret not in str(office.keys) + str(office.events)
    turned = await keys.rotate(7, HERE, made.value.key_id, 60)
    assert isinstance(turned, Accepted)
    assert isinstance(turned.value, NewKey)
    assert office.keys[made.value.key_id].ends_at == now + 60 * 10**9
    assert office.keys[turned.value.key_id].scopes == "read"
    for theft in (keys.rotate(8, HERE, turned.value.key_id, 0), keys.withdraw(8, HERE, turned.value.key_id)):
        assert await theft == NotDone(f"there is no API key {turned.value.key_id}")
    assert await keys.listed(8) == Accepted([])
    assert await keys.withdraw(7, HERE, turned.value.key_id) == Accepted(None)
    assert office.keys[turned.value.key_id].ends_at == now
    assert [(event.person, event.address, event.what.split()[0]) for event in office.events] == [
        ("account 7", HERE, "create"), ("account 7", HERE, "rotate"), ("account 8", HERE, "rotate"), ("account 8", HERE, "end"), ("account 7", HERE, "end"),
    ]  # fmt: skip


async def test_a_key_with_a_public_key_has_no_secret_and_is_followed_by_such_a_key_only() -> None:
    """What is stored as the secret's digest is of a word that nobody was told."""
    office = Office()
    keys = ApiKeys(office, office, lambda: 0)
    made = await keys.create(7, HERE, {Scope.TRADE}, public_key=bytes(range(32)))
    assert isinstance(made, Accepted)
    assert (made.value.secret, office.keys[made.value.key_id].public_key) == ("", bytes(range(32)).hex())
    refused = await keys.rotate(7, HERE, made.value.key_id, 0)
    assert refused == NotDone(f"requests of API key {made.value.key_id} are signed: name the public key of the new one")
    turned = await keys.rotate(7, HERE, made.value.key_id, 0, bytes(range(1, 33)))
    assert isinstance(turned, Accepted)
    assert (turned.value.secret, office.keys[turned.value.key_id].public_key) == ("", bytes(range(1, 33)).hex())


async def test_what_cannot_be_done_to_keys_is_not_done() -> None:
    """Too many, no network, nothing recorded, no store."""
    office = Office()
    keys = ApiKeys(office, office, lambda: 0)
    refused = await keys.create(7, HERE, {Scope.READ}, ["nowhere"])
    assert isinstance(refused, NotDone)
    assert "no address or network" in refused.text
    for _ in range(API_KEYS_OF_ACCOUNT_MAX):
        assert isinstance(await keys.create(7, HERE, {Scope.READ}), Accepted)
    assert isinstance(await keys.create(7, HERE, {Scope.READ}), NotDone)
    before = dict(office.keys)
    office.record_away = True
    assert isinstance(await keys.create(8, HERE, {Scope.READ}), Unavailable)
    assert isinstance(await keys.withdraw(7, HERE, next(iter(before))), Unavailable)
    assert office.keys == before
    office.away = True
    assert isinstance(await keys.listed(7), Unavailable)
