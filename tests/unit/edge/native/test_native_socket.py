"""The native WebSocket: orders, channels with their sequence, resume, slow and hostile clients."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from support.native_edge import Follower, an_order, native_edge
from support.served_edge import WAIT_S

from access.api_keys import Scope
from edge.fanout.limits import MESSAGES_BURST
from edge.gateway.access.sessions import KeyRecord
from edge.native.conversation import Conversation
from edge.native.keys_api import KEY_OPERATIONS
from edge.native.orders.operations import OPERATIONS
from edge.native.wire.problems import KINDS


@pytest.mark.parametrize("packed", [False, True])
async def test_an_order_is_placed_amended_found_and_canceled_over_the_socket(packed: bool) -> None:
    """In both encodings, with the same words."""
    async with native_edge() as edge, edge.socket(1, packed=packed) as ws:
        placed = await ws.ask("order.place", order=an_order(cl_ord_id="a"))
        assert (placed["ok"], placed["outcome"], placed["order"]["ord_status"]) == (True, "accepted", "new"), placed
        amended = await ws.ask("order.amend", cl_ord_id="a", order_qty="7", price="179.99")
        assert (amended["order"]["order_qty"], amended["order"]["price"]) == ("7", "179.99")
        assert amended["order"]["order_id"] == placed["order"]["order_id"]
        assert (await ws.ask("order.cancel", order_id=placed["order"]["order_id"]))["ok"]
        found = await ws.ask("order.status", cl_ord_id="a")
        assert found["order"]["ord_status"] == "canceled"
        late: dict[str, Any] = await ws.ask("order.cancel", cl_ord_id="a")
        assert (late["outcome"], late["problem"]["reason"], late["problem"]["ord_status"]) == ("rejected", "TOO_LATE_TO_CANCEL", "canceled")


async def test_a_dry_run_says_what_the_exchange_would_and_sends_nothing() -> None:
    """The same reasons as the shards', and what would be held."""
    async with native_edge() as edge, edge.socket(1) as ws:
        good = await ws.ask("order.place", validate=True, order=an_order(cl_ord_id="a"))
        assert (good["valid"], good["worst_px"]) == (True, "180")
        assert float(good["hold"]) >= 1_800
        for change in (
            {"order_qty": "600"},
            {"side": "sell", "order_qty": "60"},
            {"ord_type": "market"},
            {"price": None},
            {"display_qty": "11"},
        ):
            order = {name: value for name, value in an_order(cl_ord_id="a", **change).items() if value is not None}
            dry = await ws.ask("order.place", validate=True, order=order)
            real = await ws.ask("order.place", order=order)
            assert dry["outcome"] == real["outcome"] == "rejected", order
            assert dry["problem"]["reason"] == real["problem"]["reason"], order
        assert (await ws.ask("order.open"))["orders"] == []
        await ws.ask("order.place", order=an_order(cl_ord_id="a"))
        again = await ws.ask("order.place", validate=True, order=an_order(cl_ord_id="a"))
        assert again["problem"]["reason"] == "DUPLICATE_CL_ORD_ID"


async def test_a_batch_has_an_answer_for_each_and_orders_of_one_connection_keep_their_order() -> None:
    """Also where one of them is wrong."""
    async with native_edge() as edge, edge.socket(1) as ws:
        requests = [
            {"op": "order.place", "order": an_order(cl_ord_id="a", order_qty="1")}, {"op": "order.place", "order": an_order(price="180.001")},
            {"op": "order.cancel", "cl_ord_id": "nothing"}, {"op": "order.cancel_all"},
            {"op": "order.place", "order": an_order(cl_ord_id="b", order_qty="1")},
        ]  # fmt: skip
        told = (await ws.ask("order.batch", requests=requests))["answers"]
        assert [one["ok"] for one in told] == [True, False, False, False, True]
        assert [one["problem"]["code"] for one in told if not one["ok"]] == ["invalid_field", "not_found", "invalid_field"]
        assert "180 is the next one below" in told[1]["problem"]["detail"]
        for number in range(20):
            await ws.send({"id": f"n{number}", "op": "order.place", "order": an_order(cl_ord_id=f"n{number}", order_qty="1")})
        ids = [int((await ws.answer(f"n{number}"))["order"]["order_id"]) for number in range(20)]
        assert ids == sorted(ids)


