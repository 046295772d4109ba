"""outcry surveillance: how good the detectors are, on markets whose manipulators are known; and a model that ranks what they find."""

import json
from pathlib import Path

import click

from schemas.errors import OutcryError
from streams.research.labelled.evaluate import DENSITIES, PATTERNS, SEVERITIES, Plan, draw, report, run, write_json
from streams.research.labelled.scoring import Scores
from streams.research.ranking.commands import backtest, rank, train
from streams.research.what_if_command import what_if


@click.group()
def surveillance() -> None:
    """Measure surveillance: precision and recall on simulated markets with known manipulators.

    \b
    Examples:
      outcry surveillance evaluate --quick
      outcry surveillance evaluate --pattern SPOOFING --density 17 --scenarios 20
      outcry surveillance train model.json --markets 240
      outcry surveillance backtest model.json --seed 2
      outcry surveillance rank model.json alerts.json
      outcry surveillance what-if --pattern LAYERING --set orders_min=3 --from 2026-11-30
    """


@surveillance.command()
@click.option(
    "--pattern", "patterns", multiple=True, type=click.Choice(PATTERNS, case_sensitive=False), help="Only these patterns; may be repeated."
)
@click.option(
    "--density",
    "densities",
    multiple=True,
    type=click.FloatRange(0.5, 1_000),
    help="Orders a second; may be repeated. [default: 3, 17, 70, 250]",
)
@click.option(
    "--severity",
    "severities",
    multiple=True,
    type=click.FloatRange(0, 1),
    help="How bold, 0 to 1; may be repeated. [default: 0.2, 0.5, 0.8]",
)
@click.option(
    "--scenarios", type=click.IntRange(1, 1_000), default=4, show_default=True, help="Markets of each pattern, density and severity."
)
@click.option(
    "--background", type=click.IntRange(0, 100_000_000), default=100_000, show_default=True,
    help="Orders of each density without any manipulation.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 2**31), default=1, show_default=True, help="Another seed, other markets.")
@click.option("--quick", is_flag=True, help="One severity, one density, one scenario each: a minute.")
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures there, an object a line.")
@click.option("--plots", type=click.Path(file_okay=False, path_type=Path), help="Draw into this folder; needs matplotlib.")
def evaluate(
    patterns: tuple[str, ...], densities: tuple[float, ...], severities: tuple[float, ...], scenarios: int, background: int, seed: int, quick: bool,
    json_path: Path | None, plots: Path | None,
) -> None:  # fmt: skip
    """Precision and recall by pattern, density and severity, beside a naive z-score baseline.

    Every scenario is a session of its own in the real matching engine: a crowd, market makers, look-alikes that nobody may accuse, and one manipulator.
    Without options it takes an hour or more of one core. Exit status: 0, or 130 when it is interrupted: then the figures so far are printed.

    \b
    Examples:
      outcry surveillance evaluate --quick
      outcry surveillance evaluate --json figures.jsonl --plots plots
      outcry surveillance evaluate --pattern LAYERING --pattern SPOOFING --severity 0.5 --scenarios 20 --background 0
    """
    plan = Plan(
        tuple(dict.fromkeys(one.upper() for one in patterns)) or PATTERNS, densities or ((17.0,) if quick else DENSITIES),
        severities or ((0.5,) if quick else SEVERITIES), 1 if quick else scenarios, min(background, 20_000) if quick else background, seed,
    )  # fmt: skip
    scores, interrupted = Scores(), False
    try:
        with click.progressbar(run(plan), length=plan.markets(), label="markets", file=click.get_text_stream("stderr")) as markets:
            for outcome, scenario in markets:
                scores.take(outcome, scenario)
    except KeyboardInterrupt:
        interrupted = True
    click.echo(report(scores, plan))
    try:
        if json_path is not None:
            write_json(json_path, scores, plan)
        if plots is not None:
            click.echo(json.dumps({"plots": [str(path) for path in draw(plots, scores, plan)]}))
    except OSError as error:
        raise OutcryError(f"cannot write {error.filename}: {error.strerror}") from None
    if interrupted:
        raise SystemExit(130)


for command in (train, backtest, rank, what_if):
    surveillance.add_command(command)
