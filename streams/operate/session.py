"""`outcry session`: phases, halts, reference data of the day, mass cancels.

There is no command to bust a trade yet.
"""

import re
import time
from collections.abc import Callable, Sequence
from datetime import date, datetime
from datetime import time as time_of_day
from decimal import Decimal
from itertools import islice
from typing import Any, Final

import click

from schemas.enums import BookCommandKind, Phase, Side
from schemas.errors import OutcryError
from schemas.instruments import InstrumentTable, load_instruments
from schemas.market_hours import CLOSE, NEW_YORK, MarketCalendar, MarketClock, moment, steps_of
from schemas.reject_reasons import Reason
from schemas.settings import Settings
from schemas.units import NotAMultiple, NotANumber, OutOfRange, to_decimal
from streams.__main__ import settings_of
from streams.host.access_record import record_command
from streams.operate.command_books import PhaseAnswer, mass_cancel_answer, phase_answers, send

_CLOCK: Final = re.compile(r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?", re.ASCII)
_REASONS: Final = {"regulatory": Reason.REGULATORY_HALT, "market-wide": Reason.MARKET_WIDE_HALT}
_SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL}
_RESUME_TO: Final = {
    "volatility-auction": Phase.VOLATILITY_AUCTION, "continuous": Phase.CONTINUOUS, "pre-open": Phase.PRE_OPEN,
    "opening-auction": Phase.OPENING_AUCTION, "closing-auction": Phase.CLOSING_AUCTION,
}  # fmt: skip


