"""WebSockets of the edge under attack: floods, huge subscriptions, deep data, changed identities. The others go on, and nothing is left behind."""

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import msgpack
import pytest
from support.served_edge import WAIT_S, Served, served, until

from edge.alpaca.limits import RESUMED_TRADES_MAX, SUBSCRIPTIONS_MAX
from edge.alpaca.market_data.messages import CHANNELS
from edge.alpaca.market_data.subscriptions import JSON, MSGPACK, MarketClient
from edge.fanout import limits as socket_limits
from edge.fanout.limits import MESSAGES_BURST, MESSAGES_PER_S
from edge.gateway import limits
from edge.gateway.accounts.view import AccountView
from edge.gateway.market.view import MarketRow, MarketView
from edge.http.limits import NESTING_MAX
from schemas.enums import MarketDataKind, Phase
from schemas.instruments import load_instruments

NAMES = [f"S{number:03}" for number in range(SUBSCRIPTIONS_MAX // len(CHANNELS))]


@pytest.fixture(scope="module")
def many_instruments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As many as fill a subscription."""
    common = 'tick_size = "0.01"\nlot_size = "1"\nmax_order_qty = "100"\nmax_notional = "5000"\nreference_price = "10.00"\nprotection_percent = 20\n'
    path = tmp_path_factory.mktemp("many") / "instruments.toml"
    path.write_text(
        "".join(f'[[instrument]]\nnumber = {n}\nsymbol = "{name}"\nname = "{name}"\n{common}' for n, name in enumerate(NAMES, 1))
    )
    return path


async def heard(ws: aiohttp.ClientWebSocketResponse) -> Any:
    """The next message, decoded."""
    message = await asyncio.wait_for(ws.receive(), WAIT_S)
    assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), message
    return json.loads(message.data)


async def flood(ws: aiohttp.ClientWebSocketResponse, data: str) -> None:
    """Send it as fast as the connection takes it, until that is over."""
    try:
        while True:
            await ws.send_str(data)
            await asyncio.sleep(0)
    except ConnectionError:
        pass


async def counted_answers(ws: aiohttp.ClientWebSocketResponse) -> list[Any]:
    """Whatever comes, for ever: cancel it."""
    kept: list[Any] = []
    try:
        async for message in ws:
            kept.append(message)
    except asyncio.CancelledError:
        pass
    return kept


async def others_are_answered(edge: Served, times: int = 5) -> None:
    """Another client's requests, each within its time."""
    for _ in range(times):
        async with asyncio.timeout(WAIT_S):
            assert (await edge.get("/healthz"))[0] == 200


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many subscribe messages have been taken, as [number]."""
    taken, subscribe = [0], MarketClient.subscribe

    def counting(*args: Any) -> Any:
        taken[0] += 1
        return subscribe(*args)

    monkeypatch.setattr(MarketClient, "subscribe", counting)
    return taken


async def test_a_flood_on_a_public_socket_is_read_at_its_pace_and_others_are_answered(
    monkeypatch: pytest.MonkeyPatch, many_instruments: Path
) -> None:
    """The attack that froze the edge: a full subscription, then megabytes of messages at once, each of which was answered with all of it."""
    taken = counted(monkeypatch)
    async with served(instruments_file=many_instruments) as edge, edge.client.ws_connect("/ws/public-prices") as ws:
        await heard(ws)
        await ws.send_json({"action": "subscribe"} | dict.fromkeys(CHANNELS, NAMES))
        confirmed, *books = await heard(ws)
        assert len(books) == len(NAMES)
        assert sum(len(confirmed[channel]) for channel in CHANNELS) == len(NAMES) * len(CHANNELS)
        loop = asyncio.get_running_loop()
        began = loop.time()
        text = b'{"action":"subscribe"}'
        frame = bytes([0x81, 0x80 | len(text)]) + bytes(4) + text  # one text frame, masked with zeros
        transport: Any = ws._response.connection.transport
        transport.write(frame * 100_000)
        reading = asyncio.create_task(counted_answers(ws))
        await others_are_answered(edge)
        await until(lambda: loop.time() - began > 0.5, "the flood goes on for a while")
        await others_are_answered(edge)
        assert 1 <= taken[0] <= 1 + MESSAGES_BURST + MESSAGES_PER_S * (loop.time() - began) + 1
        reading.cancel()
        assert {answer.data for answer in await reading} == {JSON.join([json_of(confirmed)]).decode()}, "each confirms the same"
        transport.abort()
        await until(lambda: not edge.state.sockets, "the connection has left nothing behind")
        assert not edge.hub._topics
        await others_are_answered(edge)


def json_of(value: dict[str, Any]) -> bytes:
    """As the edge writes it."""
    return JSON.of_object(value)


async def test_pings_are_answered_at_the_same_pace() -> None:
    """Answered inside the library they would be read without pause."""
    async with served() as edge, edge.client.ws_connect("/ws/public-prices", autoping=False) as ws:
        await heard(ws)
        await ws.ping(b"first")
        assert (await asyncio.wait_for(ws.receive(), WAIT_S))[:2] == (aiohttp.WSMsgType.PONG, b"first")
        loop = asyncio.get_running_loop()
        began = loop.time()
        for _ in range(3 * MESSAGES_BURST):
            await ws.ping(b"more")
        reading = asyncio.create_task(counted_answers(ws))
        await until(lambda: loop.time() - began > 0.5, "a while")
        await others_are_answered(edge, 1)
        reading.cancel()
        pongs = await reading
        assert 1 <= len(pongs) <= MESSAGES_BURST + MESSAGES_PER_S * (loop.time() - began) + 1


async def test_a_client_that_is_too_slow_is_not_read_any_more(monkeypatch: pytest.MonkeyPatch, many_instruments: Path) -> None:
    """It floods and takes no answer: told 407, cut off, and nothing that it still sends is looked at."""
    monkeypatch.setattr(socket_limits, "FAREWELL_TIMEOUT_S", 0.05)
    monkeypatch.setattr(socket_limits, "MESSAGES_PER_S", 1_000_000)
    monkeypatch.setattr(socket_limits, "ANSWER_BYTES_MAX", 1 << 20)
    taken = counted(monkeypatch)
    async with served(instruments_file=many_instruments) as edge:
        ws = await edge.client.ws_connect("/ws/public-prices")
        await until(lambda: bool(edge.state.sockets), "it is connected")
        (socket,) = edge.state.sockets
        await ws.send_json({"action": "subscribe"} | dict.fromkeys(CHANNELS, NAMES))
        flooding = asyncio.create_task(flood(ws, '{"action":"subscribe"}'))
        await until(lambda: socket.is_ending, "it is called slow")
        at_the_end = taken[0]
        await until(lambda: not edge.state.sockets, "the connection is over")
        flooding.cancel()
        assert taken[0] == at_the_end
        await others_are_answered(edge, 1)
        await ws.close()


async def test_what_a_client_has_asked_for_and_not_taken_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few large answers are as slow as many small ones."""
    monkeypatch.setattr(socket_limits, "ANSWER_BYTES_MAX", 100)
    async with served() as edge, edge.client.ws_connect("/ws/public-prices") as ws:
        await heard(ws)
        (out,) = edge.state.sockets
        out.pause_writing()  # the transport's word for a full buffer
        assert out.send_nowait(b"x" * 60)
        assert not out.send_nowait(b"x" * 60), "the first has not been written yet"
        assert await heard(ws) == [{"T": "error", "code": 407, "msg": "slow client"}]
        assert (out.is_ending, out.queued) == (True, 0)


async def test_every_kind_of_socket_is_refused_beyond_the_number_there_may_be() -> None:
    """/stream too."""
    async with served() as edge:
        edge.state.fan_out.sockets_max = 0
        for path, word in (("/ws/public-prices", 406), ("/v2/iex", 406), ("/stream", "connection limit exceeded")):
            async with edge.client.ws_connect(path) as ws:
                said = await heard(ws)
                assert (said[0]["code"] if isinstance(said, list) else said["data"]["error"]) == word, path
                assert (await asyncio.wait_for(ws.receive(), WAIT_S)).type == aiohttp.WSMsgType.CLOSE


# ---- what a subscription is


def view_of(*rows: dict[str, int]) -> MarketView:
    """The built-in instruments after these rows."""
    view = MarketView(load_instruments(None))
    empty = dict.fromkeys(MarketRow._fields, 0)
    view.apply(MarketRow(**{**empty, "instrument": 1, "transact_time": 10**18, **row}) for row in rows)
    return view


def spoken(client: MarketClient, message: dict[str, Any], view: MarketView) -> list[dict[str, Any]]:
    """The answer to a subscribe message."""
    return [json.loads(part) for part in client.subscribe(message, view).parts]


def test_a_confirmation_is_the_whole_list_and_written_once_while_it_is_the_same() -> None:
    """Alpaca's protocol tells the whole list each time."""
    client, view = MarketClient(JSON, authenticated=True), view_of()
    (first,) = client.subscribe({"trades": ["MSFT", "AAPL"]}, view).parts
    assert json.loads(first)["trades"] == ["AAPL", "MSFT"]
    assert [client.subscribe(again, view).parts[0] for again in ({}, {"trades": ["AAPL"]})] == [first, first]
    assert all(client.subscribe(again, view).parts[0] is first for again in ({}, {"trades": ["AAPL"]}))
    assert client.unsubscribe({"bars": ["AAPL"]}).parts[0] is first
    assert json.loads(client.unsubscribe({"trades": ["AAPL"]}).parts[0])["trades"] == ["MSFT"]


def test_symbols_that_do_not_exist_are_refused_by_name_and_the_others_hold() -> None:
    """So a subscription is never larger than the market; the error is bounded too."""
    client, view = MarketClient(JSON, authenticated=True), view_of()
    confirmed, error = spoken(client, {"trades": ["AAPL", "NOPE", *(f"X{n:04}" for n in range(6_000))], "quotes": ["*", "NOPE"]}, view)
    assert (confirmed["trades"], confirmed["quotes"]) == (["AAPL"], ["*"])
    assert error == {"T": "error", "code": 400, "msg": "invalid syntax: unknown symbol NOPE, X0000, X0001, X0002, X0003 and 5996 more"}
    assert client.wanted == {("trades", "AAPL"), ("quotes", "*")}


def test_more_names_than_a_subscription_may_have_are_error_405_and_change_nothing(many_instruments: Path) -> None:
    """All that fit, then one more."""
    client, view = MarketClient(JSON, authenticated=True), MarketView(load_instruments(many_instruments))
    spoken(client, dict.fromkeys(CHANNELS, NAMES), view)
    before = client.wanted
    assert len(before) <= SUBSCRIPTIONS_MAX < len(before) + len(CHANNELS)
    assert spoken(client, {channel: ["*"] for channel in CHANNELS[:5]}, view)[0]["code"] == 405
    assert client.wanted == before


def test_channels_that_are_not_here_are_told_and_the_rest_of_the_message_holds() -> None:
    """alpaca-py sends all its channels in one message; the confirmation has the names that Alpaca's has."""
    client, view = MarketClient(JSON, authenticated=True), view_of()
    confirmed, error = spoken(client, {"trades": ["AAPL"], "dailyBars": ["AAPL"], "options": ["*"], "news": ["*"], "bars": []}, view)
    assert {name: value for name, value in confirmed.items() if value} == {
        "T": "subscription", "trades": ["AAPL"], "corrections": ["AAPL"], "cancelErrors": ["AAPL"], "dailyBars": ["AAPL"],
    }  # fmt: skip
    assert {"dailyBars", "updatedBars", *CHANNELS} <= confirmed.keys()
    assert (error["T"], error["code"]) == ("error", 410)
    assert error["msg"] == "invalid subscribe action for this feed: news, options"
    only = MarketClient(JSON, authenticated=True)
    assert [one["T"] for one in spoken(only, {"news": ["AAPL"]}, view)] == ["subscription", "error"]
    assert [one["T"] for one in spoken(only, {"trades": ["AAPL"], "corrections": ["AAPL"], "news": []}, view)] == ["subscription"]


def test_a_resume_brings_so_many_trades_at_most_and_tells_the_others_as_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest, of all symbols of the message together."""
    monkeypatch.setattr("edge.alpaca.market_data.subscriptions.RESUMED_TRADES_MAX", 5)
    rows = [
        {"kind": MarketDataKind.TRADE, "seq": seq, "instrument": number, "price": 100, "qty": 1}
        for number in (1, 2)
        for seq in (1, 2, 3, 4)
    ]
    client, view = MarketClient(JSON, authenticated=True), view_of(*rows)
    _, *told = spoken(client, {"trades": ["*"], "resume": {"AAPL": 0, "MSFT": 1, "NOPE": 0}}, view)
    assert [(one["T"], one["S"], one.get("seq", one.get("missing"))) for one in told] == [
        ("t", "AAPL", 1), ("t", "AAPL", 2), ("t", "AAPL", 3), ("t", "AAPL", 4), ("gap", "MSFT", 2), ("t", "MSFT", 4),
    ]  # fmt: skip
    assert RESUMED_TRADES_MAX >= limits.TRADES_KEPT_PER_SYMBOL, "one symbol's whole ring can be had"


def test_a_book_that_has_not_changed_is_written_once_for_everybody() -> None:
    """However often it is asked for."""
    level = {"kind": MarketDataKind.LEVEL, "side": 1, "price": 100, "qty": 5, "order_count": 1}
    view = view_of(level | {"seq": 1})
    first, second = (MarketClient(JSON, authenticated=True).subscribe({"orderbooks": ["AAPL"]}, view).parts[1] for _ in range(2))
    assert first is second
    row = dict.fromkeys(MarketRow._fields, 0) | level | {"seq": 2, "instrument": 1, "qty": 7}
    view.apply([MarketRow(**row)])
    assert json.loads(MarketClient(JSON, authenticated=True).subscribe({"orderbooks": ["AAPL"]}, view).parts[1])["b"] == [
        {"p": 1.0, "s": 7}
    ]


def test_what_holds_now_is_told_of_new_names_only() -> None:
    """An empty subscribe message goes through no symbols."""
    view = view_of({"kind": MarketDataKind.STATUS, "seq": 1, "phase": Phase.CONTINUOUS})
    client = MarketClient(JSON, authenticated=True)
    assert [one["T"] for one in spoken(client, {"statuses": ["AAPL", "MSFT"]}, view)] == ["subscription", "s"]
    assert [one["T"] for one in spoken(client, {"statuses": ["AAPL"]}, view)] == ["subscription"]
    assert [one["T"] for one in spoken(client, {"statuses": ["*"]}, view)] == ["subscription", "s"]


# ---- what clients send


DEEP: list[str | bytes] = [
    "[" * 5_000,
    "[" * 990 + "]" * 990,
    '{"action":' + "[" * 17 + "]" * 17 + "}",
    '{"a":' * 3_000,
    '{"action": "\\ud800"}',
]
DEEP_PACKED = [
    b"\x91" * 1_020 + b"\x01",
    b"\x91" * 5_000,
    b"\x81\xa1a" * 500 + b"\x01",
    b"\x81\x81\xa1a\x01\x01",
    b"\xc7\x0c\xff" + b"\xff" * 12,
]


@pytest.mark.parametrize("data", DEEP)
async def test_deep_or_broken_json_is_answered_and_the_connection_stays(data: str) -> None:
    """On every socket; the exception that is not a ValueError ended the connection before."""
    async with served() as edge:
        for path in ("/ws/public-prices", "/stream"):
            async with edge.client.ws_connect(path) as ws:
                if path != "/stream":
                    await heard(ws)
                await ws.send_str(data)
                said = await heard(ws)
                assert (said[0]["code"] == 400) if path != "/stream" else (said["data"]["error"].startswith("invalid syntax")), said
                await ws.send_json({"action": "subscribe", "trades": ["AAPL"]})
                assert (await heard(ws)) is not None


@pytest.mark.parametrize("data", DEEP_PACKED)
def test_deep_or_broken_msgpack_is_no_message(data: bytes) -> None:
    """Neither is a map with a map as a key."""
    assert MarketClient(MSGPACK).decode(data) is None


def test_nesting_up_to_its_limit_is_taken() -> None:
    """In both encodings."""
    value: dict[str, Any] = {"action": "subscribe"}
    for _ in range(NESTING_MAX - 1):
        value = {"x": value}
    for deeper, taken in ((value, True), ({"x": value}, False)):
        assert (MarketClient(JSON).decode(json.dumps(deeper)) is not None) is taken
        assert (MarketClient(MSGPACK).decode(msgpack.packb(deeper)) is not None) is taken


@pytest.mark.parametrize("data", DEEP)
async def test_deep_or_broken_json_in_a_request_is_400(data: str) -> None:
    """Never 500, and a list in the place of a number is refused by its field."""
    async with served() as edge:
        headers = {"APCA-API-KEY-ID": "KEY1", "APCA-API-SECRET-KEY": "secret-1"}
        async with edge.client.post("/v2/orders", data=data.encode(), headers=headers) as response:
            assert (response.status, (await response.json())["code"]) == (400, 40010000)
        async with edge.client.post("/v2/orders", data=b'{"symbol":' + b"[" * 14 + b"]" * 14 + b"}", headers=headers) as response:
            assert (response.status, (await response.json())["message"]) == (422, "symbol must be text, not a list")


# ---- /stream


def known(edge: Served, *accounts: int) -> None:
    """These accounts are registered."""
    for account in accounts:
        edge.gateway.accounts._views[account] = AccountView(account)


def listeners(edge: Served) -> dict[int, Any]:
    """By account."""
    return edge.gateway.accounts._listeners


async def test_a_connection_keeps_its_account_and_leaves_no_listener_behind() -> None:
    """Authenticate, listen, authenticate as another account, close: the socket stayed listed for ever."""
    async with served() as edge:
        known(edge, 1, 2)
        async with edge.client.ws_connect("/stream") as ws:
            await ws.send_json({"action": "authenticate", "data": {"key_id": "KEY1", "secret_key": "secret-1"}})
            assert (await heard(ws))["data"]["status"] == "authorized"
            await ws.send_json({"action": "listen", "data": {"streams": ["trade_updates"]}})
            assert (await heard(ws))["stream"] == "listening"
            assert {account: len(them) for account, them in listeners(edge).items()} == {1: 1}
            for key in (1, 2):
                await ws.send_json({"action": "auth", "key": f"KEY{key}", "secret": f"secret-{key}"})
                assert "already authenticated" in (await heard(ws))["data"]["error"]
            for _ in range(2):
                await ws.send_json({"action": "listen", "data": {"streams": ["trade_updates"]}})
                await heard(ws)
            assert {account: len(them) for account, them in listeners(edge).items()} == {1: 1}
        await until(lambda: not edge.state.sockets, "the connection is over")
        assert listeners(edge) == {}


async def test_who_listens_to_nothing_is_taken_out_and_may_come_back() -> None:
    """An empty list of streams."""
    async with served() as edge:
        known(edge, 1)
        async with edge.client.ws_connect("/stream") as ws:
            await ws.send_json({"action": "auth", "key": "KEY1", "secret": "secret-1"})
            await heard(ws)
            for streams in (["trade_updates"], [], ["trade_updates"], ["other"]):
                await ws.send_json({"action": "listen", "data": {"streams": streams}})
                wanted = [one for one in streams if one == "trade_updates"]
                assert (await heard(ws))["data"]["streams"] == wanted
                assert bool(listeners(edge)) is bool(wanted)


async def test_an_action_before_authentication_is_told_shortened() -> None:
    """What the client sent may be anything."""
    async with served() as edge:
        for action, told in (("x" * 5_000, "x" * 40), ([["deep"]], ""), (None, "")):
            async with edge.client.ws_connect("/stream") as ws:
                await ws.send_json({"action": action})
                assert (await heard(ws))["data"] == {"status": "unauthorized", "action": told}


async def test_wrong_secrets_over_sockets_are_counted_with_those_over_http(monkeypatch: pytest.MonkeyPatch) -> None:
    """One count of an address and a key, whichever way is tried."""
    async with served() as edge:
        for _ in range(limits.WRONG_SECRETS_BURST):
            assert (await edge.get("/v2/account", headers={"APCA-API-KEY-ID": "KEY1", "APCA-API-SECRET-KEY": "wrong"}))[0] == 401
        asked = edge.stores.keys_asked
        async with edge.client.ws_connect("/v2/iex") as ws:
            await heard(ws)
            await ws.send_json({"action": "auth", "key": "KEY1", "secret": "secret-1"})
            (error,) = await heard(ws)
            assert (error["code"], "too many wrong API keys" in error["msg"]) == (402, True)
            assert (await asyncio.wait_for(ws.receive(), WAIT_S)).data == aiohttp.WSCloseCode.TRY_AGAIN_LATER
        async with edge.client.ws_connect("/stream") as ws:
            await ws.send_json({"action": "auth", "key": "KEY1", "secret": "secret-1"})
            assert (await heard(ws))["data"]["status"] == "unauthorized"
            assert (await asyncio.wait_for(ws.receive(), WAIT_S)).data == aiohttp.WSCloseCode.TRY_AGAIN_LATER
        assert edge.stores.keys_asked == asked, "nothing was looked up"
