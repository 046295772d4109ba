"""API keys of customers: guessing and withdrawing them, what they may do, and keys that make keys."""

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from attack import KEY, attack, exchange, folder, stopped_by
from support.served_edge import Served

from access import api_keys
from access.api_keys import Scope, networks_of
from edge.alpaca import access as alpaca_access
from edge.alpaca.market_data import market_data_ws
from edge.alpaca.orders import trade_updates_ws
from edge.gateway.access import sessions
from edge.gateway.limits import WRONG_SECRETS_BURST
from edge.native import keys_api, subscriptions
from edge.native.orders import guards, operations
from schemas.errors import OutcryError
from sinks.mysql import api_keys as stored_keys
from sinks.mysql.api_keys import StoredKey

NATIVE_KEY = {"X-API-Key": "KEY1", "X-API-Secret": "secret-1"}


def change_key(edge: Served, **columns: Any) -> None:
    """As `outcry accounts keys` does."""
    record = edge.stores.keys_changed.get("KEY1") or edge.stores.first_version(1)
    edge.stores.keys_changed["KEY1"] = replace(record, version=record.version + 1, **columns)


async def opens(edge: Served, headers: dict[str, str] | None = None) -> bool:
    """Whether the key is taken."""
    return (await edge.get("/v2/assets", headers=headers or KEY))[0] == 200


@stopped_by((sessions, "                del self._known[key_id]", "                pass"))
async def use_a_withdrawn_key_that_the_edge_remembers(edge: Served) -> bool:
    """Seconds after it was withdrawn."""
    assert await opens(edge)
    change_key(edge, left_s=0.0)
    await edge.gateway.key_changes.ask()
    return await opens(edge)


@stopped_by((sessions, "        if record.left_s <= 0:", "        if False:"), (sessions, " or now >= session.ends_s:", ":"))
async def use_a_withdrawn_key(edge: Served) -> bool:
    """On an edge that has never seen it."""
    change_key(edge, left_s=0.0)
    return await opens(edge)


@stopped_by((sessions, "        self.release(session, end)\n        end()", "        self.release(session, end)"))
async def go_on_listening_with_a_withdrawn_key(edge: Served) -> bool:
    """On a WebSocket that was opened before."""
    async with edge.client.ws_connect("/stream") as ws:
        await ws.send_json({"action": "auth", "key": "KEY1", "secret": "secret-1"})
        await ws.receive()
        change_key(edge, left_s=0.0)
        await edge.gateway.key_changes.ask()
        await ws.send_json({"action": "anything"})
        return b"unknown action" in ((await ws.receive()).data or b"")


@stopped_by((alpaca_access, " and not session.may_trade:", " and False:"))
async def trade_with_a_key_for_reading(edge: Served) -> bool:
    """From a portfolio viewer."""
    change_key(edge, scopes=frozenset({Scope.READ}))
    return (await edge.post("/v2/orders", headers=KEY, json={}))[0] != 403


@stopped_by((api_keys, "    return any(_within(client, network) for network in networks)", "    return True"))
async def use_a_stolen_key_from_elsewhere(edge: Served) -> bool:
    """It is for one address."""
    change_key(edge, networks=networks_of(["198.51.100.0/24"]))
    return await opens(edge)


@stopped_by((sessions, "        if wait_s <= 0:", "        if True:"))
async def guess_a_keys_secret(edge: Served) -> bool:
    """One guess after the other; the right one comes late."""
    for guess in range(WRONG_SECRETS_BURST):
        assert not await opens(edge, KEY | {"APCA-API-SECRET-KEY": f"guess-{guess}"})
    return await opens(edge)


@stopped_by((sessions, "    return hmac.compare_digest(", "    return True or hmac.compare_digest("))
async def use_a_key_without_its_secret(edge: Served) -> bool:
    """Ids are no secret."""
    return await opens(edge, KEY | {"APCA-API-SECRET-KEY": "any"})


