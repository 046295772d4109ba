"""News of the past, as operators have published it, from the system of record."""

from collections.abc import Sequence
from dataclasses import dataclass

from edge.gateway.outcomes import Accepted, Unavailable
from edge.gateway.stored.history import Stores, recorded
from edge.gateway.stored.past_prices import Window
from schemas.instruments import Instrument, InstrumentTable
from sinks.mysql import news


@dataclass(frozen=True)
class News:
    """An article. Times ns: `told_at` when it was published here, `public_at` when it became public."""

    number: int
    told_at: int
    public_at: int
    headline: str
    instruments: tuple[Instrument, ...]


class PastNews:
    """Every instrument's."""

    def __init__(self, stores: Stores, instruments: InstrumentTable) -> None:
        self._stores, self._instruments = stores, instruments

    async def articles(
        self, instruments: Sequence[Instrument], window: Window, limit: int, behind: int | None
    ) -> Accepted[list[News]] | Unavailable:
        """News told in the window about one of the instruments (none: about any), behind a `told_at` if one is given; as sinks.mysql.news.articles.

        What is said of an instrument that is not traded here any more is left out.
        """
        numbers = [one.number for one in instruments]
        asked = self._stores.read(
            news.articles, None, window.start, window.end, limit, ascending=window.ascending, instruments=numbers, behind=behind
        )
        found = await recorded(asked, "news")
        if not isinstance(found, Accepted):
            return found
        known = self._instruments.by_number
        told = [
            News(
                one.number, one.told_at, one.public_at, one.headline, tuple(known[number] for number in one.instruments if number in known)
            )
            for one in found.value
        ]
        return Accepted(told)
