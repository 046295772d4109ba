"""outcry surveillance what-if: what would have fired with another bound of a pattern, over the stored log. Writes nothing and tells nobody."""

import json
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any, Final

import click

from schemas.errors import OutcryError
from streams.__main__ import settings_of
from streams.host.read_log import Meter
from streams.research.what_if import Question, ask
from surveillance.what_if import parameters_of, pattern_names

_WORDS: Final = {"both": "fires with both", "only_now": "fires with the bounds of now only", "only_then": "fires with the others only"}


def _time_ns(text: str) -> int:
    """Raises OutcryError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise OutcryError(f"{text!r} is no time: write 2026-11-30 or 2026-11-30T14:30:00, UTC where it names no zone") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()) * 1_000_000_000


def _values(given: tuple[str, ...]) -> dict[str, int]:
    found = {}
    for one in given:
        name, _, text = one.partition("=")
        digits = text.replace("_", "").replace(",", "")
        if not (digits.isascii() and digits.isdigit()):
            raise OutcryError(f"--set {one!r}: write NAME=VALUE with a whole number, such as orders_min=3")
        found[name.strip()] = int(digits[:19])
    return found


@click.command("what-if")
@click.option("--pattern", required=True, type=click.Choice(pattern_names(), case_sensitive=False), help="The pattern.")
@click.option("--set", "given", multiple=True, metavar="NAME=VALUE", help="A parameter and its other value; may be repeated.")
@click.option("--from", "begin", default="", help="Alerts from this time on; UTC. [default: a day before --to]")
@click.option("--to", "end", default="", help="Alerts before this time. [default: now]")
@click.option("--symbol", "symbols", multiple=True, help="Only this one; may be repeated.")
@click.option("--list", "show", is_flag=True, help="Show the parameters that can be moved, and end.")
@click.option("--json", "as_json", is_flag=True, help="The whole comparison as one JSON object.")
@click.pass_context
def what_if(
    ctx: click.Context, pattern: str, given: tuple[str, ...], begin: str, end: str, symbols: tuple[str, ...], *, show: bool, as_json: bool
) -> None:
    """What would have fired with another bound of a pattern, over the stored log.

    The detector runs twice over the same records: with the parameters of now, and with yours. Nothing is written, and nobody is told.

    \b
    Examples:
      outcry surveillance what-if --pattern LAYERING --list
      outcry surveillance what-if --pattern LAYERING --set orders_min=3 --from 2026-11-30 --symbol AAPL
    """
    pattern = pattern.upper()
    if show:
        for one in parameters_of(pattern):
            click.echo(f"{one.name} = {one.value:,} ({one.low:,} to {one.high:,}{f' {one.unit}' if one.unit else ''}): {one.told}")
        return
    until = _time_ns(end) if end else time.time_ns()
    since = _time_ns(begin) if begin else until - 86_400_000_000_000
    with ExitStack() as stack:
        meters: list[Meter] = []

        def tell(done: int, total: int) -> None:
            if not meters:
                meters.append(stack.enter_context(Meter("what if", total, quiet=as_json)))
            meters[0].add(done - meters[0].done)

        found = ask(settings_of(ctx), Question(pattern, _values(given), since, until, symbols), tell)
    click.echo(json.dumps(found) if as_json else _told(found))


def _told(found: dict[str, Any]) -> str:
    lines = [f"{found[name]:,} {'alert' if found[name] == 1 else 'alerts'}: {told}" for name, told in _WORDS.items()]
    lines += [f"{found['rows']:,} rows in {found['records']:,} records" + ("" if found["complete"] else ", not from the first of the log")]
    for name in ("only_now", "only_then"):
        for one in found["alerts"][name]:
            at = datetime.fromtimestamp(one["detected_at"] // 1_000_000_000, UTC).isoformat()
            accounts = ", ".join(map(str, one["accounts"]))
            lines.append(
                f"{'-' if name == 'only_now' else '+'} {at} {one['symbol']} accounts {accounts}, {one['severity']}: {one['steps'][0]}"
            )
    return "\n".join(lines)
