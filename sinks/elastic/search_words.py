"""The words of a search: texts as what is wanted, documents as rows that people read. The command and the edge have them from here. No I/O.

Nothing of Elasticsearch's client is imported: an edge asks only once somebody searches, and the client takes 38 MB.
"""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from schemas.enums import AccountEventKind, Side
from schemas.instruments import Instrument, InstrumentTable
from schemas.limits import CL_ORD_ID_MAX_BYTES
from schemas.reject_reasons import Reason
from schemas.units import NotAMultiple, OutOfRange

PAGE_MAX: Final = 500
SORTS: Final = {"time": "transact_time", "price": "price", "size": "last_qty"}
"""What can be sorted by, and the field of a document that it is."""
KINDS: Final = tuple(one.name for one in AccountEventKind)
SIDES: Final = tuple(one.name for one in Side)
REASONS: Final = tuple(one.name for one in Reason if one)
COLUMNS: Final = (
    "transact_time", "account", "kind", "symbol", "side", "price", "size", "reason", "order_id", "cl_ord_id", "trd_match_id", "partition", "seq",
)  # fmt: skip
ACCOUNT_MAX: Final = (1 << 63) - 1
_NS_MAX: Final = (1 << 63) - 1
_RANGE: Final = re.compile(r"(\d{1,15}(?:\.\d{1,10})?)?\.\.(\d{1,15}(?:\.\d{1,10})?)?", re.ASCII)
_ID: Final = re.compile(f"[ -~]{{0,{CL_ORD_ID_MAX_BYTES}}}", re.ASCII)

Span = tuple[Decimal | None, Decimal | None]
Bounds = tuple[int | None, int | None]


class BadWord(ValueError):
    """A parameter that cannot be taken: its name, and what is wrong with it."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name, self.text = name, text


@dataclass(frozen=True)
class Wanted:
    """Which events; None and empty say nothing. Times in ns, from inclusive, to exclusive; prices in ticks, sizes in lots, both inclusive."""

    account: int | None = None
    kinds: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    side: str = ""
    reason: str = ""
    from_ns: int | None = None
    to_ns: int | None = None
    price: Bounds = (None, None)
    size: Bounds = (None, None)
    text: str = ""
    """The beginning of a client's own id, or a whole number of the exchange's."""
    sort: str = "time"
    """One of SORTS."""
    ascending: bool = False


@dataclass(frozen=True)
class Found:
    """Documents, and behind which place the next page begins; None: there is none."""

    documents: list[dict[str, Any]]
    place: list[int | str] | None


def moment(text: str, name: str = "time") -> int:
    """Ns since 1970 of a date or an ISO 8601 time, exact to the microsecond; UTC where it names no zone. Raises BadWord."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BadWord(name, f"{text[:40]!r} is not a time such as 2026-11-27 or 2026-11-27T14:30:00Z") from None
    since = (found if found.tzinfo else found.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    ns = (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000
    if not 0 <= ns <= _NS_MAX:
        raise BadWord(name, f"{text[:40]!r} is not within 1970 and 2262")
    return ns


def span(text: str, name: str = "range") -> Span:
    """LOW..HIGH, either of which may be missing. Raises BadWord."""
    found = _RANGE.fullmatch(text)
    if found is None or not any(found.groups()):
        raise BadWord(name, f"{text[:40]!r} is not a range such as 180.00..181.50, 180.. or ..181.50")
    low, high = (Decimal(one) if one else None for one in found.groups())
    if low is not None and high is not None and low > high:
        raise BadWord(name, f"{text[:40]!r} ends below its beginning")
    return low, high


def one_of(text: str, name: str, known: Sequence[str]) -> str:
    """A word of a closed list, however it is written. Raises BadWord."""
    if text.isascii() and text.upper() in known:
        return text.upper()
    raise BadWord(name, f"{text[:40]!r} is not one of {', '.join(known)}")


def wanted_of(
    instruments: InstrumentTable,
    symbols: Sequence[str],
    price: Span | None,
    size: Span | None,
    text: str = "",
    **others: Any,
) -> Wanted:
    """In ticks and lots. others: further fields of Wanted. Raises BadWord that names the parameter."""
    for symbol in symbols:
        if symbol not in instruments.by_symbol:
            raise BadWord("symbol", f"{symbol[:40]!r} is not a symbol of this exchange")
    if (price or size) and len(symbols) != 1:
        raise BadWord("price" if price else "size", "needs one symbol: a tick is not the same of all")
    if _ID.fullmatch(text) is None:
        raise BadWord("text", f"must be at most {CL_ORD_ID_MAX_BYTES} characters that ids may have (ASCII, no control characters)")
    one = instruments.by_symbol[symbols[0]] if symbols else None
    return Wanted(symbols=tuple(symbols), price=_bounds(one, "price", price), size=_bounds(one, "size", size), text=text, **others)


def _bounds(one: Instrument | None, name: str, asked: Span | None) -> Bounds:
    if asked is None or one is None:
        return None, None
    exact = one.price_to_ticks if name == "price" else one.qty_to_lots
    try:
        low, high = (None if value is None else exact(value) for value in asked)
    except (NotAMultiple, OutOfRange) as error:
        raise BadWord(name, f"{error} ({one.symbol})") from None
    return low, high


def row_of(document: dict[str, Any], instruments: InstrumentTable) -> dict[str, Any]:
    """A document as people read it: prices and sizes as decimal text; ids as text, as they may be beyond what readers of JSON take as a number."""
    one = instruments.by_number.get(document["instrument"])
    ticks, lots = document.get("last_px", document.get("price", 0)), document.get("last_qty", document.get("order_qty", 0))
    row = {name: document.get(name, "") for name in COLUMNS}
    for name in ("order_id", "trd_match_id"):
        row[name] = str(row[name] or "")
    row["price"] = one.price_text(ticks) if one is not None and ticks else ""
    row["size"] = one.qty_text(lots) if one is not None and lots else ""
    return row


def csv_line(row: dict[str, Any]) -> str:
    """One line, without its end. A text that a spreadsheet would take for a formula has an apostrophe before it: ids are the clients' own."""
    line = io.StringIO()
    values = [row[name] for name in COLUMNS]
    csv.writer(line, lineterminator="").writerow(
        ["'" + one if isinstance(one, str) and one[:1] in {"=", "+", "-", "@"} else one for one in values]
    )
    return line.getvalue()
