"""Guessed secrets as they are counted, a loop that is frozen, and orders that the phase of their book does not take."""

import asyncio
import json
import threading
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from support.edge_parts import FakeStore, OneQueue, reply
from support.served_edge import WAIT_S, FakeStores, Served, served

from edge.alpaca.errors import error_of
from edge.app import make_app, make_state
from edge.gateway.access.rate_limits import Buckets
from edge.gateway.access.sessions import Sessions
from edge.gateway.accounts.command_frames import Command
from edge.gateway.accounts.view import AccountView
from edge.gateway.limits import WRONG_SECRETS_BURST, WRONG_SECRETS_KEPT, WRONG_SECRETS_OF_ADDRESS_BURST, WRONG_SECRETS_PER_S
from edge.gateway.market.view import MarketRow
from edge.gateway.orders import orders
from edge.gateway.outcomes import Accepted
from edge.http.addresses import address_of
from schemas.enums import AccountEventKind as Kind
from schemas.enums import MarketDataKind, OrdStatus, Phase
from schemas.reject_reasons import Reason
from schemas.settings import Settings


def key(secret: str = "secret-1", key_id: str = "KEY1") -> dict[str, str]:
    """Alpaca's headers."""
    return {"APCA-API-KEY-ID": key_id, "APCA-API-SECRET-KEY": secret}


# ---- wrong secrets


async def answer_to(sessions: Sessions, secret: str, address: str = "here", key_id: str = "k") -> int:
    """The status of one try."""
    access = await sessions.authenticate(key_id, secret, address)
    return 200 if isinstance(access, Accepted) else error_of(access).status


def guessed(now: list[float]) -> tuple[Sessions, FakeStore]:
    """Sessions whose clock the test sets, and its store: key "k", secret "s"."""
    store = FakeStore()
    return Sessions(store, lambda: now[0]), store


async def test_wrong_secrets_are_throttled_without_a_look_at_them_and_the_customer_is_let_in_soon() -> None:
    """Ten at once, then one in two seconds; nobody at another address is held up."""
    now = [1_000.0]
    sessions, store = guessed(now)
    assert [await answer_to(sessions, "wrong") for _ in range(WRONG_SECRETS_BURST + 2)] == [401] * WRONG_SECRETS_BURST + [429] * 2
    asked = store.asked
    assert await answer_to(sessions, "s") == 429, "whether the secret is right is not told"
    assert store.asked == asked, "nothing is looked up"
    now[0] += 1 / WRONG_SECRETS_PER_S
    assert [await answer_to(sessions, "wrong") for _ in range(2)] == [401, 429]
    now[0] += 1 / WRONG_SECRETS_PER_S
    assert await answer_to(sessions, "s") == 200
    assert sessions.refused_guesses == 4


async def test_guesses_at_a_key_lock_out_nobody_at_another_address_and_nobody_at_work() -> None:
    """A secret that was right goes on working beside the guesser, also when it must be looked up again."""
    now = [1_000.0]
    sessions, _ = guessed(now)
    assert await answer_to(sessions, "s", "customer") == 200
    for _ in range(WRONG_SECRETS_BURST + 1):
        await answer_to(sessions, "wrong", "customer")
        await answer_to(sessions, "wrong", "guesser")
    assert await answer_to(sessions, "wrong", "customer") == 429
    assert await answer_to(sessions, "s", "customer") == 200
    now[0] += 0.1
    sessions._known["k"].checked_at_s = 0
    assert await answer_to(sessions, "s", "customer") == 200


async def test_guesses_at_another_address_do_not_touch_who_comes_for_the_first_time() -> None:
    """The count is of address and key together."""
    sessions, _ = guessed([1_000.0])
    for _ in range(WRONG_SECRETS_BURST + 1):
        await answer_to(sessions, "wrong", "guesser")
    assert await answer_to(sessions, "s", "customer") == 200


async def test_guesses_at_once_are_counted_as_those_one_after_the_other() -> None:
    """All of them wait for the same look-up."""
    sessions, _ = guessed([1_000.0])
    answers = await asyncio.gather(*(answer_to(sessions, f"wrong-{n}") for n in range(5 * WRONG_SECRETS_BURST)))
    assert answers.count(401) == WRONG_SECRETS_BURST


