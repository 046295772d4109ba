"""`outcry search`: find account events in Elasticsearch: whose, of what, when, at which prices and sizes, why, and by ids."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import click

from schemas.instruments import load_instruments
from schemas.settings import Settings
from sinks.elastic.client import open_elasticsearch
from sinks.elastic.search import search
from sinks.elastic.search_words import (
    ACCOUNT_MAX,
    COLUMNS,
    KINDS,
    PAGE_MAX,
    REASONS,
    SIDES,
    SORTS,
    BadWord,
    Wanted,
    csv_line,
    moment,
    row_of,
    span,
    wanted_of,
)
from streams.__main__ import settings_of

_KINDS: Final = click.Choice(KINDS, case_sensitive=False)
_REASONS: Final = click.Choice(REASONS, case_sensitive=False)


class Worded(click.ParamType):
    """A text that one of sinks.elastic.search_words reads."""

    def __init__(self, name: str, read: Callable[[str], Any]) -> None:
        self.name, self._read = name, read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """What it says."""
        if not isinstance(value, str):
            return value
        try:
            return self._read(value)
        except BadWord as error:
            self.fail(error.text, param, ctx)


_MOMENT: Final = Worded("time", moment)
_SPAN: Final = Worded("low..high", span)


@click.command("search")
@click.option("--account", type=click.IntRange(1, ACCOUNT_MAX), help="Of this account.")
@click.option("--symbol", "symbols", multiple=True, help="Of this symbol; may be repeated.")
@click.option("--kind", "kinds", multiple=True, type=_KINDS, help="Such as TRADE or CANCELED; may be repeated.")
@click.option("--side", type=click.Choice(SIDES, case_sensitive=False), help="Of the order.")
@click.option("--reason", type=_REASONS, help="Why it was refused or ended.")
@click.option("--from", "from_ns", type=_MOMENT, help="At or after this time.")
@click.option("--to", "to_ns", type=_MOMENT, help="Before this time.")
@click.option("--price", type=_SPAN, help="In the currency, both ends included; needs one --symbol.")
@click.option("--size", type=_SPAN, help="In shares, both ends included; needs one --symbol.")
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
    wanted = _wanted_of(settings, {name: "" if value is None and name in {"side", "reason"} else value for name, value in asked.items()})
    asyncio.run(_write(settings, wanted, limit, form))


def _wanted_of(settings: Settings, asked: dict[str, Any]) -> Wanted:
    """In ticks and lots. Raises click.BadParameter that names the option."""
    try:
        return wanted_of(load_instruments(settings.instruments_file), **asked)
    except BadWord as error:
        raise click.BadParameter(error.text.replace("one symbol:", "one --symbol:"), param_hint=f"--{error.name}") from None


async def _write(settings: Settings, wanted: Wanted, limit: int, form: str) -> None:
    instruments = load_instruments(settings.instruments_file)
    head = [",".join(COLUMNS)] if form == "csv" else []  # once there is an answer: a file with nothing but a head would look like one
    async for document in found(settings, wanted, limit):
        row = row_of(document, instruments)
        _say(head)
        click.echo(json.dumps(row) if form == "ndjson" else csv_line(row))
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
