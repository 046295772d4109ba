"""outcry surveillance train, backtest and rank: a model that says which alert to read first."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import click

from schemas.errors import OutcryError
from streams.research.ranking import figures, training
from streams.research.ranking.candidates import WEAKER_PERCENT, Candidate, Window, markets
from surveillance.ranking.alert_files import BadAlerts, read_alerts, read_dispositions
from surveillance.ranking.model import BadModel, RankingModel, sealed

_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
_MARKETS = click.option("--markets", "count", type=click.IntRange(1, 100_000), default=240, show_default=True, help="How many markets.")
_DENSITY = click.option(
    "--density", type=click.FloatRange(0.5, 1_000), default=6.0, show_default=True, help="Orders a second of everybody else."
)


@click.command()
@click.argument("model", type=click.Path(dir_okay=False, path_type=Path))
@_MARKETS
@_DENSITY
@click.option("--seed", type=click.IntRange(0, 2**31), default=1, show_default=True, help="Another seed, other markets.")
@click.option("--dispositions", type=_FILE, help="Alerts with the reasons of their cases, a JSON object a line.")
def train(model: Path, count: int, density: float, seed: int, dispositions: Path | None) -> None:
    """Train a model that ranks alerts, and write it to MODEL.

    A sensitive watch looks at labelled markets; the first 60 % of them train, the next 20 % calibrate, the last 20 % are measured. Printed is the card,
    which the file has too. No role uses the model: it ranks beside the rules and silences none.

    \b
    Examples:
      outcry surveillance train model.json
      outcry surveillance train model.json --markets 1000 --dispositions reviewed.jsonl
    """
    labels = _labels(dispositions)
    candidates, windows = _gathered(count, density, seed)
    parts = training.split_by_time(candidates, count)
    early = [one for one in windows if one.market < count * training.TRAINED_PERCENT // 100]
    content = training.train(parts, early, seed, labels)
    name, area = training.best_alone(parts)
    card: dict[str, Any] = {
        "purpose": "ranks alerts of outcry's detectors beside the rules; silences none", "labels": "simulated markets, and what people decided",
        "limits": "figures of simulated markets of one instrument are no promise for a real one",
        "markets": count, "density": density, "seed": seed, "weaker_bounds_percent": WEAKER_PERCENT, "trained_with": len(parts.train),
        "calibrated_with": len(parts.calibrate), "dispositions": len(labels),
        "shuffled_auc": [round(one, 3) for one in training.shuffled_auc(parts, seed)], "best_feature_alone": {"name": name, "auc": round(area, 3)},
        "never_seen_auc": {kind: round(one, 3) for kind, one in training.never_seen(parts, seed).items()},
    }  # fmt: skip
    card["measured"] = figures.measured(RankingModel.read(sealed({**content, "card": card})), parts.test)
    data = sealed({**content, "card": card})
    try:
        model.write_bytes(data)
    except OSError as error:
        raise OutcryError(f"cannot write {error.filename}: {error.strerror}") from None
    click.echo(json.dumps({"model": str(model), "digest": RankingModel.read(data).digest, **card}, indent=2))


@click.command()
@click.argument("model", type=_FILE)
@_MARKETS
@_DENSITY
@click.option("--seed", type=click.IntRange(0, 2**31), default=2, show_default=True, help="Not the seed of the training.")
@click.option("--top", type=click.IntRange(0, 1_000), default=5, show_default=True, help="So many alerts are shown with their reasons.")
def backtest(model: Path, count: int, density: float, seed: int, top: int) -> None:
    """Rank the alerts of markets that MODEL has not seen, beside the rules alone and the baseline; then the discovery queue.

    A file of another version, or whose digest is not that of its content, is refused.

    \b
    Examples:
      outcry surveillance backtest model.json
      outcry surveillance backtest model.json --markets 60 --density 17 --seed 3
    """
    ranking = _model(model)
    if ranking.card.get("seed") == seed:
        raise OutcryError(f"the model was trained with seed {seed}: choose another --seed")
    candidates, windows = _gathered(count, density, seed)
    found = {"model": ranking.digest, "markets": count, "density": density, "seed": seed, **figures.measured(ranking, candidates)}
    click.echo(json.dumps({**found, "discovery": figures.discovered(ranking, windows)}, indent=2))
    ranked = sorted(((ranking.rank(one.features), one) for one in candidates), key=lambda one: -one[0].permille)
    for said, one in ranked[:top]:
        reasons = ", ".join(f"{name} {one.features.get(name, 0):.3g}" for name, _ in said.reasons)
        click.echo(f"{said.permille / 10:5.1f} %  {one.pattern:20} {'abuse   ' if one.truth else 'innocent'}  because of {reasons}")


@click.command()
@click.argument("model", type=_FILE)
@click.argument("alerts", type=_FILE)
def rank(model: Path, alerts: Path) -> None:
    """Say which of ALERTS to read first: a JSON object a line, the likeliest abuse first. None is left out.

    ALERTS is what `GET /surveillance/alerts` answers, or a JSON object a line. `permille`: how likely an alert like this one is abuse. `reasons`: the
    features that added most to the logarithm of the odds.

    \b
    Examples:
      outcry surveillance rank model.json alerts.json
    """
    ranking = _model(model)
    try:
        filed = read_alerts(alerts.read_text("utf-8"))
    except (BadAlerts, OSError, UnicodeDecodeError) as error:
        raise OutcryError(f"{alerts}: {error}") from None
    ranked = sorted(((ranking.rank(one.features), one) for one in filed), key=lambda one: (-one[0].permille, str(one[1].alert["alert_id"])))
    for said, one in ranked:
        reasons = [{"feature": name, "value": one.features.get(name), "added": round(added, 3)} for name, added in said.reasons]
        known = {name: one.alert.get(name) for name in ("alert_id", "pattern", "symbol", "account", "score", "severity")}
        click.echo(json.dumps({**known, "permille": said.permille, "reasons": reasons, "model": ranking.digest}))


def _model(path: Path) -> RankingModel:
    try:
        return RankingModel.read(path.read_bytes())
    except (BadModel, OSError) as error:
        raise OutcryError(f"{path}: {error}") from None


def _gathered(count: int, density: float, seed: int) -> tuple[list[Candidate], list[Window]]:
    candidates: list[Candidate] = []
    windows: list[Window] = []
    every: Iterable[tuple[list[Candidate], list[Window]]] = markets(count, density, seed)
    with click.progressbar(every, length=count, label="markets", file=click.get_text_stream("stderr")) as shown:
        for alerts, active in shown:
            candidates += alerts
            windows += active
    return candidates, windows


def _labels(path: Path | None) -> list[tuple[dict[str, float], int]]:
    if path is None:
        return []
    try:
        return read_dispositions(path.read_text("utf-8"))
    except (BadAlerts, OSError, UnicodeDecodeError) as error:
        raise OutcryError(f"{path}: {error}") from None
