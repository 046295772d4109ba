"""How good a ranking is: the model beside the rules alone and beside the naive baseline, on alerts that neither has seen."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from streams.research.ranking.candidates import Candidate, Window
from surveillance.ranking.features import without_window
from surveillance.ranking.model import RankingModel

READ_A_DAY: Final = 50
BINS: Final = 10


def average_precision(scores: Sequence[float], truth: Sequence[int]) -> float | None:
    """Area under the precision-recall curve, in steps. Equal scores count as one step. None without anything to find."""
    total = sum(truth)
    if not total:
        return None
    order = np.argsort(-np.asarray(scores), kind="stable")
    ranked, hit = np.asarray(scores)[order], np.asarray(truth)[order]
    ends = np.flatnonzero(np.append(np.diff(ranked) != 0, True))
    found = np.cumsum(hit)[ends]
    precision, recall = found / (ends + 1), found / total
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def precision_at(scores: Sequence[float], truth: Sequence[int], count: int = READ_A_DAY) -> float | None:
    """Of the first `count`; of a step of equal scores at the end, its share. None if there are fewer alerts."""
    if len(scores) < count:
        return None
    ranked = np.asarray(scores, float)
    last = np.sort(ranked)[-count]
    above, level, hit = ranked > last, ranked == last, np.asarray(truth)
    return float((hit[above].sum() + hit[level].mean() * (count - above.sum())) / count)


def calibration(probabilities: Sequence[float], truth: Sequence[int]) -> dict[str, float]:
    """Brier score, and the mean distance between what was said and what was so, over ten bins (ECE)."""
    said, so = np.asarray(probabilities, float), np.asarray(truth, float)
    bins = np.minimum((said * BINS).astype(int), BINS - 1)
    error = sum(abs(said[bins == one].mean() - so[bins == one].mean()) * (bins == one).sum() for one in np.unique(bins).tolist())
    return {"brier": round(float(((said - so) ** 2).mean()), 4), "calibration_error": round(float(error / len(said)), 4)}


def measured(model: RankingModel, test: Sequence[Candidate]) -> dict[str, Any]:
    """Everything about the ranking of some alerts."""
    truth = [one.truth for one in test]
    said = [model.rank(one.features).permille / 1000 for one in test]
    rankings = {
        "model": said,
        "model without windows": [model.rank(without_window(one.features)).permille / 1000 for one in test],
        "rules alone": [one.rule_score for one in test],
        "score of the alert": [one.alert_score for one in test],
        "baseline": [one.naive_z for one in test],
    }
    table = {
        name: {"pr_auc": _rounded(average_precision(scores, truth)), f"precision_at_{READ_A_DAY}": _rounded(precision_at(scores, truth))}
        for name, scores in rankings.items()
    }
    return {"alerts": len(test), "abuse": sum(truth), **table, **(calibration(said, truth) if test else {})}


def discovered(model: RankingModel, windows: Sequence[Window], count: int = READ_A_DAY) -> dict[str, Any]:
    """The first of the discovery queue: accounts that no rule names, the strangest first. `abuse`: how many of them manipulate."""
    quiet = [one for one in windows if not one.alerted]
    first = sorted(quiet, key=lambda one: -model.strangeness(one.vector))[:count]
    return {
        "windows": len(quiet),
        "abuse": sum(one.truth for one in quiet),
        "read": len(first),
        "abuse_read": sum(one.truth for one in first),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