# ---- what a key may do


@stopped_by((alpaca_access, " and not session.may_read:", " and False:"))
async def read_with_a_key_for_trading(edge: Served) -> bool:
    """From a program that only sends orders."""
    change_key(edge, scopes=frozenset({Scope.TRADE}))
    return await opens(edge)


@stopped_by((trade_updates_ws, "if isinstance(access, Accepted) and not access.value.may_read:", "if False:"))
async def listen_to_orders_with_a_key_for_trading(edge: Served) -> bool:
    """Over /stream."""
    change_key(edge, scopes=frozenset({Scope.TRADE}))
    async with edge.client.ws_connect("/stream") as ws:
        await ws.send_json({"action": "auth", "key": "KEY1", "secret": "secret-1"})
        return b'"authorized"' in ((await ws.receive()).data or b"")


@stopped_by((market_data_ws, "case Accepted(session) if not session.may_read:", "case Accepted(session) if False:"))
async def listen_to_prices_with_a_key_for_trading(edge: Served) -> bool:
    """Over /v2/iex."""
    change_key(edge, scopes=frozenset({Scope.TRADE}))
    async with edge.client.ws_connect("/v2/iex") as ws:
        await ws.receive()
        await ws.send_json({"action": "auth", "key": "KEY1", "secret": "secret-1"})
        return '"authenticated"' in str((await ws.receive()).data)


REQUIRED = (operations, "    if scope not in session.scopes:", "    if False:")


def _with_key_for_reading(op: str, **fields: Any) -> Any:
    async def run(native: Any) -> bool:
        change_key(native.served, scopes=frozenset({Scope.READ}))
        async with native.socket(1) as ws:
            return (await ws.ask(op, **fields)).get("problem", {}).get("code") != "wrong_scope"

    return run


ORDER = {"symbol": "AAPL", "side": "buy", "ord_type": "limit", "time_in_force": "day", "order_qty": "1", "price": "180.00"}
for _name, _op, _fields in (
    ("place_over_the_socket_with_a_key_for_reading", "order.place", {"order": ORDER}),
    ("cancel_over_the_socket_with_a_key_for_reading", "order.cancel", {"order_id": "1"}),
    ("amend_over_the_socket_with_a_key_for_reading", "order.amend", {"order_id": "1", "price": "1"}),
    ("cancel_all_over_the_socket_with_a_key_for_reading", "order.cancel_all", {}),
    ("send_a_batch_with_a_key_for_reading", "order.batch", {"requests": [{"op": "order.place", "order": ORDER}]}),
    ("have_orders_canceled_on_disconnect_with_a_key_for_reading", "session.cancel_on_disconnect", {"enabled": True}),
    ("arm_the_dead_mans_switch_with_a_key_for_reading", "session.cancel_after", {"timeout_ms": 1_000}),
):
    attack(_name, _with_key_for_reading(_op, **_fields), REQUIRED, door=exchange)


@stopped_by(REQUIRED, door=exchange)
async def place_over_http_with_a_key_for_reading(native: Any) -> bool:
    """At /v1."""
    change_key(native.served, scopes=frozenset({Scope.READ}))
    return (await native.served.post("/v1/order.place", headers=NATIVE_KEY, json={"order": ORDER}))[0] == 200


@stopped_by((subscriptions, "            require(session, Scope.READ)", "            pass"), door=exchange)
async def subscribe_to_orders_with_a_key_for_trading(native: Any) -> bool:
    """Over the native socket."""
    change_key(native.served, scopes=frozenset({Scope.TRADE}))
    async with native.socket(1) as ws:
        return (await ws.ask("subscribe", channels=["orders"]))["ok"]


# ---- withdrawn while it is held


@stopped_by((sessions, "        self.release(session, end)\n        end()", "        self.release(session, end)"), door=exchange)
async def trade_on_over_a_socket_with_a_withdrawn_key(native: Any) -> bool:
    """It was logged on before."""
    async with native.socket(1) as ws:
        change_key(native.served, left_s=0.0)
        await native.served.gateway.key_changes.ask()
        await ws.send({"id": 1, "op": "order.place", "order": ORDER})
        return "id" in await ws.next()


