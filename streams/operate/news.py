"""`outcry news`: tell surveillance what has become public about an issuer. It asks who traded ahead of it."""

import time
from datetime import datetime
from typing import Final

import click

from schemas.codec import encode_record
from schemas.instruments import load_instruments
from streams.__main__ import settings_of
from streams.host.access_record import record_command
from streams.host.operators_records import append_records
from surveillance.accounts.facts import HEADLINE_MAX
from topics.catalogue import PARTY_FACTS
from topics.own_log import require_own_log
from topics.speakers import OPERATOR

OLD_NS_MAX: Final = 3_600_000_000_000
"""An hour: surveillance knows the last two hours half minute by half minute, and looks back half an hour from the news."""


@click.group()
def news() -> None:
    """News about issuers, for surveillance."""


@news.command()
@click.argument("symbols", nargs=-1, required=True, metavar="SYMBOL...")
@click.option("--headline", required=True, help=f"One line, at most {HEADLINE_MAX} characters; analysts read it in an alert.")
@click.option(
    "--at", "at", metavar="TIME", help="When it became public, such as 2026-03-02T09:30:00-05:00 (default: now; at most an hour ago)."
)
@click.pass_context
def publish(ctx: click.Context, symbols: tuple[str, ...], headline: str, at: str | None) -> None:
    """Say that news about the issuers of these instruments is public.

    Surveillance then looks for who built up a position just before it (AHEAD_OF_NEWS). News that is not public yet is refused: whoever reads the log would
    know it. It is recorded who told it.

    \b
    Examples:
      outcry news publish AAPL --headline "Results are not what was expected"
      outcry news publish AAPL MSFT --headline "A merger" --at 2026-03-02T09:30:00-05:00
    """
    settings, now_ns = settings_of(ctx), time.time_ns()
    text, at_ns = headline_of(headline), now_ns if at is None else public_at(at, now_ns)
    known = load_instruments(settings.instruments_file).by_symbol
    strange = [symbol for symbol in symbols if symbol not in known]
    if strange:
        raise click.BadParameter(f"{strange[0]!r} is not traded here", param_hint="SYMBOL")
    record_command(ctx)
    require_own_log(settings, "outcry news")
    records = [
        encode_record("news", {"source": OPERATOR, "created_at": now_ns, "at": at_ns, "instrument": known[symbol].number, "headline": text})
        for symbol in dict.fromkeys(symbols)
    ]
    append_records(settings, PARTY_FACTS, records, "not all of it was told")
    click.echo(f"told: {', '.join(dict.fromkeys(symbols))}: {text}")


def headline_of(text: str) -> str:
    """One line of visible text. Raises click.BadParameter."""
    line = " ".join(text.split())
    if not line or len(line) > HEADLINE_MAX or not line.isprintable():
        raise click.BadParameter(
            f"must be one line of 1 to {HEADLINE_MAX} printable characters, not {text[:80]!r}", param_hint="--headline"
        )
    return line


def public_at(text: str, now_ns: int) -> int:
    """Ns since 1970. Raises click.BadParameter for what is no time, is to come, or is longer ago than OLD_NS_MAX."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a time: use 2026-03-02T09:30:00-05:00", param_hint="--at") from None
    if moment.tzinfo is None:
        raise click.BadParameter(f"{text!r} has no offset: use 2026-03-02T09:30:00-05:00", param_hint="--at")
    at_ns = int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1_000
    if at_ns > now_ns:
        raise click.BadParameter(f"{text} is to come: tell news when it is public", param_hint="--at")
    if at_ns < now_ns - OLD_NS_MAX:
        raise click.BadParameter(
            f"{text} is more than an hour ago: who traded before it is not known one by one any more", param_hint="--at"
        )
    return at_ns