async def test_guessed_key_ids_are_counted_by_address_and_right_keys_are_not_counted() -> None:
    """A thousand customers behind one address may come at once; a thousand unknown keys may not."""
    sessions, store = guessed([1_000.0])
    for _ in range(3 * WRONG_SECRETS_OF_ADDRESS_BURST):
        sessions._known.clear()
        assert await answer_to(sessions, "s") == 200
    answers = [await answer_to(sessions, "s", key_id=f"guess-{n}") for n in range(WRONG_SECRETS_OF_ADDRESS_BURST + 5)]
    assert answers == [401] * WRONG_SECRETS_OF_ADDRESS_BURST + [429] * 5
    assert store.asked == 4 * WRONG_SECRETS_OF_ADDRESS_BURST


def test_what_is_remembered_of_guesses_is_bounded() -> None:
    """The one that was used longest ago is forgotten."""
    buckets = Buckets(1, 1, 3)
    for name in "abcd":
        buckets.take(name, 0.0)
    assert (len(buckets), buckets.seconds_until_one("a", 0.0), buckets.seconds_until_one("d", 0.0)) == (3, 0.0, 1.0)
    assert WRONG_SECRETS_KEPT < 100_000


@pytest.mark.parametrize(
    ("peer", "name"),
    [
        ("203.0.113.5", "203.0.113.5"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"), ("::ffff:203.0.113.5", "203.0.113.5"),
        ("fe80::1%eth0", "fe80::/64"), ("", ""), ("unix", "unix"),
    ],
)  # fmt: skip
def test_an_address_of_ipv6_is_its_customers_network(peer: str, name: str) -> None:
    """Nobody has 2^64 tries for having a /64."""
    assert address_of(a_request(peer=peer)) == name


def a_request(peer: str = "127.0.0.1", **headers: str) -> Any:
    """One as aiohttp makes it, from this peer."""
    from aiohttp.test_utils import make_mocked_request

    stores: Any = FakeStores(away=False)
    return make_mocked_request("GET", "/", headers, app=make_app(make_state(Settings(), stores, stores, stores, stores))).clone(remote=peer)


# ---- liveness


def test_a_frozen_loop_does_not_say_that_it_is_alive() -> None:
    """/healthz is answered from the loop itself, so whoever asks can tell; it answers again when the loop goes on."""
    address: list[str] = []
    serving, release, ended = threading.Event(), threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        async with served() as edge:
            loops.append(asyncio.get_running_loop())
            address.append(str(edge.client.make_url("/healthz")))
            serving.set()
            await ended.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert serving.wait(WAIT_S)

    def alive(timeout_s: float) -> bool:
        try:
            with urllib.request.urlopen(address[0], timeout=timeout_s) as response:
                return bool(json.load(response)["status"] == "alive")
        except TimeoutError:
            return False

    frozen = threading.Event()

    def freeze() -> None:
        frozen.set()
        release.wait(3 * WAIT_S)

    assert alive(WAIT_S)
    loops[0].call_soon_threadsafe(freeze)
    assert frozen.wait(WAIT_S)
    assert not alive(0.2)
    release.set()
    assert alive(WAIT_S)
    loops[0].call_soon_threadsafe(ended.set)
    thread.join(WAIT_S)


# ---- a market that does not take the order


class Exchange(OneQueue):
    """A shard that takes each order at once; what the book says then is the test's."""

    def __init__(self, edge: Served, then: Callable[[Command], list[Any]]) -> None:
        super().__init__()
        self._edge, self._then, self._orders = edge, then, {}

    def enqueue_nowait(self, command: Command) -> None:
        """Answer it a moment later."""
        super().enqueue_nowait(command)
        asyncio.get_running_loop().call_soon(self._answer, command)

    def _answer(self, command: Command) -> None:
        accounts = self._edge.gateway.accounts
        again = command.cl_ord_id in self._orders
        order_id = self._orders.setdefault(command.cl_ord_id, 5 + len(self._orders))
        known_order = accounts._views[1].find(order_id)
        status = known_order.ord_status if again and known_order is not None else OrdStatus.NEW
        kind = Kind.DUPLICATE if again else Kind.ACCEPTED
        accounts.take_rows(
            iter([(reply(kind, request_id=command.request_id, order_id=order_id, ord_status=status), command.cl_ord_id.decode())])
        )
        if not again:
            asyncio.get_running_loop().call_soon(lambda: accounts.take_rows(iter([(row, "a") for row in self._then(command)])))


def known(edge: Served) -> None:
    """Account 1 is registered."""
    edge.gateway.accounts._views[1] = AccountView(1)


def told_phase(edge: Served, phase: Phase) -> None:
    """The edge has heard of it."""
    row = dict.fromkeys(MarketRow._fields, 0) | {"kind": MarketDataKind.STATUS, "seq": 1, "instrument": 1, "phase": phase}
    edge.gateway.market.apply([MarketRow(**row)])


ORDER = {
    "symbol": "AAPL",
    "qty": "5",
    "side": "buy",
    "type": "limit",
    "time_in_force": "day",
    "limit_price": "10.05",
    "client_order_id": "a",
}


async def post(edge: Served, **changes: Any) -> tuple[int, Any]:
    """(status, body) of POST /v2/orders."""
    async with edge.client.post("/v2/orders", json=ORDER | changes, headers=key()) as response:
        return response.status, await response.json()


@pytest.mark.parametrize(
    ("phase", "changes", "reason"),
    [
        (Phase.CLOSED, {}, Reason.MARKET_CLOSED),
        (Phase.CLOSED, {"time_in_force": "gtc"}, Reason.MARKET_CLOSED),
        (Phase.POST_CLOSE, {"time_in_force": "cls"}, Reason.MARKET_CLOSED),
        (Phase.HALTED, {}, Reason.NOT_IN_THIS_PHASE),
        (Phase.CONTINUOUS, {"time_in_force": "opg"}, Reason.NOT_IN_THIS_PHASE),
        (Phase.PRE_OPEN, {"time_in_force": "ioc"}, Reason.NOT_IN_THIS_PHASE),
    ],
)
async def test_an_order_that_the_phase_does_not_take_is_refused_by_post_with_the_books_reason(
    phase: Phase, changes: dict[str, Any], reason: Reason
) -> None:
    """Not "new" now and rejected later; sent again, the answer is the same."""
    async with served() as edge:
        known(edge)
        told_phase(edge, phase)
        rejected = reply(Kind.BOOK_REJECTED, order_id=5, ord_status=OrdStatus.REJECTED, reason=reason, leaves_qty=0)
        edge.gateway.accounts.producer = Exchange(edge, lambda _: [rejected])  # type: ignore[assignment]
        for _ in range(2):
            status, body = await post(edge, **changes)
            assert (status, body["code"], body["reject_reason"]) == (403, 40310000, reason.name), body
        assert edge.gateway.accounts._refusing == {}


async def test_an_order_that_is_taken_after_all_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The phase has changed and the edge has not heard of it yet: nothing is refused on hearsay."""
    monkeypatch.setattr(orders, "PHASE_REFUSAL_S", 0.05)
    async with served() as edge:
        known(edge)
        told_phase(edge, Phase.CLOSED)
        edge.gateway.accounts.producer = Exchange(edge, lambda _: [])  # type: ignore[assignment]
        status, body = await post(edge)
        assert (status, body["status"], edge.gateway.accounts._refusing) == (200, "accepted", {})
        status, body = await post(edge)
        assert (status, body["status"]) == (200, "new"), "the same order again: it rests, so there is nothing to wait for"


@pytest.mark.parametrize(("phase", "changes"), [(None, {}), (Phase.CONTINUOUS, {}), (Phase.PRE_OPEN, {"time_in_force": "opg"})])
async def test_an_order_that_the_phase_takes_is_new_at_once(
    monkeypatch: pytest.MonkeyPatch, phase: Phase | None, changes: dict[str, Any]
) -> None:
    """So is one of a market of which the edge has heard nothing."""
    monkeypatch.setattr(orders, "PHASE_REFUSAL_S", 10 * WAIT_S)
    async with served() as edge:
        known(edge)
        if phase is not None:
            told_phase(edge, phase)
        edge.gateway.accounts.producer = Exchange(edge, lambda _: [])  # type: ignore[assignment]
        async with asyncio.timeout(WAIT_S):
            status, body = await post(edge, **changes)
        assert (status, body["status"]) == (200, "new")