@stopped_by((guards, "            self._gateway.sessions.hold(session, armed.end)", "            pass"), door=exchange)
async def cancel_a_customers_orders_hours_after_the_stolen_key_was_withdrawn(native: Any) -> bool:
    """By a dead man's switch that was armed before."""
    async with native.socket(1) as ws:
        await ws.ask("session.cancel_after", timeout_ms=3_600_000)
        change_key(native.served, left_s=0.0)
        await native.served.gateway.key_changes.ask()
        return bool(native.desk.guards._switches)


@stopped_by(
    (sessions, "if session is not None and session.version == record.version:", "if session is not None:"),
    (sessions, "            session.checked_at_s, session.ends_s = now, now + record.left_s\n",
     "            session.checked_at_s, session.ends_s, session.version, session.networks = now, now + record.left_s, record.version, record.networks\n"),
)  # fmt: skip
async def stay_on_a_socket_where_the_key_may_not_be_used_any_more(edge: Served) -> bool:
    """The owner's own request looks the key up between the change and its being heard of."""
    async with edge.client.ws_connect("/stream") as ws:
        await ws.send_json({"action": "auth", "key": "KEY1", "secret": "secret-1"})
        await ws.receive()
        change_key(edge, networks=networks_of(["198.51.100.0/24"]))
        edge.gateway.sessions._known["KEY1"].checked_at_s -= 1_000
        await opens(edge)
        await edge.gateway.key_changes.ask()
        await ws.send_json({"action": "anything"})
        return b"unknown action" in ((await ws.receive()).data or b"")


@stopped_by((sessions, "        if session.bucket.take(self._clock_s()):", "        if True:"))
async def ask_more_often_than_a_key_may(edge: Served) -> bool:
    """Its minute is used up."""
    assert await opens(edge)
    edge.gateway.sessions._known["KEY1"].bucket.tokens = -1_000_000.0
    return await opens(edge)


@stopped_by((operations, "too_many = asked.gateway.sessions.admit(asked.session)", "too_many = None"), door=exchange)
async def put_many_orders_into_one_request(native: Any) -> bool:
    """A batch counts as what is in it."""
    async with native.socket(1) as ws:
        session = native.served.gateway.sessions._known["KEY1"]
        session.bucket.tokens, session.bucket.per_s = 3.0, 1e-9
        told = await ws.ask("order.batch", requests=[{"op": "order.cancel", "order_id": "1"}] * 20)
        return all(one["problem"]["code"] != "too_many_requests" for one in told["answers"])


# ---- keys that make keys


class Kept:
    """An ApiKeyStore with one key of account 1."""

    def __init__(self, scopes: str) -> None:
        self.key = StoredKey("KEY1", b"", 1, scopes, "", 0, 1, "", 0)
        self.made: list[str] = []

    async def keys_of_account(self, _account: int) -> list[StoredKey]:
        """It."""
        return [self.key]

    async def add_key(self, key_id: str, _digest: str, _account: int, scopes: str, _networks: str, **_: Any) -> None:
        """Note it."""
        self.made.append(scopes)

    async def rotate_key(self, *_: Any, **__: Any) -> StoredKey:
        """Note it."""
        self.made.append(self.key.scopes)
        return self.key


async def _makes(edge: Served, op: str, body: dict[str, Any], **limits: Any) -> bool:
    """Whether the key KEY1, limited so, makes another."""
    change_key(edge, **limits)
    edge.gateway.api_keys._store = kept = Kept("read,trade")
    edge.gateway.api_keys._access_log = edge.gateway.people._access_log
    await edge.post(f"/v1/{op}", headers=NATIVE_KEY, json=body)
    return bool(kept.made)