def end_time_ns(text: str, now_ns: int) -> int:
    """HH:MM[:SS] New York time today, or ISO 8601 with an offset, in ns. Raises click.BadParameter for anything else, and for the past."""
    try:
        if _CLOCK.fullmatch(text):
            today = datetime.fromtimestamp(now_ns // 1_000_000_000, NEW_YORK).date()
            moment = datetime.combine(today, time_of_day.fromisoformat(text), NEW_YORK)
        else:
            moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a time: use 09:30, 09:30:00 (New York, today) or 2026-03-02T09:30:00-05:00") from None
    if moment.tzinfo is None:
        raise click.BadParameter(f"{text!r} has no offset: use 2026-03-02T09:30:00-05:00, or 09:30 for New York today")
    end_ns = int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1_000
    if end_ns <= now_ns:
        raise click.BadParameter(f"{text} is not in the future")
    return end_ns


class _EndTime(click.ParamType):
    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        return value if isinstance(value, int) else end_time_ns(value, time.time_ns())


Decorator = Callable[[Callable[..., None]], Callable[..., None]]
_symbol: Decorator = click.option("--symbol", metavar="SYMBOL", help="This instrument only.")
_every: Decorator = click.option("--all", "every", is_flag=True, help="Every instrument.")
_UNTIL_HELP: Final = "The phase ends by itself then: 09:30 or 09:30:00 (New York, today), or ISO 8601 with an offset."


def instrument_number(table: InstrumentTable, symbol: str | None) -> int:
    """Number of the instrument; 0 for None. Raises click.BadParameter."""
    if symbol is None:
        return 0
    found = table.by_symbol.get(symbol)
    if found is None:
        raise click.BadParameter(f"{symbol!r} is not traded here", param_hint="--symbol")
    return found.number


def _one_or_every(symbol: str | None, every: bool) -> None:
    if (symbol is None) != every:
        raise click.UsageError("name an instrument with --symbol, or use --all")


@click.group()
def session() -> None:
    """The trading session: phases, halts, reference data of the day, mass cancels.

    The role run-market commands the phases of each day by itself. A phase that is commanded here stands until it commands the next one, and a
    halt until the market is closed.

    \b
    A day with auctions:
      outcry session pre-open --until 09:28
      outcry session opening-auction --until 09:30
      outcry session closing-auction --until 16:00
      outcry session close
    """


# ---- phases

_PHASES: Final = {
    "pre-open": (Phase.PRE_OPEN, True, "Collect orders before the opening; at --until the opening auction begins."),
    "opening-auction": (Phase.OPENING_AUCTION, True, "Collect orders for the opening; at --until they trade at one price, then continuously."),
    "open": (Phase.CONTINUOUS, False, "Begin continuous trading; an auction in progress is executed first."),
    "closing-auction": (Phase.CLOSING_AUCTION, True, "Collect orders for the close; at --until they trade at one price."),
    "post-close": (Phase.POST_CLOSE, False, "End trading for today; a closing auction in progress is executed first."),
    "close": (Phase.CLOSED, False, "End the trading day: DAY orders expire, GTC orders stay; only a closing auction is executed first."),
}  # fmt: skip


def _phase_command(name: str, phase: Phase, takes_end: bool, sentence: str) -> click.Command:
    end = " --until 09:30" if takes_end else ""
    text = (
        f"{sentence}\n\nReturns when every book has confirmed it. An auction whose price is outside the collar is extended instead, once."
        f"\n\n\b\nExamples:\n  outcry session {name}{end}\n  outcry session {name} --symbol AAPL"
    )

    def run(ctx: click.Context, symbol: str | None, until: int = 0) -> None:
        settings = settings_of(ctx)
        table = load_instruments(settings.instruments_file)
        number = instrument_number(table, symbol)
        _change(settings, table, BookCommandKind.TRADING_SESSION_CHANGE, number, phase=phase, expire_time=until)

    decorated = _symbol(click.pass_context(run))
    if takes_end:
        decorated = click.option("--until", type=_EndTime(), default=0, help=_UNTIL_HELP)(decorated)
    return click.command(name, help=text, short_help=sentence)(decorated)


for _name, (_phase, _takes_end, _sentence) in _PHASES.items():
    session.add_command(_phase_command(_name, _phase, _takes_end, _sentence))


@session.command("calendar")
@click.option("--from", "first", metavar="DAY", help="First day, such as 2026-11-27 (default: today).")
@click.option("--days", type=click.IntRange(1, 366), default=10, show_default=True, help="How many trading days.")
@click.pass_context
def calendar(ctx: click.Context, first: str | None, days: int) -> None:
    """Show the coming trading days and when each phase begins, New York time. The role run-market commands them.

    \b
    Examples:
      outcry session calendar
      outcry session calendar --from 2026-11-25 --days 5
    """
    settings = settings_of(ctx)
    known = MarketCalendar.load(settings.market_days_file)
    try:
        start = date.fromisoformat(first) if first else moment(MarketClock.parse(settings.market_clock).to_market(time.time_ns())).date()
    except ValueError:
        raise click.BadParameter(f"{first!r} is not a day such as 2026-11-27", param_hint="--from") from None
    found = list(islice(known.days(start, known.last), days))
    if not found:
        raise OutcryError(f"the market calendar ends on {known.last}: name more days in OUTCRY_MARKET_DAYS_FILE")
    click.echo(f"{'day':<15}{''.join(f'{step.phase.name.lower():<17}' for step in steps_of(found[0]))}".rstrip())
    for one in found:
        times = "".join(f"{moment(step.at_ns):%H:%M}{'':<12}" for step in steps_of(one))
        click.echo(f"{one.day:%a %Y-%m-%d} {times}{'half day' if one.closes != CLOSE else ''}".rstrip())


@session.command("halt")
@_symbol
@_every
@click.option("--reason", type=click.Choice(list(_REASONS)), required=True, help="The published reason.")
@click.option("--cancel-only", is_flag=True, help="`resume` then leads straight to continuous trading, without an auction.")
@click.pass_context
def halt(ctx: click.Context, symbol: str | None, every: bool, reason: str, cancel_only: bool) -> None:
    """Stop trading at once. Orders stay; only cancels, and replaces that reduce, are accepted.

    \b
    Examples:
      outcry session halt --symbol AAPL --reason regulatory
      outcry session halt --all --reason market-wide
    """
    _one_or_every(symbol, every)
    settings = settings_of(ctx)
    table = load_instruments(settings.instruments_file)
    phase = Phase.CANCEL_ONLY if cancel_only else Phase.HALTED
    _change(
        settings, table, BookCommandKind.TRADING_HALT, instrument_number(table, symbol), every=every, phase=phase, reason=_REASONS[reason]
    )


@session.command("resume")
@_symbol
@_every
@click.option(
    "--to", "to", type=click.Choice(list(_RESUME_TO)), help="Default: an auction after a halt, continuous trading after --cancel-only."
)
@click.option("--until", type=_EndTime(), default=0, help=_UNTIL_HELP)
@click.pass_context
def resume(ctx: click.Context, symbol: str | None, every: bool, to: str | None, until: int) -> None:
    """Trade again after a halt: collect orders, then trade at one price, then continuously.

    \b
    Examples:
      outcry session resume --symbol AAPL --until 10:05
      outcry session resume --all --to continuous
    """
    _one_or_every(symbol, every)
    settings = settings_of(ctx)
    table = load_instruments(settings.instruments_file)
    phase = _RESUME_TO[to] if to else Phase.CLOSED
    _change(settings, table, BookCommandKind.TRADING_RESUME, instrument_number(table, symbol), every=every, phase=phase, expire_time=until)


@session.command("instrument-update")
@click.option("--symbol", required=True, metavar="SYMBOL", help="The instrument.")
@click.option("--reference-price", metavar="PRICE", help="Previous close, decimal; only while the instrument is closed.")
@click.option(
    "--trading-ends", type=_EndTime(), default=0, help="End of continuous trading, as for --until; price bands widen 25 minutes before."
)
@click.pass_context
def instrument_update(ctx: click.Context, symbol: str, reference_price: str | None, trading_ends: int) -> None:
    """Give a book its reference data of the day. Protection prices of market orders still follow the instrument list.

    \b
    Examples:
      outcry session instrument-update --symbol AAPL --reference-price 181.25
      outcry session instrument-update --symbol AAPL --trading-ends 16:00
    """
    if reference_price is None and not trading_ends:
        raise click.UsageError("give --reference-price, --trading-ends, or both")
    settings = settings_of(ctx)
    table = load_instruments(settings.instruments_file)
    number = instrument_number(table, symbol)
    price = _ticks(table, symbol, reference_price) if reference_price is not None else 0
    _change(settings, table, BookCommandKind.INSTRUMENT_UPDATE, number, price=price, expire_time=trading_ends)


@session.command("mass-cancel")
@click.option("--account", type=click.IntRange(1, (1 << 63) - 1), help="Orders of this account only.")
@click.option("--side", type=click.Choice(list(_SIDES)), help="Orders of this side only.")
@_symbol
@click.option("--all", "every", is_flag=True, help="All orders in all instruments.")
@click.pass_context
def mass_cancel(ctx: click.Context, account: int | None, side: str | None, symbol: str | None, every: bool) -> None:
    """Cancel all orders of an account, a side, an instrument, or a combination of these, in any phase.

    \b
    Examples:
      outcry session mass-cancel --account 17
      outcry session mass-cancel --symbol AAPL --side sell
      outcry session mass-cancel --all
    """
    if every == any(one is not None for one in (account, side, symbol)):
        raise click.UsageError("choose the orders: --account, --side, --symbol or a combination of these, or --all")
    settings = settings_of(ctx)
    table = load_instruments(settings.instruments_file)
    number = instrument_number(table, symbol)
    record_command(ctx)
    made = send(settings, BookCommandKind.MASS_CANCEL, instrument=number, account=account or 0, side=_SIDES[side] if side else 0)
    answer = mass_cancel_answer(made)
    for found, word in ((answer.canceled, "canceled"), (answer.frozen, "frozen in their auction, not canceled")):
        for instrument, count in found.items():
            click.echo(f"{table.by_number[instrument].symbol:<8} {count} {word}")
    click.echo(f"canceled {sum(answer.canceled.values())} orders of {answer.accounts} accounts")


def _change(settings: Settings, table: InstrumentTable, kind: BookCommandKind, number: int, *, every: bool = False, **columns: int) -> None:
    """Send a command about phases and print each book's answer. With `every`, some books may refuse it as long as one accepts it."""
    record_command(click.get_current_context())
    answers = phase_answers(send(settings, kind, instrument=number, **columns))
    for one in answers:
        known = table.by_number.get(one.instrument)
        click.echo(f"{known.symbol if known else one.instrument:<8} {one.text}")
    _require(answers, every=every)


def _require(answers: Sequence[PhaseAnswer], *, every: bool) -> None:
    refused = sum(one.phase is None for one in answers)
    if not answers:
        raise OutcryError("no book knows the instrument: do the book shards have the same instrument list?")
    if refused and (not every or refused == len(answers)):
        raise OutcryError(f"refused by {refused} of {len(answers)} books")


def _ticks(table: InstrumentTable, symbol: str, text: str) -> int:
    try:
        price = to_decimal(text)
        ticks = table.by_symbol[symbol].price_to_ticks(price)
    except (NotANumber, NotAMultiple, OutOfRange) as error:
        raise click.BadParameter(str(error), param_hint="--reference-price") from error
    if price <= Decimal(0):
        raise click.BadParameter("must be positive", param_hint="--reference-price")
    return ticks
