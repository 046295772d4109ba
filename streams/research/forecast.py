"""outcry forecast: what the role `forecast-load` says now, and how good its counts are on simulated days."""

import json
from pathlib import Path
from typing import Any

import click
import requests

from forecast.costs import Costs
from schemas.errors import OutcryError, ServiceUnavailable
from schemas.market_hours import MarketCalendar
from streams.__main__ import settings_of
from streams.research.scaling.evaluate import Plan, draw, outcomes, report, summary, write_json
from topics.roles import FORECAST_LOAD

_POLICIES = ("reactive HPA", "cron and HPA", "forecast alone", "forecast", "oracle")
_TIMEOUT_S = 3


@click.group()
def forecast() -> None:
    """How many processes of each role the coming hour takes: ask the running role, or measure it on simulated days. See docs/scaling.md.

    \b
    Examples:
      outcry forecast show
      outcry forecast costs
      outcry forecast evaluate --days 60 --plots plots
    """


@forecast.command()
@click.option("--url", help="Where forecast-load serves, http://host:port (default: the one of this home).")
@click.option("--hour", is_flag=True, help="The loads of the coming hour too, every fifth minute.")
@click.pass_context
def show(ctx: click.Context, url: str | None, hour: bool) -> None:
    """Show the counts that forecast-load wants now, and why.

    \b
    Examples:
      outcry forecast show
      outcry forecast show --hour
      outcry forecast show --url http://127.0.0.1:9100
    """
    said = _ask(url or _address(settings_of(ctx).run_dir / f"{FORECAST_LOAD.name}.json"))
    for one in said["counts"]:
        mode = "" if one["mode"] == "scale" else " (would have; scalers get the floor)"
        click.echo(f"{one['role']:<24}{one['wanted']:>5}  {one['confidence']:<5} {one['reason']}{mode}")
    for kind, minutes in said["hour"].items() if hour else ():
        click.echo(f"\n{kind:<44}{'p50':>12}{'p95':>12}")
        for one in minutes[::5]:
            click.echo(f"{one['at']:<44}{one['p50']:>12,.0f}{one['p95']:>12,.0f}")


def _address(file: Path) -> str:
    try:
        return f"http://127.0.0.1:{int(json.loads(file.read_text())['port'])}"
    except (OSError, ValueError, KeyError, TypeError):
        raise ServiceUnavailable(f"{FORECAST_LOAD.name} does not run in this home: outcry up --role {FORECAST_LOAD.name}") from None


def _ask(url: str) -> Any:
    try:
        answer = requests.get(f"{url.rstrip('/')}/forecast", timeout=_TIMEOUT_S)
        said = answer.json()
    except (requests.RequestException, ValueError) as error:
        raise ServiceUnavailable(f"{url}/forecast does not answer: {error}") from None
    if not answer.ok:
        raise ServiceUnavailable(f"{url}: {said.get('error', answer.reason)}")
    return said


@forecast.command()
@click.pass_context
def costs(ctx: click.Context) -> None:
    """Show what a unit of load costs each role, and where each figure is from.

    \b
    Example:
      outcry forecast costs
    """
    known = Costs.load(settings_of(ctx).forecast_costs_file)
    for one in known.constants.values():
        click.echo(f"{one.name:<28}{one.value:>12,g} {one.unit:<8} {one.kind:<11} {one.source}")
    click.echo()
    for role in known.roles.values():
        click.echo(f"{role.role:<28}{role.floor:>4} to {role.budget:<5} of {role.cores:g} cores, by {', '.join(role.kinds)}")


@forecast.command()
@click.option("--days", type=click.IntRange(1, 1_000), default=60, show_default=True, help="Simulated days, behind 20 calm ones.")
@click.option("--seed", type=click.IntRange(0, 2**31), default=1, show_default=True, help="Another seed, other days.")
@click.option("--policy", "names", multiple=True, type=click.Choice(_POLICIES), help="Only these; may be repeated.")
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures there, an object a line.")
@click.option("--plots", type=click.Path(file_okay=False, path_type=Path), help="Draw into this folder; needs matplotlib.")
@click.pass_context
def evaluate(ctx: click.Context, days: int, seed: int, names: tuple[str, ...], json_path: Path | None, plots: Path | None) -> None:
    """Minutes short, process hours and scale-ups on days with surprises: the forecast beside a reactive HPA, a cron floor and an oracle.

    Shocks, busy and quiet days, half days, early halts, the end of daylight saving time, outages with a storm of retries. Some minutes of one core.

    \b
    Examples:
      outcry forecast evaluate
      outcry forecast evaluate --days 5 --policy forecast --policy "reactive HPA"
      outcry forecast evaluate --seed 2 --json figures.jsonl --plots plots
    """
    settings, plan = settings_of(ctx), Plan(days, seed, names)
    calendar, known = MarketCalendar.load(settings.market_days_file), Costs.load(settings.forecast_costs_file)
    found = {}
    with click.progressbar(
        outcomes(plan, calendar, known), length=len(names or _POLICIES), label="policies", file=click.get_text_stream("stderr")
    ) as bar:
        for results in bar:
            found[results[0].policy] = results
    rows = summary(found)
    click.echo(report(rows, plan))
    try:
        if json_path is not None:
            write_json(json_path, rows, plan)
        if plots is not None:
            click.echo("\n".join(str(path) for path in draw(plots, found)))
    except OSError as error:
        raise OutcryError(f"cannot write {error.filename}: {error.strerror}") from None
