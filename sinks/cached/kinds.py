"""Which reads of MySQL are kept, how their answers become JSON, and what the place of an answer is.

Of an account, a place is (shard, seq): everything up to event `seq` of the account's shard is in the answer. What is public has (trade, bust): every
trade of the instrument up to this trd_match_id, every bust up to this time. The place is read before the rows, on the same connection, so the rows
may be newer than it says and never older.
"""

import hashlib
import inspect
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, fields
from functools import wraps
from operator import attrgetter
from typing import Any, Concatenate, Final, NamedTuple, ParamSpec, TypeVar

import orjson

from sinks.mysql import account_history, market_history, queries
from sinks.mysql.account_history import Activity, Flow
from sinks.mysql.market_history import BarPage, PastTrade, StoredBar
from sinks.mysql.places import Place
from sinks.mysql.pool import MySql, Reader
from sinks.mysql.queries import StoredOrder
from sinks.mysql.rows import MINUTE_NS
from sinks.mysql.schema import SCHEMA_VERSION

P = ParamSpec("P")
T = TypeVar("T")
SECOND_NS: Final = 1_000_000_000
UNTIL_NOW: Final = -1


class Head(NamedTuple):
    """How far the public history of an instrument is known: its newest trade (trd_match_id) and bust (its time, ns); 0 for none."""

    trade: int
    bust: int


Seen = Place | Head
"""What whoever asks has been told."""


