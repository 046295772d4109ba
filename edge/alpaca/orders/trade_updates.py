"""Messages of the /stream WebSocket as Alpaca writes them: authorization, listening and trade_updates. No I/O."""

from typing import Any, Final

import msgspec

from edge.alpaca.order_words import EVENT_TEXT
from edge.alpaca.orders.order_json import order_json
from edge.gateway.accounts.view import OrderUpdate
from edge.http.timestamps import rfc3339
from schemas.enums import AccountEventKind
from schemas.ids import execution_uuid
from schemas.instruments import InstrumentTable
from schemas.limits import ORDER_ID_SHARD_SHIFT
from schemas.reject_reasons import SENTENCES, Reason

_ENCODER: Final = msgspec.json.Encoder()
STREAMS: Final = ("trade_updates",)


def encode(message: dict[str, Any]) -> bytes:
    """JSON bytes; Alpaca sends them in binary frames."""
    return _ENCODER.encode(message)


def authorization(action: str, *, authorized: bool) -> bytes:
    """The answer to `authenticate`, and to anything else before it."""
    return encode({"stream": "authorization", "data": {"status": "authorized" if authorized else "unauthorized", "action": action}})


def listening(streams: list[str]) -> bytes:
    """The streams that the client now gets."""
    return encode({"stream": "listening", "data": {"streams": streams}})


def error(message: str) -> bytes:
    """What was wrong with a client's message; the connection stays."""
    return encode({"stream": "error", "data": {"error": message}})


def _execution_id(update: OrderUpdate) -> str:
    """Unique: trades by match and side, other events by sequence and account shard (sides are 1 and 2, shards stand from 16 on)."""
    row = update.row
    if row.kind == AccountEventKind.TRADE:
        return execution_uuid(row.trd_match_id, row.side)
    return execution_uuid(row.seq, 16 + (row.order_id >> ORDER_ID_SHARD_SHIFT))


def trade_update(update: OrderUpdate, instruments: InstrumentTable) -> bytes:
    """One event of one order. `seq` (ours) is the account shard's sequence: dense there, rising within an account."""
    row, order = update.row, update.order
    instrument = instruments.by_number[order.instrument]
    data: dict[str, Any] = {
        "event": EVENT_TEXT[update.event],
        "execution_id": _execution_id(update),
        "order": order_json(order, instruments),
        "timestamp": rfc3339(row.transact_time),
        "seq": row.seq,
    }
    if row.kind in (AccountEventKind.TRADE, AccountEventKind.TRADE_BUSTED):
        data["price"] = instrument.price_text(row.last_px)
        data["qty"] = instrument.qty_text(row.last_qty)
        data["position_qty"] = instrument.qty_text(row.position)
        data["trd_match_id"] = row.trd_match_id
    if row.reason:
        data["reason"] = Reason(row.reason).name
        data["reason_text"] = SENTENCES[Reason(row.reason)]
    return encode({"stream": "trade_updates", "data": data})
