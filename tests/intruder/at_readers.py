"""What reads the log beside the shards: stores and edges. Forged records, and answers for somebody else."""

import asyncio
from typing import Any

from at_topics import COMMANDS, NOW, RING, forged, frame
from attack import exchange, stopped_by
from confluent_kafka import Message
from support.native_edge import NativeEdge, an_order

from edge.gateway import source_filter
from edge.gateway.accounts import accounts as edge_accounts
from edge.gateway.accounts import pending_requests, reply_consumer
from edge.gateway.accounts.view import ReplyRow
from edge.gateway.market import consumer as market_consumer
from schemas.codec import BadBytes, Header
from schemas.enums import AccountEventKind
from streams.host import sink_feeder
from streams.host.shard_runner import Record
from streams.host.sink_feeder import input_of
from topics import sources
from topics.catalogue import ACCOUNT_EVENTS, MARKET_DATA
from topics.key_files import RecordKeys
from topics.record_codes import HEADER, Proof


def _sunk() -> bool:
    event = frame("account_event_frame", "account.commands/0")
    try:
        input_of(Record(ACCOUNT_EVENTS.name, 0, 0, NOW, None, event, Proof(None, BadBytes("NO_CODE", ""))))
    except BadBytes:
        return False
    return True


forged("have_a_store_take_a_posting_that_is_not_believed", _sunk,
       (sink_feeder, "    record.proof.require()\n    if passed_by", "    if passed_by"))  # fmt: skip


def _message(topic: str, value: bytes, code: bytes | None) -> Message:
    headers: list[tuple[str, str | bytes | None]] = [] if code is None else [(HEADER, code)]
    return Message(topic=topic, partition=0, offset=0, value=value, timestamp=(1, NOW // 10**6), headers=headers)


def _keys() -> RecordKeys:
    keys = RecordKeys(None)
    keys._ring = RING
    return keys


class Views:
    """What an edge tells of its rows."""

    traced = None
    """No order is traced."""

    def __init__(self) -> None:
        self.rows = 0

    def take_rows(self, rows: Any) -> int:
        """Count them."""
        self.rows += len(list(rows))
        return 0

    def forget_all(self) -> None:
        """All views."""
        self.rows = -1_000


def _answered(code: bytes | None, value: bytes) -> int:
    views: Any = Views()
    nothing: Any = None
    consumer = reply_consumer.ReplyConsumer(nothing, nothing, 0, views, 1, lambda _: None, lambda _: None, _keys())
    consumer._take(_message("edge.replies", value, code), live=True)
    return views.rows


REPLY = frame("account_event_frame", "account.commands/0", place=0)
forged("answer_customers_without_a_key", lambda: _answered(None, REPLY) > 0,
       (reply_consumer, "            proof.require()\n            frame", "            frame"))  # fmt: skip
forged("have_every_view_dropped_by_a_forged_reply", lambda: _answered(None, REPLY) < 0,
       (reply_consumer, "            if error.reason not in FORGED:", "            if True:"))  # fmt: skip


def _priced() -> bool:
    told: list[Any] = []

    class View:
        def apply(self, rows: Any) -> list[Any]:
            told.extend(rows)
            return []

    nothing, view = None, View()
    consumer = market_consumer.MarketConsumer(nothing, nothing, [0], view, lambda _: None, _keys())  # type: ignore[arg-type]
    consumer._positions[MARKET_DATA.name, 0] = 0
    consumer._take((MARKET_DATA.name, 0), _message(MARKET_DATA.name, frame("market_data_frame", "executions/0", place=0), None), live=True)
    return bool(told)


forged("show_a_price_without_a_key", _priced, (market_consumer, "            proof.require()\n            frame", "            frame"))
forged("show_a_price_from_a_shard_that_there_is_not", lambda: source_filter.SourceFilter(sources.sources_of(MARKET_DATA, 0)).is_new(
    Header("executions/9", 1), NOW), (source_filter, "            self.strangers += 1\n            return False", "            return True"))  # fmt: skip


@stopped_by((pending_requests, "if waiting is None or waiting.command.account != row.account:", "if waiting is None:"), door=exchange)
async def answer_the_request_of_another_account(native: NativeEdge) -> bool:
    """By a command of one's own with its number, and the edge's partition for its answer."""
    gateway = native.served.gateway
    view = (await gateway.accounts.view(1)).value  # type: ignore[union-attr]
    native.exchange.stopped.add(COMMANDS)
    async with native.socket(1) as ws:
        await ws.send({"id": 1, "op": "order.place", "order": an_order(order_qty="1")})
        while not gateway.accounts.pending._waiting:
            await ws.ask("ping")
        (number,) = gateway.accounts.pending._waiting
        row = ReplyRow(
            **(
                dict.fromkeys(ReplyRow._fields, 0)
                | {"kind": int(AccountEventKind.REJECTED), "account": 2, "request_id": number, "reason": 1}
            )
        )
        gateway.accounts.take_rows(iter([(row, "forged")]))
        taken = not gateway.accounts.pending._waiting
        native.exchange.stopped.clear()
        native.exchange.run()
        return taken and view is not None


@stopped_by(
    (
        edge_accounts,
        "        asked = row.account, row.request_id\n",
        "        asked = next((one for one in self._replacing if one[1] == row.request_id), (0, 0))\n",
    ),
    door=exchange,
)
async def answer_the_replace_of_another_account(native: NativeEdge) -> bool:
    """The book's word on one's own order would be taken for that on the victim's."""
    accounts = native.served.gateway.accounts
    loop_future: Any = asyncio.get_running_loop().create_future()
    accounts._replacing[1, 77] = loop_future
    row = ReplyRow(
        **(
            dict.fromkeys(ReplyRow._fields, 0)
            | {"kind": int(AccountEventKind.REPLACE_PENDING), "account": 2, "request_id": 77, "order_id": 9}
        )
    )
    accounts.take_rows(iter([(row, "forged")]))
    return 9 in accounts._replaced
