"""Train a model from candidates with scikit-learn, and write it as the data of surveillance.ranking.model.

GradientBoostingClassifier and IsolationForest, because both show their trees as public attributes: the file has trees, not a pickle. A day that is later in time
is never seen before one that is earlier: the first 60 % of the markets train, the next 20 % calibrate (Platt), the last 20 % are only measured.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from schemas.errors import OutcryError
from streams.research.ranking.candidates import Candidate, Window
from surveillance.ranking.features import WINDOW_FEATURES, without_window
from surveillance.ranking.model import MISSING

TRAINED_PERCENT, CALIBRATED_PERCENT = 60, 80
TREES: Final = 120
FOREST_TREES: Final = 60
WINDOWS_MAX: Final = 20_000
SHUFFLES: Final = 5
KIND_MIN: Final = 3
"""Alerts of a kind, in the last part."""
EXAMPLES_MIN: Final = 10
"""Of each of the two labels, in each part."""
Matrix = np.ndarray[Any, np.dtype[np.float64]]


class TooFew(OutcryError):
    """There is not enough to learn from."""


@dataclass(frozen=True)
class Split:
    """Candidates by time."""

    train: list[Candidate]
    calibrate: list[Candidate]
    test: list[Candidate]


def split_by_time(candidates: Sequence[Candidate], markets: int) -> Split:
    """By the number of the market. Raises TooFew."""
    first, second = markets * TRAINED_PERCENT // 100, markets * CALIBRATED_PERCENT // 100
    parts = Split(
        [one for one in candidates if one.market < first],
        [one for one in candidates if first <= one.market < second],
        [one for one in candidates if one.market >= second],
    )
    for name, part in (("train", parts.train), ("calibrate", parts.calibrate), ("measure", parts.test)):
        abuse = sum(one.truth for one in part)
        if min(abuse, len(part) - abuse) < EXAMPLES_MIN:
            raise TooFew(
                f"to {name} there are {abuse} alerts about abuse and {len(part) - abuse} others, and {EXAMPLES_MIN} of each are needed: run more markets"
            )
    return parts


def matrix(examples: Sequence[dict[str, float]], names: Sequence[str]) -> Matrix:
    """A row an example; absent features are MISSING."""
    return np.array([[one.get(name, MISSING) for name in names] for one in examples], float).reshape(len(examples), len(names))


def train(parts: Split, windows: Sequence[Window], seed: int, dispositions: Sequence[tuple[dict[str, float], int]] = ()) -> dict[str, Any]:
    """The content of a model but for its card (see `sealed`). `dispositions`: examples that people labelled, learnt from beside the others.

    Every alert of the simulation is learnt twice, with and without its accounts' minutes. An alert from the interface comes without them; were only people's
    labels without, the lack would tell a person's answer.
    """
    learnt = [*_twice(parts.train), *dispositions]
    names = sorted({name for features, _ in learnt for name in features})
    boosted = _boosted(matrix([features for features, _ in learnt], names), [truth for _, truth in learnt], seed)
    from sklearn.linear_model import LogisticRegression  # behind _boosted, which says what is missing

    calibrated = _twice(parts.calibrate)
    raw = boosted.decision_function(matrix([features for features, _ in calibrated], names))
    platt = LogisticRegression().fit(raw.reshape(-1, 1), [truth for _, truth in calibrated])
    prior = float(boosted.init_.class_prior_[1])
    return {
        "features": names, "prior": float(np.log(prior / (1 - prior))),
        "trees": [_boosting_tree(one[0].tree_, boosted.learning_rate) for one in boosted.estimators_],
        "calibration": [float(platt.coef_[0][0]), float(platt.intercept_[0])],
        "window_features": list(WINDOW_FEATURES), "forest": _forest([one.vector for one in windows], seed),
    }  # fmt: skip


def _twice(candidates: Sequence[Candidate]) -> list[tuple[dict[str, float], int]]:
    return [(features, one.truth) for one in candidates for features in (one.features, without_window(one.features))]


def shuffled_auc(parts: Split, seed: int) -> list[float]:
    """Area under the ROC curve on the last part after training with shuffled labels: about 0.5, or a feature knows what it may not."""
    names = sorted({name for one in parts.train for name in one.features})
    seen, unseen = (matrix([one.features for one in part], names) for part in (parts.train, parts.test))
    truth, rng, found = np.array([one.truth for one in parts.train]), np.random.default_rng(seed), []
    for number in range(SHUFFLES):
        boosted = _boosted(seen, rng.permutation(truth).tolist(), seed + number)
        found.append(_auc(boosted.decision_function(unseen), parts.test))
    return found


def best_alone(parts: Split) -> tuple[str, float]:
    """The single feature that divides the last part best, either way, and its area under the ROC curve. Near 1: it is the label in disguise."""
    names = sorted({name for one in parts.test for name in one.features})
    columns = matrix([one.features for one in parts.test], names).T
    areas = [_auc(column, parts.test) for column in columns]
    found = max(range(len(names)), key=lambda at: abs(areas[at] - 0.5))
    return names[found], max(areas[found], 1 - areas[found])


def never_seen(parts: Split, seed: int) -> dict[str, float]:
    """By kind, area under the ROC curve on the last part after training without it: is something new told apart, or only what was learnt by heart?

    A manipulation is measured beside all that is innocent, an innocent kind beside all manipulations. Kinds with fewer than KIND_MIN alerts are left out,
    and those without which too few examples of a label are left to train.
    """
    names, found = sorted({name for one in parts.train for name in one.features}), {}
    counts = Counter((one.kind, one.truth) for one in parts.test)
    for kind, truth in sorted(key for key, count in counts.items() if count >= KIND_MIN):
        others = [one for one in parts.train if one.kind != kind]
        if min(abuse := sum(one.truth for one in others), len(others) - abuse) < EXAMPLES_MIN:
            continue
        shown = [one for one in parts.test if one.kind == kind or one.truth != truth]
        boosted = _boosted(matrix([one.features for one in others], names), [one.truth for one in others], seed)
        found[kind] = _auc(boosted.decision_function(matrix([one.features for one in shown], names)), shown)
    return found


def _auc(scores: Matrix, candidates: Sequence[Candidate]) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score([one.truth for one in candidates], scores))


def _boosted(seen: Matrix, truth: Sequence[int], seed: int) -> Any:
    try:
        from sklearn.ensemble import GradientBoostingClassifier
    except ImportError:
        raise OutcryError("training needs scikit-learn: pip install 'open-outcry[research]'") from None
    return GradientBoostingClassifier(
        n_estimators=TREES, max_depth=3, learning_rate=0.1, subsample=0.8, min_samples_leaf=5, random_state=seed
    ).fit(seen, truth)


def _boosting_tree(tree: Any, rate: float) -> dict[str, list[Any]]:
    """Columns of a tree; inner nodes have the mean of their leaves, from which reasons are counted."""
    leaf = tree.children_left < 0
    value = np.where(leaf, tree.value[:, 0, 0] * rate, 0.0)
    for node in range(tree.node_count - 1, -1, -1):  # children stand behind their parent
        if not leaf[node]:
            both = [int(tree.children_left[node]), int(tree.children_right[node])]
            value[node] = np.average(value[both], weights=tree.weighted_n_node_samples[both])
    return _columns(tree, value)


def _forest(vectors: Sequence[dict[str, float]], seed: int) -> dict[str, Any]:
    from sklearn.ensemble import IsolationForest

    rows = matrix(vectors, WINDOW_FEATURES)
    if len(rows) > WINDOWS_MAX:
        rows = rows[np.random.default_rng(seed).choice(len(rows), WINDOWS_MAX, replace=False)]
    forest = IsolationForest(n_estimators=FOREST_TREES, random_state=seed).fit(rows)
    trees = [one.tree_ for one in forest.estimators_]
    # what a leaf would still have been deep, had it been divided on (Liu, Ting and Zhou 2008)
    return {
        "trees": [_columns(tree, np.array([_usual_depth(int(size)) for size in tree.n_node_samples]) * (tree.children_left < 0)) for tree in trees],
        "usual_depth": _usual_depth(int(forest.max_samples_)),
    }  # fmt: skip


def _usual_depth(size: int) -> float:
    return 0.0 if size <= 1 else 1.0 if size == 2 else float(2 * (np.log(size - 1) + np.euler_gamma) - 2 * (size - 1) / size)


def _columns(tree: Any, value: Matrix) -> dict[str, list[Any]]:
    leaf = tree.children_left < 0
    return {
        "feature": np.where(leaf, -1, tree.feature).tolist(), "threshold": np.where(leaf, 0.0, tree.threshold).tolist(),
        "left": tree.children_left.tolist(), "right": tree.children_right.tolist(), "value": value.tolist(),
    }  # fmt: skip