async def test_a_mass_cancel_is_by_symbol_by_side_and_by_key() -> None:
    """What this process has not seen placed is told, not touched."""
    async with native_edge() as edge, edge.socket(1) as ws:
        for name, side, price in (("a", "buy", "180.00"), ("b", "sell", "181.00"), ("c", "buy", "179.00")):
            assert (await ws.ask("order.place", order=an_order(cl_ord_id=name, side=side, price=price, order_qty="1")))["ok"]
        told = await ws.ask("order.cancel_all", symbol="AAPL", side="sell")
        assert [(one["cl_ord_id"], one["ok"]) for one in told["orders"]] == [("b", True)]
        assert (await ws.ask("order.cancel_all", symbol="MSFT"))["orders"] == []
        edge.desk.owners._owners.popitem()
        told = await ws.ask("order.cancel_all", key=True)
        assert [one["cl_ord_id"] for one in told["orders"]] == ["a"]
        assert len(told["not_known"]) == 1
        assert [one["cl_ord_id"] for one in (await ws.ask("order.open"))["orders"]] == ["c"]


async def test_orders_are_canceled_with_their_connection_if_it_has_asked_for_that() -> None:
    """Good-till-canceled orders and those that say otherwise stay; a connection of the same key takes the others over within the grace time."""
    async with native_edge() as edge:
        async with edge.socket(1) as ws:
            assert (await ws.ask("session.cancel_on_disconnect", enabled=True, grace_ms=60_000))["enabled"]
            for name, more in (("day", {}), ("gtc", {"time_in_force": "gtc"})):
                await ws.ask("order.place", order=an_order(cl_ord_id=name, order_qty="1", **more))
            await ws.ask("order.place", order=an_order(cl_ord_id="stays", order_qty="1"), cancel_on_disconnect=False)
        async with edge.socket(1) as ws:
            assert len((await ws.ask("order.open"))["orders"]) == 3
            assert (await ws.ask("session.cancel_on_disconnect", enabled=True, grace_ms=0))["ok"]
        async with edge.socket(1) as ws:
            await ws.ask("subscribe", channels=["orders"])
            while {one["cl_ord_id"] for one in (await ws.ask("order.open"))["orders"]} != {"gtc", "stays"}:
                pass


async def test_the_dead_mans_switch_cancels_everything_unless_it_is_held() -> None:
    """It holds for the account, and 0 lets it go."""
    async with native_edge() as edge, edge.socket(1) as ws:
        await ws.ask("order.place", order=an_order(order_qty="1", time_in_force="gtc"))
        assert (await ws.ask("session.cancel_after", timeout_ms=60_000))["fires_at"] > 0
        assert (await ws.ask("session.cancel_after", timeout_ms=0))["fires_at"] is None
        assert len((await ws.ask("order.open"))["orders"]) == 1
        await ws.ask("session.cancel_after", timeout_ms=100)
        while (await ws.ask("order.open"))["orders"]:
            pass
        assert edge.desk.guards.fired == 1


# ---- hostile and slow clients

BAD_JSON = (
    "", "7", "[]", "{", '{"op": NaN}', '{"op": "ping", "id": "\\ud800"}', '{"id": {}, "op": "ping"}', '{"id": 1e400, "op": "ping"}',
    '{"op": ' + "[" * 30_000 + "]" * 30_000 + "}", '{"op": "ping", "id": ' + "9" * 10_000 + "}", '{"op": "ping", "x": 1}', '{"op": "pong"}', '{"op": 3}',
    '{"op": "order.place", "order": {}}', '{"op": "subscribe"}', '{"op": "session.logon", "key": 1, "secret": []}',
)  # fmt: skip
BAD_PACKED = (
    b"", b"\xc1", b"\x07", b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\x91" * 5_000, b"\x81\xa2op\xa2\xff\xfe",
    b"\x81\x90\x01", b"\x82\xa2op\xa4ping\xa1x\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", b"\x81\xa2op\xc7\x0c\xff" + bytes(12),
)  # fmt: skip