TRADES_ONLY = {"scopes": frozenset({Scope.TRADE})}
UNLIMITED = (keys_api, "    if session.networks or not math.isinf(session.ends_s):", "    if False:")
OWN = (keys_api, "    if more:", "    if False:")
HERE = {"networks": networks_of(["127.0.0.1"])}
for _name, _op, _body, _limits, _edit in (
    ("make_a_key_that_may_do_more", "keys.create", {"scopes": ["read", "trade"]}, TRADES_ONLY, OWN),
    ("rotate_to_a_key_that_may_do_more", "keys.rotate", {"key": "KEY1"}, TRADES_ONLY, OWN),
    ("get_rid_of_a_keys_addresses", "keys.create", {"scopes": ["trade"]}, HERE, UNLIMITED),
    ("get_rid_of_a_keys_end", "keys.create", {"scopes": ["trade"]}, {"left_s": 60.0}, UNLIMITED),
    ("rotate_a_key_that_is_for_some_addresses", "keys.rotate", {"key": "KEY1"}, HERE, UNLIMITED),
):

    async def _run(edge: Served, op: str = _op, body: Any = _body, limits: Any = _limits) -> bool:
        return await _makes(edge, op, body, **limits)

    attack(_name, _run, _edit)


class Tables:
    """Of MySQL: one key, and what is written."""

    def __init__(self, *, account: int = 1, ends_at: int = 0, others: int = 1) -> None:
        self.row = ("KEY1", b"", account, "read,trade", "", ends_at, 1, "", 0)
        self.others, self.written = others, list[tuple[str, Any]]()

    @asynccontextmanager
    async def transaction(self) -> Any:
        """Itself."""
        yield self

    async def fetch(self, sql: str, _values: Any) -> list[Any]:
        """The key, or as many as the account has."""
        return [self.row] if "secret_sha256" in sql else [("K",)] * self.others

    async def execute(self, sql: str, values: Any) -> None:
        """Note it."""
        self.written.append((sql.split()[0], values))


async def _changes(tables: Tables, account: int = 1, ends_at: int = 1 << 62) -> list[tuple[str, Any]]:
    try:
        await stored_keys.rotate_key(tables, "KEY1", ends_at, "NEW", "00", keys_max=20, account=account)
    except OutcryError:
        return []
    return tables.written


@stopped_by((stored_keys, "if not rows or account not in (None, rows[0][2]):", "if not rows:"), door=folder)
async def rotate_a_key_of_another_account(_: object) -> bool:
    """Its id is known."""
    return bool(await _changes(Tables(account=2)))


@stopped_by((stored_keys, "if before.ends_at and before.ends_at <= time.time_ns():", "if False:"), door=folder)
async def bring_a_key_back_that_has_ended(_: object) -> bool:
    """By rotating it."""
    return bool(await _changes(Tables(ends_at=1)))


@stopped_by((stored_keys, "(min(before.ends_at or ends_at, ends_at), before.key_id)", "(ends_at, before.key_id)"), door=folder)
async def prolong_a_key_by_rotating_it(_: object) -> bool:
    """With an overlap behind its end."""
    return ("UPDATE", (1 << 62, "KEY1")) in await _changes(Tables(ends_at=1 << 61))


@stopped_by((stored_keys, ">= keys_max:", ">= 1 << 30:"), door=folder)
async def make_keys_without_end(_: object) -> bool:
    """To fill the table."""
    return bool(await _changes(Tables(others=20)))


@stopped_by((stored_keys, "    if not key_id.isascii():\n        return None\n    rows", "    rows"), door=folder)
async def break_the_look_up_by_a_key_of_other_letters(_: object) -> bool:
    """MySQL's column of ids is ASCII, and its answer would be an error."""
    asked: list[Any] = []

    class Db:
        async def fetch(self, _sql: str, values: Any) -> list[Any]:
            asked.append(values)
            return []

    await stored_keys.api_key(Db(), "é")
    return bool(asked)
