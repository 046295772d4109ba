"""The contract of a detector: it looks for one pattern, receives events of one book shard, and returns findings.

A detector overrides the events that it wants; the watch calls no others. It is a function of these calls and of the shared state (orders,
market) alone: no clock, no random number, integers only. A finding has everything that an alert needs, so the watch knows no pattern.

To add a pattern: a module in surveillance/detectors with a subclass of `Detector` and a table of parameters, and its name in
surveillance.detectors.DETECTORS.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple

from schemas.codec import Rows
from schemas.instruments import Instrument
from surveillance.market import Book, Market, Trade
from surveillance.orders import OrderTracker, TrackedOrder
from surveillance.state_bytes import pack, unpack

Arrays = Mapping[str, Rows]


class Evidence(NamedTuple):
    """One order or trade behind a finding: ticks, lots, ns. Fields as in schemas/avro/alert.avsc."""

    role: str
    order_id: int
    side: int
    price: int
    qty: int
    traded_qty: int
    placed_at: int
    ended_at: int
    account: int = 0
    trd_match_id: int = 0
    seq: int = 0
    offset: int = -1
    place: str = ""
    instrument: int = 0


@dataclass(frozen=True)
class Measure:
    """What was measured beside its bound. `at_least`: the pattern needs that much; else it may not be more.

    unit: "" (a count), "lots", "ticks", "ns", "percent" or "times".
    """

    name: str
    value: int
    bound: int
    unit: str = ""
    at_least: bool = True


@dataclass(frozen=True)
class Finding:
    """A pattern that is complete."""

    pattern: str
    instrument: int
    account: int
    """The owner: its first account, see surveillance.owners."""
    side: int
    identity: tuple[int, ...]
    """Numbers from the evidence, nothing from the transport: the same log gives the same alert id, however it is divided into frames."""
    score_permille: int
    window_start: int
    """ns; the window ends when the pattern is complete."""
    steps: Callable[[Instrument], tuple[str, ...]]
    """The explanation for an analyst, a sentence a step, with prices and quantities as the instrument writes them."""
    evidence: tuple[Evidence, ...]
    measures: tuple[Measure, ...] = ()
    accounts: tuple[int, ...] = ()
    """All that took part, if there are more than `account`."""


class Rule:
    """A detector of either stage, without its events: what episodes, snapshots and digests need of it."""

    name: ClassVar[str]
    """Prefix of the detector's arrays in a snapshot."""
    version: ClassVar[int] = 1
    """Raised with every change of its rule: part of each alert and of its id."""
    rule_refs: ClassVar[tuple[str, ...]] = ()
    """The rules that the pattern breaks, as written on the alert."""
    parameters: Any = None
    """A frozen dataclass: the one table of the detector's bounds."""

    def state(self) -> Any:
        """The whole state as lists of integers."""
        return []

    def load(self, state: Any) -> None:
        """Restore what `state` returned. The detector is new, what it looks at already restored."""

    def snapshot(self) -> dict[str, Rows]:
        """The whole state as named arrays."""
        return {"state": pack(self.state())}

    def restore(self, arrays: Arrays) -> None:
        """Restore the state of a snapshot."""
        self.load(unpack(arrays["state"]))


class Detector(Rule):
    """One pattern over one book shard. Times are log time in ns, quantities lots, prices ticks. Tracker and market get every event first."""

    def __init__(self, tracker: OrderTracker, market: Market) -> None:
        self.tracker, self.market = tracker, market

    def advance(self, now: int) -> Sequence[Finding]:
        """Log time is `now`."""
        return ()

    def placed(self, order: TrackedOrder, now: int) -> Sequence[Finding]:
        """A new order."""
        return ()

    def executed(self, order: TrackedOrder, price: int, qty: int, now: int) -> Sequence[Finding]:
        """The order traded `qty` lots at `price`. Called for both sides of a trade."""
        return ()

    def traded(self, trade: Trade) -> Sequence[Finding]:
        """Two orders met. Called once, after `executed`."""
        return ()

    def withdrawn(self, order: TrackedOrder, canceled_qty: int, now: int) -> Sequence[Finding]:
        """The order left the market or was reduced. `canceled_qty`: lots canceled by its owner, else 0."""
        return ()

    def phase_changed(self, book: Book, before: int, now: int) -> Sequence[Finding]:
        """The instrument left phase `before` for `book.phase`."""
        return ()

    def indicated(self, book: Book, before: int, now: int) -> Sequence[Finding]:
        """The indicative price of a call phase went from `before` to `book.indicative_px`; 0: none."""
        return ()

    def bucket_closed(self, book: Book, now: int) -> Sequence[Finding]:
        """BUCKET_NS of log time are over; `book.windows` have been brought up to date."""
        return ()

    def forgotten(self, order: TrackedOrder) -> None:
        """The tracker had to forget the order: it can no longer be evidence."""


MakeDetector = Callable[[OrderTracker, Market], Detector]


def wants(detector: Detector, event: str) -> bool:
    """Whether the detector overrides an event."""
    return getattr(type(detector), event) is not getattr(Detector, event)


def prefixed(detector: Rule) -> dict[str, Rows]:
    """A detector's arrays under names that no other uses."""
    return {f"{detector.name}.{name}": array for name, array in detector.snapshot().items()}


def own_arrays(detector: Rule, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays of a detector in a snapshot of the whole watch, by their own names."""
    prefix = f"{detector.name}."
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def hash_of(arrays: Arrays) -> bytes:
    """16 bytes, equal for equal states as a watch's snapshot has them."""
    digest = hashlib.blake2b(digest_size=16)
    for name, array in sorted(arrays.items()):
        digest.update(f"{name}:{len(array)}:".encode())
        digest.update(array.tobytes())
    return digest.digest()


def settings_of(detector: Rule) -> tuple[Any, ...]:
    """Name, version and every parameter: what the configuration digest is made of."""
    parameters = detector.parameters
    values = () if parameters is None else tuple((field.name, getattr(parameters, field.name)) for field in fields(parameters))
    return (detector.name, detector.version, *values)


def order_evidence(role: str, order: TrackedOrder) -> Evidence:
    """An order as it is now, at the place of the row that brought it."""
    return Evidence(
        role, order.order_id, order.side, order.price, order.order_qty, order.traded_qty, order.placed_at, order.ended_at, order.account,
        0, order.seq, order.offset,
    )  # fmt: skip


def trade_evidence(role: str, trade: Trade, *, maker: bool = False) -> Evidence:
    """One party's view of a trade; price, traded_qty and both times are the trade's."""
    order_id, account, side = trade.party(maker=maker)
    return Evidence(
        role,
        order_id,
        side,
        trade.price,
        trade.qty,
        trade.qty,
        trade.time,
        trade.time,
        account,
        trade.trd_match_id,
        trade.seq,
        trade.offset,
    )
