"""`outcry search`: find account events in Elasticsearch: whose, of what, when, at which prices and sizes, why, and by ids."""

import asyncio
import csv
import io
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import click

from schemas.enums import AccountEventKind, Side
from schemas.instruments import Instrument, load_instruments
from schemas.reject_reasons import Reason
from schemas.settings import Settings
from schemas.units import NotAMultiple, OutOfRange
from sinks.elastic.client import open_elasticsearch
from sinks.elastic.search import PAGE_MAX, SORTS, Wanted, search
from streams.__main__ import settings_of

COLUMNS: Final = (
    "transact_time", "account", "kind", "symbol", "side", "price", "size", "reason", "order_id", "cl_ord_id", "trd_match_id", "partition", "seq",
)  # fmt: skip
_RANGE: Final = re.compile(r"(\d{1,15}(?:\.\d{1,10})?)?\.\.(\d{1,15}(?:\.\d{1,10})?)?", re.ASCII)
_KINDS: Final = click.Choice([one.name for one in AccountEventKind], case_sensitive=False)
_REASONS: Final = click.Choice([one.name for one in Reason if one], case_sensitive=False)


class Moment(click.ParamType):
    """A date or an ISO 8601 time; UTC where it names no zone. Becomes ns since 1970."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Exact to the microsecond."""
        if isinstance(value, int):
            return value
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a time such as 2026-11-27 or 2026-11-27T14:30:00Z", param, ctx)
        since = (found if found.tzinfo else found.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
        return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000


class Span(click.ParamType):
    """LOW..HIGH, either of which may be missing. Becomes two decimals or None."""

    name = "low..high"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Decimal | None, Decimal | None]:
        """Exact."""
        if isinstance(value, tuple):
            return value
        found = _RANGE.fullmatch(value)
        if found is None or not any(found.groups()):
            self.fail(f"{value!r} is not a range such as 180.00..181.50, 180.. or ..181.50", param, ctx)
        low, high = (Decimal(text) if text else None for text in found.groups())
        if low is not None and high is not None and low > high:
            self.fail(f"{value!r} ends below its beginning", param, ctx)
        return low, high


@click.command("search")
@click.option("--account", type=click.IntRange(1, (1 << 63) - 1), help="Of this account.")
@click.option("--symbol", "symbols", multiple=True, help="Of this symbol; may be repeated.")
@click.option("--kind", "kinds", multiple=True, type=_KINDS, help="Such as TRADE or CANCELED; may be repeated.")
@click.option("--side", type=click.Choice([one.name for one in Side], case_sensitive=False), help="Of the order.")
@click.option("--reason", type=_REASONS, help="Why it was refused or ended.")
@click.option("--from", "since", type=Moment(), help="At or after this time.")
@click.option("--to", "until", type=Moment(), help="Before this time.")
@click.option("--price", type=Span(), help="In the currency, both ends included; needs one --symbol.")
@click.option("--size", type=Span(), help="In shares, both ends included; needs one --symbol.")
@click.option("--text", default="", help="An id of the exchange's, or the beginning of a client's own.")
@click.option("--sort", type=click.Choice([*SORTS]), default="time", show_default=True, help="By what.")
@click.option("--ascending", is_flag=True, help="The least first, rather than the greatest.")
@click.option("--limit", type=click.IntRange(1, 10_000_000), default=100, show_default=True, help="At most so many.")
@click.option("--format", "form", type=click.Choice(["csv", "ndjson"]), default="csv", show_default=True, help="How they are written.")
@click.pass_context
def search_command(ctx: click.Context, /, limit: int, form: str, **asked: Any) -> None:
    """Find events of accounts: one line for each, of a trade one for either side.

    Price and size are those of the fill where the event is one, else those of the order. Pages are read one behind the other, so any number can
    be exported.

    \b
    Examples:
      outcry search --account 12 --kind TRADE
      outcry search --symbol AAPL --kind TRADE --price 180.00..180.50 --size 100.. --from 2026-11-27T14:30:00Z
      outcry search --reason INSUFFICIENT_BUYING_POWER --limit 1000000 --format ndjson > refused.ndjson
      outcry search --text client-order-7
    """
    settings = settings_of(ctx)
    wanted = wanted_of(settings, **asked)
    asyncio.run(_write(settings, wanted, limit, form))


