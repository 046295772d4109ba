"""Send traders' actions over HTTP to the edge, with each account's own API key, and receive fills on its trade_updates socket.

An account's requests go one after another, like those of one client. A request without a clear answer (error 5xx, 429, broken connection,
time-out) is repeated with the same client_order_id until there is one. That is safe, and the only way to find out.
"""

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from schemas.enums import OrdType, Side, TimeInForce
from schemas.errors import ServiceUnavailable
from schemas.instruments import InstrumentTable
from streams.demo.availability import Availability
from streams.demo.bad_orders import EXPECTED, BadKind
from streams.demo.topic_gateway import texts_of
from streams.demo.traders import Action, CancelOrder, NewOrder
from streams.operate.accounts import ApiKey

CONNECT_TIMEOUT_S: Final = 300.0
REQUEST_TIMEOUT_S: Final = 10.0
RETRY_PAUSE_S: Final = 0.2
ANSWER_DEADLINE_S: Final = 300.0
"""An order without any answer for this long is reported as unknown."""
QUEUE_MAX: Final = 200
RETRIED: Final = frozenset({408, 429, 500, 502, 503, 504})

_SIDES: Final = {Side.BUY: "buy", Side.SELL: "sell"}
_TYPES: Final = {OrdType.LIMIT: "limit", OrdType.MARKET: "market", OrdType.MARKET_TO_LIMIT: "market_to_limit"}
_TIMES: Final = {TimeInForce.DAY: "day", TimeInForce.GTC: "gtc", TimeInForce.IOC: "ioc", TimeInForce.OPG: "opg"}


@dataclass
class HttpResults:
    """The answers that the clients got."""

    accepted: dict[tuple[int, str], str] = field(default_factory=dict)
    """(account, client_order_id) of acknowledged orders -> order id (UUID)."""
    rejected: Counter[str] = field(default_factory=Counter)
    """Refused orders by message family: "403 40310000"."""
    unknown: list[tuple[int, str]] = field(default_factory=list)
    surprises: list[str] = field(default_factory=list)
    cancels: Counter[int] = field(default_factory=Counter)
    availability: Availability = field(default_factory=Availability)
    retries: int = 0
    held_back: int = 0
    answer_ns: list[int] = field(default_factory=list)
    execution_ns: list[int] = field(default_factory=list)
    """From sending a POST whose order executed at once to its first fill on trade_updates."""


