"""News that operators have published: its rows, from the records `news` of party.facts, and reads of it. Times ns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sinks.mysql.pool import Reader

HEADLINE_MAX: Final = 500
"""Characters of the column; `outcry news publish` takes no more, and what somebody else has written is cut, so that no record stops the sink."""
INSERT_NEWS: Final = "INSERT INTO news (log_offset, told_at, public_at, instrument, headline) VALUES (%s, %s, %s, %s, %s) ON DUPLICATE KEY UPDATE log_offset = news.log_offset"


@dataclass(frozen=True, slots=True)
class Article:
    """One act of publishing. `number`: offset of its first record. `instruments`: their numbers, in the order in which they were named."""

    number: int
    told_at: int
    public_at: int
    headline: str
    instruments: tuple[int, ...]


def news_values(offset: int, record: dict[str, Any]) -> tuple[Any, ...]:
    """The values of INSERT_NEWS. Nothing is public before 1970, nor after it was told."""
    told_at = max(0, record["created_at"])
    public_at = min(max(0, record["at"]), told_at)
    return offset, told_at, public_at, record["instrument"], record["headline"][:HEADLINE_MAX]


async def articles(
    db: Reader, start: int, end: int, limit: int, *, ascending: bool, instruments: Sequence[int] = (), behind: int | None = None
) -> list[Article]:
    """News told in start <= t < end about one of the instruments (none: about any), `limit` times at the most; `behind`: only what comes after that time.

    An article is whole, whichever of its instruments was asked for. Articles that were told in one ns come together, so there may be more of them.
    """
    low, high = start, end
    if behind is not None:
        low, high = (max(low, behind + 1), high) if ascending else (low, min(high, behind))
    chosen = f"AND instrument IN ({', '.join(['%s'] * len(instruments))}) " if instruments else ""
    times = await db.fetch(
        f"SELECT DISTINCT told_at FROM news WHERE told_at >= %s AND told_at < %s {chosen}ORDER BY told_at {'ASC' if ascending else 'DESC'} LIMIT %s",  # noqa: S608
        (low, high, *instruments, limit),
    )
    if not times:
        return []
    told = [at for (at,) in times]
    rows = await db.fetch(
        f"SELECT log_offset, told_at, public_at, instrument, headline FROM news WHERE told_at IN ({', '.join(['%s'] * len(told))}) ORDER BY log_offset",  # noqa: S608
        told,
    )
    wanted = frozenset(instruments)
    found = [one for one in _grouped(rows) if not wanted or wanted & set(one.instruments)]
    return sorted(found, key=lambda one: (one.told_at, one.number), reverse=not ascending)


def _grouped(rows: Sequence[tuple[Any, ...]]) -> list[Article]:
    """Rows in the order of the log; an instrument that is named again, in a copy of a record, counts once."""
    numbers: dict[tuple[int, int, str], int] = {}
    named: dict[tuple[int, int, str], dict[int, None]] = {}
    for offset, told_at, public_at, instrument, headline in rows:
        key = told_at, public_at, headline
        numbers.setdefault(key, offset)
        named.setdefault(key, {})[instrument] = None
    return [Article(numbers[key], *key, tuple(instruments)) for key, instruments in named.items()]