@pytest.mark.parametrize("packed", [False, True])
async def test_what_cannot_be_read_is_refused_by_name_and_the_connection_goes_on(packed: bool) -> None:
    """Nesting, bombs, halves of surrogate pairs, numbers of ten thousand digits."""
    async with native_edge() as edge, edge.socket(packed=packed) as ws:
        for data in BAD_PACKED if packed else BAD_JSON:
            await (ws.ws.send_bytes(data) if isinstance(data, bytes) else ws.ws.send_str(data))
            told = await ws.next()
            assert not told["ok"], data[:40]
            assert told["problem"]["status"] in (400, 401, 404, 422), data[:40]
        assert (await ws.ask("ping"))["ok"]


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("order_qty", 1e300, "invalid_field"), ("order_qty", "9" * 10_000, "invalid_field"), ("order_qty", int("9" * 400), "invalid_field"),
        ("order_qty", "NaN", "invalid_field"), ("order_qty", "-1", "invalid_field"), ("order_qty", "0.5", "invalid_field"), ("order_qty", True, "invalid_field"),
        ("price", "1e99", "invalid_field"), ("price", "180.001", "invalid_field"), ("price", "Infinity", "invalid_field"), ("price", "٣", "invalid_field"),
        ("symbol", "NOPE", "invalid_field"), ("symbol", ["AAPL"], "invalid_field"), ("side", "BUY", "invalid_field"), ("limit_price", "1", "unknown_field"),
        ("cl_ord_id", "x" * 129, "invalid_field"), ("cl_ord_id", "é", "invalid_field"), ("cl_ord_id", "", "invalid_field"), ("exec_inst", ["fast"], "invalid_field"),
        ("legs", [{}] * 9, "limit_reached"), ("legs", "no", "invalid_field"), ("expire_time", -1, "invalid_field"), ("expire_time", 1 << 62, "invalid_field"),
        ("self_match_prevention_id", 1 << 63, "invalid_field"),
    ],
)  # fmt: skip
async def test_a_field_that_cannot_be_taken_is_named_and_nothing_is_sent(field: str, value: Any, code: str) -> None:
    """Over HTTP and the socket alike."""
    async with native_edge() as edge, edge.socket(1) as ws:
        told = await ws.ask("order.place", order=an_order(**{field: value}))
        assert (told["outcome"], told["problem"]["code"]) == ("not_sent", code), told
        assert field in told["problem"]["field"]
        status, text, headers = await edge.served.post("/v1/order.place", json={"order": an_order(**{field: value})}, headers=KEY)
        body = json.loads(text)
        assert (status, headers["Content-Type"], body["code"]) == (422, "application/problem+json", code)
        assert body["request_id"] == headers["X-Request-ID"]
        assert (await ws.ask("order.open"))["orders"] == []


KEY = {"X-API-Key": "KEY1", "X-API-Secret": "secret-1"}


