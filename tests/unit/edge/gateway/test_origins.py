"""From where accounts are opened: told once, cheaply, by a digest that says nothing to strangers; a log that is away stops nobody."""

import asyncio
from typing import Any

from support.edge_requests import KEY, OTHER_KEY, traded

from edge.gateway.access.origins import Origins
from edge.gateway.limits import ORIGINS_BURST
from schemas.codec import decode_record
from schemas.errors import ServiceUnavailable
from schemas.settings import Settings

URL = "mysql://outcry:secret@127.0.0.1:3306/outcry"


class Sender:
    """A LogSender's part: keeps what it is given, or fails later."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int, dict[str, Any]]] = []
        self.away = False

    async def send(self, topic: str, partition: int, value: bytes) -> "asyncio.Future[None]":
        """As of topics.sender."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.away:
            done.set_exception(ServiceUnavailable("away"))
        else:
            self.sent.append((topic, partition, decode_record(value)[1]))
            done.set_result(None)
        return done


def origins(sender: Sender | None, clock_ns: Any = lambda: 5) -> Origins:
    """Of an edge with this sender."""
    found = Origins(Settings(mysql_url=URL), clock_ns)
    found.sender = sender  # type: ignore[assignment]
    return found


async def settle(one: Origins) -> None:
    """What is under way is over."""
    while one._under_way:
        await asyncio.gather(*one._under_way)


async def test_an_address_of_an_account_is_told_once() -> None:
    """Another address, and another account, are others."""
    sender = Sender()
    one = origins(sender)
    for account, address in ((1, "192.0.2.1"), (1, "192.0.2.1"), (2, "192.0.2.1"), (1, "192.0.2.2"), (1, "192.0.2.1")):
        one.note(account, address, "a door")
    await settle(one)
    assert [(topic, partition, fact["account"]) for topic, partition, fact in sender.sent] == [("party.facts", 0, who) for who in (1, 2, 1)]
    first, second, third = (fact["place"] for _, _, fact in sender.sent)
    assert first == second != third
    assert sender.sent[0][2] == {"source": "edge-0", "at": 5, "account": 1, "place": first, "door": "a door"}


def test_the_digest_is_the_same_at_every_edge_and_needs_the_key() -> None:
    """Edges share MySQL's login; without it nobody can try addresses out."""
    place = origins(None).place("192.0.2.1")
    assert Origins(Settings(mysql_url=URL.replace("127.0.0.1", "10.0.0.9"), edge_instance=3), lambda: 1).place("192.0.2.1") == place
    assert Origins(Settings(mysql_url=URL.replace("secret", "guess")), lambda: 1).place("192.0.2.1") != place


async def test_what_the_log_did_not_take_is_told_by_the_next_request() -> None:
    """Nobody waits and nothing raises; it is counted."""
    sender = Sender()
    one = origins(None)
    one.note(1, "192.0.2.1", "a door")
    one.sender, sender.away = sender, True  # type: ignore[assignment]
    one.note(1, "192.0.2.1", "a door")
    await settle(one)
    assert (one.untold, sender.sent) == (2, [])
    sender.away = False
    one.note(1, "192.0.2.1", "a door")
    await settle(one)
    assert len(sender.sent) == 1


async def test_an_account_that_changes_addresses_for_each_request_fills_no_log() -> None:
    """32 at once, then one a minute."""
    sender, now = Sender(), [1_000_000_000]
    one = origins(sender, lambda: now[0])
    for number in range(100):
        one.note(1, f"192.0.2.{number}", "a door")
    await settle(one)
    assert (len(sender.sent), one.untold) == (ORIGINS_BURST, 100 - ORIGINS_BURST)
    now[0] += 61 * 1_000_000_000
    one.note(1, "198.51.100.1", "a door")
    one.note(2, "198.51.100.1", "a door")
    await settle(one)
    assert len(sender.sent) == ORIGINS_BURST + 2


async def test_whoever_shows_a_key_is_told_of_and_who_has_a_wrong_one_is_not() -> None:
    """At Alpaca's API and at the native one."""
    async with traded(mysql_url=URL) as edge:
        sender = Sender()
        edge.gateway.origins.sender = sender  # type: ignore[assignment]
        for headers in (KEY, KEY, KEY | {"APCA-API-SECRET-KEY": "wrong"}):
            async with edge.client.get("/v2/account", headers=headers):
                pass
        native = {"X-API-Key": OTHER_KEY["APCA-API-KEY-ID"], "X-API-Secret": OTHER_KEY["APCA-API-SECRET-KEY"]}
        async with edge.client.post("/v1/order.place", json={}, headers=native):
            pass
        await settle(edge.gateway.origins)
        assert [(fact["account"], fact["door"]) for _, _, fact in sender.sent] == [(1, "Alpaca's API"), (2, "the native API")]
