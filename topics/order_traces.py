"""An order is one trace over the log, and nothing of that is in the log: every hop finds the same ids by itself.

The trace's id is a hash of the order's number, so is whether the order is traced at all. A hop's span is a hash of the order and of the place of the
record that it has read. Frames say which record of the shard before them they follow from (source and its offset), and with that which span is
above. The root is the order itself, from the sender's stamp to the account shard's decision.

No clock and no I/O: who calls brings the times. What becomes of a span: streams.process.spans.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from schemas.codec import Frame, Rows
from topics.sources import names_shard

SPANS_PER_RECORD_MAX: Final = 16
"""Orders of one record that are traced, however many are in it: 16 x some 20 us, beside the 10 ms that a full frame takes."""
_SPREAD: Final = np.uint64(0x9E37_79B9_7F4A_7C15)
"""2^64 over the golden ratio, odd: multiples of it spread numbers that follow one another evenly over all of 64 bits."""
_ORDER_COLUMNS: Final = ("order_id", "contra_order_id")


@dataclass(frozen=True, slots=True)
class Span:
    """What one hop did with one order. Times in ns; parent_id: None of a root."""

    name: str
    trace_id: int
    span_id: int
    parent_id: int | None
    start_ns: int
    end_ns: int
    attributes: Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Hop:
    """A record that was worked on. reader: of the roles that read the topic; "" where there is only one whose outputs others follow."""

    name: str
    topic: str
    partition: int
    offset: int
    start_ns: int
    end_ns: int
    reader: str = ""


def trace_id(order_id: int) -> int:
    """128 bits, never 0."""
    return int.from_bytes(_hash(16, order_id, "trace"), "big") or 1


def root_id(order_id: int) -> int:
    """64 bits, never 0."""
    return int.from_bytes(_hash(8, order_id, "root"), "big") or 1


def span_id(order_id: int, source: str, offset: int, reader: str = "") -> int:
    """Of the hop that has read this record; source: topic/partition. 64 bits, never 0."""
    return int.from_bytes(_hash(8, order_id, f"{source}@{offset}/{reader}"), "big") or 1


def _hash(size: int, order_id: int, of: str) -> bytes:
    return hashlib.blake2b(of.encode(), key=order_id.to_bytes(8, "little"), digest_size=size).digest()


class OrderTraces:
    """Which orders are traced, and their spans. All hops must have the same share."""

    def __init__(self, share: float) -> None:
        """share: of all orders, above 0 to 1."""
        assert 0 < share <= 1
        self._last = np.uint64(min(int(share * 2**64), 2**64 - 1))

    def chosen(self, columns: Iterable[Rows]) -> list[int]:
        """Of these order numbers those that are traced, each once, SPANS_PER_RECORD_MAX at most; 0 is no order."""
        found = [column[(column * _SPREAD <= self._last) & (column != 0)] for column in columns]
        return np.unique(np.concatenate(found))[:SPANS_PER_RECORD_MAX].tolist() if found else []

    def is_chosen(self, order_id: int) -> bool:
        """One of `chosen`."""
        return bool(self.chosen([np.array([order_id], np.uint64)]))

    def root(self, order_id: int, start_ns: int, end_ns: int, attributes: Mapping[str, str | int]) -> Span:
        """The order from its sender's stamp to its answer."""
        return Span(
            "order",
            trace_id(order_id),
            root_id(order_id),
            None,
            start_ns,
            max(start_ns, end_ns),
            {"outcry.order_id": str(order_id), **attributes},
        )

    def spans(self, hop: Hop, frame: Frame, made: Iterable[Rows] = ()) -> Iterator[Span]:
        """Of the orders in a frame, and in the rows that were made of it."""
        read = [frame.rows[name] for name in _columns(frame.rows)]
        follows = set(self.chosen(read)) if names_shard(frame.header.source) else set()
        for order_id in self.chosen([*read, *(rows[name] for rows in made for name in _columns(rows))]):
            above = span_id(order_id, frame.header.source, frame.header.source_offset) if order_id in follows else root_id(order_id)
            place = f"{hop.topic}/{hop.partition}"
            attributes: dict[str, str | int] = {
                "outcry.order_id": str(order_id), "messaging.system": "kafka", "messaging.destination.name": hop.topic,
                "messaging.destination.partition.id": str(hop.partition), "messaging.kafka.offset": hop.offset, "outcry.rows": len(frame.rows),
            }  # fmt: skip
            yield Span(
                hop.name, trace_id(order_id), span_id(order_id, place, hop.offset, hop.reader), above, hop.start_ns, max(hop.start_ns, hop.end_ns),
                attributes,
            )  # fmt: skip


def _columns(rows: Rows) -> tuple[str, ...]:
    return tuple(name for name in _ORDER_COLUMNS if name in (rows.dtype.names or ()))