class HttpGateway:
    """Sessions of all accounts of the channel. `edge_url` is asked anew for each connection of a socket."""

    def __init__(self, edge_url: Callable[[], str], keys: list[ApiKey], instruments: InstrumentTable) -> None:
        self._edge_url, self._instruments = edge_url, instruments
        self._headers = {key.account: {"APCA-API-KEY-ID": key.key_id, "APCA-API-SECRET-KEY": key.secret} for key in keys}
        self._keys = {key.account: key for key in keys}
        self._queues: dict[int, asyncio.Queue[Action]] = {key.account: asyncio.Queue(QUEUE_MAX) for key in keys}
        self._sent_at: dict[str, int] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._not_listening = set(self._queues)
        self._all_listen = asyncio.Event()
        self._asked = 0
        self._session: aiohttp.ClientSession | None = None
        self.results = HttpResults()

    @property
    def waiting(self) -> int:
        """Number of actions without an answer yet."""
        return sum(queue.qsize() for queue in self._queues.values()) + self._asked

    async def start(self, timeout_s: float = CONNECT_TIMEOUT_S) -> None:
        """Connect every account's socket. Returns when all are listening. Raises ServiceUnavailable."""
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout)
        for account in self._queues:
            self._tasks.append(asyncio.create_task(self._work(account)))
            self._tasks.append(asyncio.create_task(self._listen(account)))
        try:
            async with asyncio.timeout(timeout_s):
                await self._all_listen.wait()
        except TimeoutError as error:
            raise ServiceUnavailable(f"{len(self._not_listening)} clients could not listen to /stream within {timeout_s:g} s") from error

    def send(self, action: Action) -> None:
        """Queue one action of its account; a trader whose queue is full is held back."""
        try:
            self._queues[action.account].put_nowait(action)
        except asyncio.QueueFull:
            self.results.held_back += 1

    async def finish(self) -> None:
        """Wait until every queued action has its answer (or was given up)."""
        await asyncio.gather(*(queue.join() for queue in self._queues.values()))

    async def close(self) -> None:
        """Stop listening and close the connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    # ---- requests

    async def _work(self, account: int) -> None:
        queue = self._queues[account]
        while True:
            action = await queue.get()
            self._asked += 1
            try:
                await (self._cancel(action) if isinstance(action, CancelOrder) else self._post(action))
            finally:
                self._asked -= 1
                queue.task_done()

    async def _post(self, order: NewOrder) -> None:
        body = order_body(order, self._instruments)
        if order.time_in_force == TimeInForce.IOC:
            self._sent_at[order.cl_ord_id] = time.perf_counter_ns()
        began = time.perf_counter_ns()
        answer = await self._request("POST", "/v2/orders", order.account, body)
        key = (order.account, order.cl_ord_id)
        if answer is None:
            self.results.unknown.append(key)
            return
        self.results.answer_ns.append(time.perf_counter_ns() - began)
        status, content = answer
        if status == 200:
            self.results.accepted[key] = content["id"]
        else:
            self.results.rejected[f"{status} {content.get('code')}"] += 1
        told = (status, content.get("code"))
        if order.bad and told != (EXPECTED[order.bad].status, EXPECTED[order.bad].code):
            self.results.surprises.append(f"HTTP order {order.cl_ord_id} ({order.bad}) was answered {told}: {content.get('message', '')}")

    async def _cancel(self, action: CancelOrder) -> None:
        order_id = self.results.accepted.get((action.account, action.cl_ord_id))
        if order_id is None:
            return
        answer = await self._request("DELETE", f"/v2/orders/{order_id}", action.account, None)
        self.results.cancels[answer[0] if answer else 0] += 1

    async def _request(self, method: str, path: str, account: int, body: bytes | None) -> tuple[int, dict[str, Any]] | None:
        """(status, JSON) of the first clear answer; None if there was none in ANSWER_DEADLINE_S."""
        assert self._session is not None
        deadline = time.monotonic() + ANSWER_DEADLINE_S
        while (sent_s := time.monotonic()) < deadline:
            try:
                async with self._session.request(method, self._edge_url() + path, data=body, headers=self._headers[account]) as answer:
                    if answer.status not in RETRIED:
                        text = await answer.read()
                        content = json.loads(text) if text else {}
                        self.results.availability.took(sent_s, time.monotonic() - sent_s, answered=True)
                        return answer.status, content
            except (aiohttp.ClientError, TimeoutError, ConnectionError, json.JSONDecodeError):
                pass
            self.results.availability.took(sent_s, time.monotonic() - sent_s, answered=False)
            self.results.retries += 1
            await asyncio.sleep(RETRY_PAUSE_S)
        return None

    # ---- trade_updates

    async def _listen(self, account: int) -> None:
        while True:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, ConnectionError):
                await self._one_connection(account)
            await asyncio.sleep(RETRY_PAUSE_S)

    async def _one_connection(self, account: int) -> None:
        assert self._session is not None
        key = self._keys[account]
        url = self._edge_url().replace("http", "ws", 1) + "/stream"
        async with self._session.ws_connect(url, heartbeat=20) as socket:
            await socket.send_json({"action": "authenticate", "data": {"key_id": key.key_id, "secret_key": key.secret}})
            await socket.send_json({"action": "listen", "data": {"streams": ["trade_updates"]}})
            async for message in socket:
                if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                    break
                update = json.loads(message.data)
                if update.get("stream") == "trade_updates":
                    self._on_update(update["data"])
                elif update.get("stream") == "listening":
                    self._not_listening.discard(account)
                    if not self._not_listening:
                        self._all_listen.set()

    def _on_update(self, data: dict[str, Any]) -> None:
        if data["event"] not in ("fill", "partial_fill"):
            return
        sent_at = self._sent_at.pop(data["order"]["client_order_id"], None)
        if sent_at is not None:
            self.results.execution_ns.append(time.perf_counter_ns() - sent_at)


def order_body(order: NewOrder, instruments: InstrumentTable) -> bytes:
    """The JSON of POST /v2/orders. Orders with bad text are spoilt here (NaN as a bare word, which is not JSON)."""
    texts = texts_of(order, instruments)
    body: dict[str, Any] = {
        "symbol": texts.symbol,
        "qty": float("nan") if order.bad is BadKind.NOT_A_NUMBER else texts.order_qty,
        "side": _SIDES[order.side],
        "type": _TYPES[order.ord_type],
        "time_in_force": _TIMES[order.time_in_force],
        "client_order_id": order.cl_ord_id,
    }
    if texts.price is not None:
        body["limit_price"] = texts.price
    if order.self_match_prevention_id:
        body["self_match_prevention_id"] = order.self_match_prevention_id
    return json.dumps(body).encode()