def wanted_of(settings: Settings, symbols: tuple[str, ...], **asked: Any) -> Wanted:
    """In ticks and lots. Raises click.BadParameter that names the option."""
    known = load_instruments(settings.instruments_file).by_symbol
    for symbol in symbols:
        if symbol not in known:
            raise click.BadParameter(f"{symbol!r} is not a symbol of this exchange", param_hint="--symbol")
    price, size = asked.pop("price"), asked.pop("size")
    if (price or size) and len(symbols) != 1:
        raise click.BadParameter("needs one --symbol: a tick is not the same of all", param_hint="--price" if price else "--size")
    one = known[symbols[0]] if symbols else None
    return Wanted(
        asked["account"], tuple(asked["kinds"]), symbols, asked["side"] or "", asked["reason"] or "", asked["since"], asked["until"],
        _bounds(one, price, "--price"), _bounds(one, size, "--size"), asked["text"], asked["sort"], asked["ascending"],
    )  # fmt: skip


def _bounds(one: Instrument | None, span: tuple[Decimal | None, Decimal | None] | None, option: str) -> tuple[int | None, int | None]:
    if span is None or one is None:
        return None, None
    exact = one.price_to_ticks if option == "--price" else one.qty_to_lots
    try:
        low, high = (None if value is None else exact(value) for value in span)
    except (NotAMultiple, OutOfRange) as error:
        raise click.BadParameter(f"{error} ({one.symbol})", param_hint=option) from None
    return low, high


async def _write(settings: Settings, wanted: Wanted, limit: int, form: str) -> None:
    instruments = load_instruments(settings.instruments_file).by_number
    head = [",".join(COLUMNS)] if form == "csv" else []  # once there is an answer: a file with nothing but a head would look like one
    async for document in found(settings, wanted, limit):
        row = row_of(document, instruments.get(document["instrument"]))
        _say(head)
        click.echo(json.dumps(row) if form == "ndjson" else _csv([row[name] for name in COLUMNS]))
    _say(head)


def _say(head: list[str]) -> None:
    """The first line of a file, once."""
    while head:
        click.echo(head.pop())


async def found(settings: Settings, wanted: Wanted, limit: int) -> AsyncIterator[dict[str, Any]]:
    """Documents, page after page. Raises ServiceUnavailable."""
    client, place, left = open_elasticsearch(settings.elasticsearch_url), None, limit
    try:
        while left:
            page = await search(client, wanted, min(left, PAGE_MAX), place)
            for document in page.documents:
                yield document
            place, left = page.place, left - len(page.documents)
            if place is None:
                return
    finally:
        await client.close()


def row_of(document: dict[str, Any], one: Instrument | None) -> dict[str, Any]:
    """A document as people read it: prices and sizes as decimal text; ids as text, as they may be beyond what readers of JSON take as a number."""
    ticks, lots = document.get("last_px", document.get("price", 0)), document.get("last_qty", document.get("order_qty", 0))
    row = {name: document.get(name, "") for name in COLUMNS}
    for name in ("order_id", "trd_match_id"):
        row[name] = str(row[name] or "")
    row["price"] = one.price_text(ticks) if one is not None and ticks else ""
    row["size"] = one.qty_text(lots) if one is not None and lots else ""
    return row


def _csv(values: list[Any]) -> str:
    """One line. A text that a spreadsheet would take for a formula has an apostrophe before it: ids are the clients' own."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(
        ["'" + one if isinstance(one, str) and one[:1] in {"=", "+", "-", "@"} else one for one in values]
    )
    return line.getvalue()