async def test_every_operation_needs_a_key_that_may_do_it() -> None:
    """Not logged on, wrong, for reading only, withdrawn meanwhile."""
    async with native_edge() as edge:
        reading = KeyRecord(sha256(b"r").digest(), 1, frozenset({Scope.READ}))
        edge.served.stores.keys_changed["KEY9"] = reading
        async with edge.socket() as ws:
            for name in OPERATIONS:
                assert (await ws.ask(name))["problem"]["code"] == "not_logged_on", name
            assert (await ws.ask("session.logon", key="KEY1", secret="wrong"))["problem"]["code"] == "denied"
            assert (await ws.ask("session.logon", key="KEY9", secret="r"))["scopes"] == ["read"]
            assert (await ws.ask("session.logon", key="KEY1", secret="secret-1"))["problem"]["code"] == "already_logged_on"
            for name, operation in OPERATIONS.items():
                told = await ws.ask(name)
                assert (told.get("problem", {}).get("code") == "wrong_scope") == (operation.scope is Scope.TRADE), name
            assert (await ws.ask("session.cancel_after", timeout_ms=0))["problem"]["code"] == "wrong_scope"
            edge.served.stores.keys_changed["KEY9"] = replace(reading, left_s=0.0, version=2)
            await edge.served.gateway.sessions.take_changes({"KEY9": 2})
            assert await ws.closed() == 4503
            assert ws.kept[-1] == {"event": "closing", "code": 4503, "reason": "key_changed", "come_back": False}
        for name in (*OPERATIONS, *KEY_OPERATIONS):
            status, text, _ = await edge.served.post(f"/v1/{name}", json={})
            assert (status, json.loads(text)["code"]) == (401, "not_logged_on"), name


async def test_who_does_not_read_is_conflated_then_let_go_and_costs_the_others_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prices become one snapshot; trades wait in their order. The one beside it has every message."""
    monkeypatch.setattr("edge.fanout.limits.BEHIND_S_MAX", 1e9)
    async with native_edge() as edge, edge.socket(1) as seller, edge.socket(2) as buyer, edge.socket() as ws, edge.socket() as reader:
        slow, good = Follower(), Follower()
        for one in (ws, reader):
            await one.ask("subscribe", channels=["trades.AAPL", "book.AAPL.full.raw", "quotes.AAPL.raw"])
        subscribed = [talk for talk in edge.desk.hub.talks if isinstance(talk, Conversation) and talk._subscriptions._channels]
        out = min(subscribed, key=lambda talk: talk._number).out
        out.pause_writing()
        for number in range(6):
            await seller.ask("order.place", order=an_order(side="sell", order_qty="1", cl_ord_id=f"s{number}"))
            await buyer.ask("order.place", order=an_order(order_qty="1", cl_ord_id=f"b{number}"))
        while good.seqs.get("trades.AAPL", 0) < 6:
            good.take(await reader.push())
        assert out.backlog is not None
        assert len(out.backlog._newest) == 2, "a word for each channel of prices, and nothing else"
        out.resume_writing()
        while slow.seqs.get("trades.AAPL", 0) < 6 or slow.seqs["book.AAPL.full.raw"] < good.seqs["book.AAPL.full.raw"]:
            slow.take(await ws.push())
        assert [item["seq"] for item in slow.items["trades.AAPL"]] == [1, 2, 3, 4, 5, 6]
        assert slow.snapshots["book.AAPL.full.raw"] == 2
        assert "book.AAPL.full.raw" not in slow.items
        monkeypatch.setattr("edge.fanout.limits.BEHIND_S_MAX", 0.0)
        out.pause_writing()
        await seller.ask("order.place", order=an_order(side="sell", order_qty="1"))
        assert await ws.closed() == 4008
        assert ws.kept[-1] == {"event": "closing", "code": 4008, "reason": "slow", "come_back": True}
        assert (await reader.ask("ping"))["ok"]


async def test_before_a_shutdown_every_client_is_told_when_to_come_back() -> None:
    """Then it is closed with 1012, and nobody's orders are canceled for it."""
    async with native_edge() as edge, edge.socket(1) as one, edge.socket() as two:
        await one.ask("session.cancel_on_disconnect", enabled=True, grace_ms=0)
        await one.ask("order.place", order=an_order(order_qty="1"))
        edge.desk.drain()
        closing = asyncio.create_task(edge.served.state.fan_out.close(1001, WAIT_S))
        for ws in (one, two):
            assert await ws.closed() == 1012
            notice = next(told for told in ws.kept if told.get("event") == "serverShutdown")
            assert 0 <= notice["reconnect_after_ms"] <= 2_000
        await closing
        assert edge.desk.guards.fired == 0


