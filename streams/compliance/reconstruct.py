"""`outcry reconstruct`: an order, an account or a book as of any moment, every state before it, and the proofs of the records that say so.

In:     the log; with --proofs the audit logs on this machine
Out:    standard output; with --proofs a folder
On failure: a sentence, exit status 1
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click
import orjson
from rich.console import Console

from schemas.errors import OutcryError
from schemas.instruments import load_instruments
from schemas.market_hours import NEW_YORK
from schemas.settings import Settings
from schemas.units import NANOS_PER_SECOND
from streams.__main__ import settings_of
from streams.compliance.past import AccountState, Change, account_changes, book_changes, order_changes, utc_text
from streams.host.read_log import Log, Meter
from streams.proofs.audit_prove import write_proofs
from streams.proofs.find_records import order_number, record_at
from streams.research.book_screen import PLAIN_COLUMNS, Shown, book_json, show_book

ALWAYS_NS: Final = (1 << 63) - 1
PROOFS_MAX: Final = 1_000


def moment_ns(text: str) -> int:
    """ISO 8601 to nanoseconds; without an offset New York time. Raises OutcryError."""
    whole, point, rest = text.partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    found: datetime | None
    try:
        found = datetime.fromisoformat(whole + rest[len(digits) :])
    except ValueError:
        found = None
    if found is None or (point and not 0 < len(digits) <= 9):
        raise OutcryError(f"{text!r} is no moment: use 2026-11-30T10:00:00 (New York), with -05:00 or Z behind it for another offset")
    found = found if found.tzinfo is not None else found.replace(tzinfo=NEW_YORK)
    return int(found.timestamp()) * NANOS_PER_SECOND + int(digits.ljust(9, "0") or 0)


class _Moment(click.ParamType):
    name = "MOMENT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return moment_ns(value)
        except OutcryError as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.option("--account", type=click.IntRange(1), help="Balances and open orders of this account.")
@click.option("--order", metavar="ORDER", help="States of this order: its number, or the UUID that clients see.")
@click.option("--symbol", metavar="SYMBOL", help="The book of this instrument.")
@click.option(
    "--to", "to_ns", type=_Moment(), default=ALWAYS_NS, help="The moment, ISO 8601, New York time without an offset (default: now)."
)
@click.option("--from", "from_ns", type=_Moment(), help="Show every change after this moment too; of an order all are shown without it.")
@click.option("--proofs", type=click.Path(file_okay=False, path_type=Path), metavar="FOLDER", help="Write the proofs of the changes shown.")
@click.option("--depth", type=click.IntRange(1, 1_000_000), default=10, show_default=True, help="Levels of a book, by side.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--quiet", is_flag=True, help="No progress.")
@click.pass_context
def reconstruct(
    ctx: click.Context,
    account: int | None,
    order: str | None,
    symbol: str | None,
    to_ns: int,
    from_ns: int | None,
    proofs: Path | None,
    depth: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Show what was at a moment of log time, and every state in between.

    It reads the log from its beginning up to the moment, so a long log takes time. Nothing is asked of a store or of a running role.

    \b
    Examples:
      outcry reconstruct --order 17592186044417
      outcry reconstruct --account 7 --to 2026-11-30T10:00:00
      outcry reconstruct --account 7 --from 2026-11-30T09:30:00 --to 2026-11-30T10:00:00 --json
      outcry reconstruct --symbol AAPL --to 2026-11-30T10:00:00.000000001 --depth 5
      outcry reconstruct --order 17592186044417 --proofs proofs
    """
    if sum(one is not None for one in (account, order, symbol)) != 1:
        raise click.UsageError("name one of --account, --order and --symbol")
    if from_ns is not None and from_ns > to_ns:
        raise click.UsageError("--from is behind --to")
    settings = settings_of(ctx)
    instruments = load_instruments(settings.instruments_file)
    state: AccountState | Shown | None = None
    with Log(settings) as log, Meter("reading the log", 0, quiet=quiet) as meter:
        if order is not None:
            found = order_changes(log, order_number(order), to_ns, instruments, meter)
            shown = [one for one in found if from_ns is None or one.time_ns > from_ns]
        else:
            if account is not None:
                state, found = account_changes(log, account, to_ns, instruments, meter)
            else:
                instrument = instruments.by_symbol.get(symbol or "")
                if instrument is None:
                    raise click.BadParameter(f"{symbol!r} is not in the instrument list", param_hint="--symbol")
                state, found = book_changes(log, instrument, to_ns, instruments, meter)
            shown = [] if from_ns is None else [one for one in found if one.time_ns > from_ns]
        _print(state, shown, depth, as_json=as_json)
        if proofs is not None:
            _prove(settings, log, proofs, shown)


def _print(state: AccountState | Shown | None, shown: Sequence[Change], depth: int, *, as_json: bool) -> None:
    if as_json:
        found: dict[str, Any] = {"changes": [one.as_json() for one in shown]}
        if isinstance(state, AccountState):
            found |= {
                "account": state.account,
                "cash": state.cash,
                "cash_held": state.cash_held,
                "positions": state.positions,
                "orders": state.orders,
            }
        elif state is not None:
            found["book"] = book_json(state, depth, None)
        click.echo(orjson.dumps(found))
        return
    for one in shown:
        fields = " ".join(f"{name}={value}" for name, value in one.fields.items())
        click.echo(f"{utc_text(one.time_ns)}  {one.kind}  {fields}  ({one.where}, of {one.source})")
    if isinstance(state, AccountState):
        click.echo(f"account {state.account}: cash {state.cash}, of it held {state.cash_held}")
        for symbol, held in sorted(state.positions.items()):
            click.echo(f"  {symbol} {held['position']}, of it held {held['held']}")
        for number, fields_of in state.orders.items():
            click.echo(f"  open order {number}: " + " ".join(f"{name}={value}" for name, value in fields_of.items()))
    elif state is not None:
        console = Console()
        show_book(state, depth, console if console.is_terminal else Console(width=PLAIN_COLUMNS))


def _prove(settings: Settings, log: Log, out: Path, shown: Sequence[Change]) -> None:
    """Of the records of the changes, and of the inputs that made them."""
    places = {(one.topic, one.partition, one.offset) for one in shown}
    for one in shown:
        source, _, offset = one.source.rpartition(" offset ")
        topic, _, partition = source.rpartition("/")
        places.add((topic, int(partition), int(offset.replace(",", ""))))
    if not places:
        raise OutcryError("there are no changes to prove: give --from a moment before them")
    if len(places) > PROOFS_MAX:
        raise OutcryError(f"{len(places):,} records are too many for one folder of proofs, at most {PROOFS_MAX:,}: narrow --from and --to")
    write_proofs(settings, out, "What was at a moment", [record_at(log, *where) for where in sorted(places)])