def uncached(query: Callable[Concatenate[Reader, P], Awaitable[T]]) -> Callable[Concatenate[Reader, P], Awaitable[T]]:
    """The same query, and never from the cache: for who goes on counting where it ends, and cannot take one that is a second late."""

    @wraps(query)
    def asked(db: Reader, /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        return query(db, *args, **kwargs)

    return asked


class Answer(NamedTuple):
    """What a query found, and the place that it was read at."""

    value: Any
    place: tuple[int, int]


@dataclass(frozen=True)
class Kind:
    """One query. `pack` makes JSON of its answer, `unpack` the answer of that and raises ValueError or TypeError for anything else."""

    name: str
    query: Callable[..., Awaitable[Any]]
    pack: Callable[[Any], Any]
    unpack: Callable[[Any], Any]
    end: str = ""
    """Of what is public, the argument that says where the answer ends; "": of an account."""
    asked: Callable[[dict[str, Any]], dict[str, Any] | None] = lambda arguments: arguments
    """The arguments by which two questions with one answer are the same; None: not worth keeping."""

    @property
    def of_account(self) -> bool:
        """Whether the place is that of an account."""
        return not self.end

    def arguments(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """By name, without the Reader."""
        bound = _SIGNATURES[self.query].bind(None, *args, **kwargs)
        bound.apply_defaults()
        return dict(list(bound.arguments.items())[1:])

    def question(self, arguments: dict[str, Any]) -> bytes | None:
        """The arguments as bytes."""
        asked = self.asked(arguments)
        return None if asked is None else orjson.dumps(list(asked.values()))

    def instrument(self, arguments: Mapping[str, Any]) -> int:
        """Of what is public."""
        return int(arguments["instrument"] if "instrument" in arguments else arguments["instruments"][0])

    async def read(self, db: Reader, seen: Seen, arguments: dict[str, Any]) -> Answer:
        """The answer and its place, all on one connection."""
        if isinstance(db, MySql):
            async with db.transaction() as transaction:
                return await self._read(transaction, seen, arguments)
        return await self._read(db, seen, arguments)

    async def _read(self, db: Reader, seen: Seen, arguments: dict[str, Any]) -> Answer:
        place = await (_account_place(db, seen) if isinstance(seen, Place) else _public_place(db, self.instrument(arguments)))
        return Answer(await self.query(db, **arguments), place)


def covers(place: tuple[int, int], seen: Seen) -> bool:
    """Whether an answer that was read at the place has everything that was seen."""
    if isinstance(seen, Place):
        return place[0] == seen.shard and place[1] >= seen.seq
    return place[0] >= seen.trade and place[1] >= seen.bust


async def _account_place(db: Reader, seen: Place) -> tuple[int, int]:
    rows = await db.fetch(
        "SELECT last_seq FROM sink_marks WHERE sink = 'mysql' AND topic = 'account.events' AND part = %s AND source = ''", (seen.shard,)
    )
    return seen.shard, int(rows[0][0]) if rows else -1


async def _public_place(db: Reader, instrument: int) -> tuple[int, int]:
    # busts are decided by people: few rows, so no index
    ((trade, bust),) = await db.fetch(
        "SELECT COALESCE((SELECT last_trade FROM bars WHERE instrument = %s ORDER BY started_at DESC LIMIT 1), 0), "
        "COALESCE((SELECT MAX(transact_time) FROM trade_busts WHERE instrument = %s), 0)",
        (instrument, instrument),
    )
    return int(trade), int(bust)


# -- rows as lists of their values


def _rows(row: type[Any]) -> tuple[Callable[[list[Any]], Any], Callable[[Any], list[Any]]]:
    values = attrgetter(*(one.name for one in fields(row)))
    count = len(fields(row))

    def unpack(packed: Any) -> list[Any]:
        if not isinstance(packed, list) or any(len(one) != count for one in packed):
            raise ValueError(f"these are not rows of {count} values")
        return [row(*one) for one in packed]

    return lambda rows: [values(one) for one in rows], unpack


def _maybe(row: type[Any]) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    pack, unpack = _rows(row)
    return lambda one: pack([] if one is None else [one]), lambda packed: next(iter(unpack(packed)), None)


_pack_bars, _unpack_bars = _rows(StoredBar)


def _unpack_page(packed: Any) -> BarPage:
    bars, next_at = packed
    return BarPage(_unpack_bars(bars), next_at)


def _kind(
    query: Callable[..., Awaitable[Any]], packs: tuple[Callable[[Any], Any], Callable[[Any], Any]], shape: object, **more: Any
) -> Kind:
    """Named by its query and by a digest of what its answers look like."""
    columns = [one.name for one in fields(shape)] if isinstance(shape, type) and hasattr(shape, "__dataclass_fields__") else str(shape)
    digest = hashlib.blake2b(repr((SCHEMA_VERSION, columns)).encode(), digest_size=4).hexdigest()
    return Kind(f"{query.__name__}-{digest}", query, *packs, **more)


_AS_IT_IS = (lambda value: value, lambda value: value)


# -- questions with the same answer


def _bars_asked(arguments: dict[str, Any]) -> dict[str, Any]:
    """Bars begin on minutes, so an end within one is as good as its own end. One within this minute means "until now", whenever it is asked."""
    start, width, end = arguments["start"], arguments["width_ns"], _minute_after(arguments["end"])
    return arguments | {"start": start - start % width, "end": UNTIL_NOW if end == _minute_after(time.time_ns()) else end}


def _minute_after(at_ns: int) -> int:
    return at_ns + -at_ns % MINUTE_NS


def _whole_seconds(arguments: dict[str, Any]) -> dict[str, Any] | None:
    """A window that begins or ends at any nanosecond is that of a clock, and nobody else asks for it. An end that is asked for is included: 1 ns."""
    return None if arguments["start"] % SECOND_NS or arguments["end"] % SECOND_NS > 1 else arguments


def _of_one(arguments: dict[str, Any]) -> dict[str, Any] | None:
    return arguments if len(arguments["instruments"]) == 1 else None


_ALL: Final = (
    _kind(queries.orders_of_account, _rows(StoredOrder), StoredOrder),
    _kind(queries.order_by_id, _maybe(StoredOrder), StoredOrder),
    _kind(queries.order_by_cl_ord_id, _maybe(StoredOrder), StoredOrder),
    _kind(account_history.activities, _rows(Activity), Activity),
    _kind(account_history.flows, _rows(Flow), Flow),
    _kind(account_history.time_of, _AS_IT_IS, "a time or none"),
    _kind(market_history.bars, (lambda page: [_pack_bars(page.bars), page.next_at], _unpack_page), StoredBar, end="end", asked=_bars_asked),
    _kind(
        market_history.closes_before,
        (lambda closes: list(closes.items()), lambda packed: {int(one): int(price) for one, price in packed}),
        "instrument, price",
        end="at",
        asked=_of_one,
    ),
    _kind(
        market_history.closes,
        (lambda closes: closes, lambda packed: [(int(span), int(price)) for span, price in packed]),
        "span, price",
        end="end",
    ),
    _kind(market_history.trades, _rows(PastTrade), PastTrade, end="end", asked=_whole_seconds),
)
_SIGNATURES: Final = {kind.query: inspect.signature(kind.query) for kind in _ALL}
KINDS: Final[dict[Callable[..., Awaitable[Any]], Kind]] = {kind.query: kind for kind in _ALL}
"""By their query. Auctions are not among them: what they came to depends on phases too, which have no place."""