async def test_a_connection_that_asks_nothing_is_let_go_and_one_that_listens_hears_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mute connection is not taken for a quiet market."""
    monkeypatch.setattr("edge.http.front_door.AUTHENTICATION_TIMEOUT_S", 0.5)
    monkeypatch.setattr("edge.native.hub.HEARTBEAT_S", 0.01)
    async with native_edge() as edge, edge.socket() as mute:
        assert await mute.closed() == 4501
        assert mute.kept[-1] == {"event": "closing", "code": 4501, "reason": "logon_timeout", "come_back": False}
        assert mute.kept[0]["event"] == "heartbeat"


async def test_orders_do_not_cost_the_sockets_pace_and_everything_else_does() -> None:
    """They count against the key's own limit; whoever asks for too many is told."""
    async with native_edge() as edge, edge.socket(1) as ws:
        (talk,) = edge.desk.hub.talks
        for number in range(MESSAGES_BURST):
            assert (await ws.ask("order.place", order=an_order(cl_ord_id=str(number), order_qty="1", price="1.00")))["ok"]
        pace = talk.out._pace
        assert pace is not None
        assert pace.tokens > MESSAGES_BURST / 2
        before = pace.tokens
        for _ in range(100):
            await ws.ask("ping")
        assert pace.tokens < before - 50


async def test_a_body_that_cannot_be_taken_is_a_problem_document_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too large, or never whole."""
    monkeypatch.setattr("edge.http.answers.BODY_TIMEOUT_S", 0.05)

    async def half() -> AsyncIterator[bytes]:
        yield b'{"order": '
        await asyncio.sleep(WAIT_S)

    async with native_edge() as edge:
        for data, status, code in ((b"x" * (65 << 10), 413, "too_large"), (half(), 408, "body_late"), (b"{", 400, "invalid_message")):
            answered, text, headers = await edge.served.post("/v1/order.place", data=data, headers=KEY)
            assert (answered, json.loads(text)["code"], headers["Content-Type"]) == (status, code, "application/problem+json")


async def test_what_is_the_same_for_everybody_is_readable_without_a_key() -> None:
    """Limits and problems at one address each."""
    async with native_edge() as edge:
        status, limits, _ = await edge.served.get("/v1/limits")
        assert (status, limits["channels"]["depths"]) == (200, ["1", "10", "25", "100", "full"])
        status, problems, _ = await edge.served.get("/v1/problems")
        assert set(problems) == set(KINDS)
        assert (await edge.served.get("/v1/time"))[0] == 200


async def test_where_only_the_market_is_orders_and_accounts_are_refused_and_its_channels_are_served() -> None:
    """At a fan-out worker. A key may log on there, for a client that always does."""
    async with native_edge() as edge, edge.socket(1) as ws:
        edge.desk.market_only = True
        asked = [
            ("order.place", {"order": an_order()}),
            ("order.open", {}),
            ("account.get", {}),
            ("session.cancel_after", {"timeout_ms": 0}),
        ]
        asked += [("session.cancel_on_disconnect", {"enabled": True}), ("subscribe", {"channels": ["trades.AAPL", "orders"]})]
        for op, fields in asked:
            told = await ws.ask(op, **fields)
            assert (told["ok"], told["outcome"], told["problem"]["code"], told["problem"]["status"]) == (
                False,
                "not_sent",
                "not_here",
                421,
            ), op
        told = await ws.ask("subscribe", channels=["trades.AAPL", "book.AAPL.10.50ms"])
        assert [one["ch"] for one in told["channels"]] == ["trades.AAPL", "book.AAPL.10.50ms"]
        assert all(push["snapshot"] for push in await ws.pushes(2))
        async with edge.socket(2) as other:
            assert (await other.ask("ping"))["ok"]
        assert not edge.served.gateway.accounts.pending, "nothing was sent"
