"""Alert records as schemas/alert.avsc has them: deterministic id, score, an explanation in words, and the evidence."""

import hashlib
from typing import Any, Final

from schemas.enums import Side
from schemas.instruments import Instrument, InstrumentTable
from surveillance.layering import Episode, Execution, other_side
from surveillance.tracked_orders import TrackedOrder

LAYERING: Final = "LAYERING"
VERBS: Final = {int(Side.BUY): ("buy", "bought"), int(Side.SELL): ("sell", "sold")}


def alert_source(topic: str, partition: int, offset: int) -> str:
    """The alert's field `source`: which frame completed the pattern."""
    return f"{topic}/{partition}@{offset}"


def layering_alert(episode: Episode, own_qty: int, now: int, source: str, instruments: InstrumentTable) -> dict[str, Any]:
    """The alert of a complete episode. own_qty: the account's interest against the layers, lots; now: log time, ns."""
    instrument = instruments.by_number[episode.instrument]
    layers = sorted(episode.layers.values(), key=lambda layer: layer.order_id)
    return {
        "alert_id": _alert_id(LAYERING, episode.instrument, episode.account, episode.side, layers[0].order_id),
        "pattern": LAYERING,
        "instrument": episode.instrument,
        "symbol": instrument.symbol,
        "account": episode.account,
        "side": Side(episode.side).name,
        "score": _score_permille(episode, own_qty) / 1000,
        "explanation": _explanation(episode, layers, now, instrument),
        "window_start": min(layer.placed_at for layer in layers),
        "window_end": now,
        "detected_at": now,
        "source": source,
        "evidence": [_layer_evidence(layer) for layer in layers] + [_execution_evidence(one) for one in episode.executions],
    }


def _alert_id(pattern: str, *parts: int) -> str:
    """The same log gives the same id, however its frames are cut: nothing of the transport goes in."""
    digest = hashlib.blake2b(repr((pattern, *parts)).encode(), digest_size=10)
    return f"{pattern.lower()}-{digest.hexdigest()}"


def _score_permille(episode: Episode, own_qty: int) -> int:
    """Mean of three shares, each in permille: canceled of the layers, not executed of them, and how one-sided the account was."""
    canceled = episode.canceled_qty * 1000 // episode.layered_qty
    unfilled = 1000 - episode.filled_qty() * 1000 // episode.entered_qty()
    one_sided = 1000 - min(1000, own_qty * 1000 // episode.layered_qty)
    return (min(1000, canceled) + unfilled + one_sided) // 3


def _explanation(episode: Episode, layers: list[TrackedOrder], now: int, instrument: Instrument) -> str:
    side, _ = VERBS[episode.side]
    other, traded = VERBS[other_side(episode.side)]
    prices = sorted({layer.price for layer in layers})
    placed = [layer.placed_at for layer in layers]
    paid = [one.price for one in episode.executions]
    lots, price = instrument.qty_text, instrument.price_text
    return (
        f"Account {episode.account} entered {len(layers)} {side} orders for {lots(episode.entered_qty())} {instrument.symbol} at "
        f"{len(prices)} prices from {price(prices[0])} to {price(prices[-1])} within {_seconds(max(placed) - min(placed))}. "
        f"While {lots(episode.shown_qty)} of them rested, {_tenths(episode.shown_qty, episode.own_qty)} times its own {other} interest of "
        f"{lots(episode.own_qty)}, it {traded} {lots(episode.traded_qty)} in {_counted(episode.trades, 'trade')} at {_range(price, paid)}. "
        f"Within {_seconds(now - episode.last_traded_at)} of its last {other} it had canceled {lots(episode.canceled_qty)} of the layered "
        f"{lots(episode.layered_qty)} ({_percent(episode.canceled_qty, episode.layered_qty)}); "
        f"{lots(episode.filled_qty())} ({_percent(episode.filled_qty(), episode.entered_qty())}) of the orders had been executed. "
        f"Orders at several prices, an execution on the other side, then their cancellation: compare FINRA Rule 5210.03, type 1."
    )


def _layer_evidence(layer: TrackedOrder) -> dict[str, Any]:
    return {
        "role": "LAYER", "order_id": layer.order_id, "side": Side(layer.side).name, "price": layer.price, "qty": layer.order_qty,
        "traded_qty": layer.traded_qty, "placed_at": layer.placed_at, "ended_at": layer.ended_at,
    }  # fmt: skip


def _execution_evidence(one: Execution) -> dict[str, Any]:
    """The fields price, traded_qty and ended_at are those of the trade."""
    return {
        "role": "EXECUTION", "order_id": one.order_id, "side": Side(one.side).name, "price": one.price, "qty": one.order_qty,
        "traded_qty": one.last_qty, "placed_at": one.placed_at, "ended_at": one.traded_at,
    }  # fmt: skip


def _range(text: Any, values: list[int]) -> str:
    low, high = text(min(values)), text(max(values))
    return low if low == high else f"{low} to {high}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _seconds(duration_ns: int) -> str:
    milliseconds = duration_ns // 1_000_000
    return f"{milliseconds // 1000}.{milliseconds % 1000:03d} s"


def _percent(part: int, whole: int) -> str:
    return f"{_tenths(part * 100, whole)} %"


def _tenths(part: int, whole: int) -> str:
    """A quotient with one decimal, rounded down, in integers."""
    tenths = part * 10 // whole
    return f"{tenths // 10}.{tenths % 10}"
