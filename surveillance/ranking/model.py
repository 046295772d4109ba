"""A trained model as a file of JSON: trees, calibration, isolation forest, card, and a digest over all of it. No pickle: a file is data, not a program.

It is applied by this module alone, without the library that trained it, in a fixed order of additions: the same file gives the same permille anywhere.
A file of another version, with another digest, or with anything that does not fit is refused as a whole (BadModel).
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Self

import numpy as np

from schemas.errors import OutcryError

FORMAT: Final = "outcry-alert-ranker"
VERSION: Final = 1
MISSING: Final = -1.0
"""Of a feature that an alert does not have."""
REASONS: Final = 3
_KEYS: Final = frozenset({"format", "version", "features", "prior", "trees", "calibration", "window_features", "forest", "card", "digest"})


class BadModel(OutcryError):
    """The file is no model that can be used; the message says why."""


@dataclass(frozen=True)
class Tree:
    """Nodes as columns. A leaf has feature -1. `value`: of a leaf what it adds; of another node the mean of its leaves; of the forest a depth."""

    feature: tuple[int, ...]
    threshold: tuple[float, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    value: tuple[float, ...]

    def path(self, row: Sequence[float]) -> list[int]:
        """The nodes that a row of features passes, the leaf last."""
        node, passed = 0, [0]
        while self.feature[node] >= 0:
            # the trainer compares in single precision
            below = float(np.float32(row[self.feature[node]])) <= self.threshold[node]
            node = self.left[node] if below else self.right[node]
            passed.append(node)
        return passed


@dataclass(frozen=True)
class Ranked:
    """What the model says of one alert."""

    permille: int
    """How likely an alert like this one is abuse, by the labels that the model was trained with."""
    reasons: tuple[tuple[str, float], ...]
    """(feature, what it added to the logarithm of the odds) of those that added most, the largest first."""


class RankingModel:
    """A model that was read. `digest`: its name."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self.features, self.window_features = _names(content["features"]), _names(content["window_features"])
        self.card: dict[str, Any] = dict(content["card"])
        self.digest: str = content["digest"]
        (self._prior,) = _numbers([content["prior"]])
        self._slope, self._offset = _numbers(content["calibration"])
        self._trees = [_tree(one, len(self.features)) for one in content["trees"]]
        self._forest = [_tree(one, len(self.window_features)) for one in content["forest"]["trees"]]
        (self._usual_depth,) = _numbers([content["forest"]["usual_depth"]])
        if not self._forest or self._usual_depth <= 0:
            raise ValueError("an isolation forest without trees or depth")

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Raises BadModel."""
        try:
            content = json.loads(data, parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            raise BadModel(f"not JSON: {error}") from None
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise BadModel(f"not a model: its format is not {FORMAT}")
        if content.get("version") != VERSION:
            raise BadModel(f"it has version {content.get('version')!r}, and this program reads version {VERSION}: train it again")
        if content.keys() != _KEYS:
            raise BadModel(f"it lacks or has unknown members: {', '.join(sorted(content.keys() ^ _KEYS))}")
        try:
            if content["digest"] != digest_of(content):
                raise BadModel("its digest is not that of its content: it was changed or cut off after it was trained")
            return cls(content)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadModel(f"its content does not fit together: {error}") from None

    def rank(self, features: Mapping[str, float]) -> Ranked:
        """Rank an alert by its features, by name; unknown ones are ignored, absent ones are MISSING."""
        row = [float(features.get(name, MISSING)) for name in self.features]
        total, added = self._prior, dict.fromkeys(self.features, 0.0)
        for tree in self._trees:
            path = tree.path(row)
            total += tree.value[path[-1]]
            for node, after in pairwise(path):
                added[self.features[tree.feature[node]]] += tree.value[after] - tree.value[node]
        most = sorted(((name, value) for name, value in added.items() if value > 0), key=lambda one: (-one[1], one[0]))[:REASONS]
        return Ranked(int(1000 * _sigmoid(self._slope * total + self._offset)), tuple(most))

    def strangeness(self, window: Mapping[str, float]) -> int:
        """How unlike its peers an account's window is, in permille: 500 is usual, 1000 is alone. For the discovery queue only, never an alert."""
        row = [float(window.get(name, MISSING)) for name in self.window_features]
        depth = sum(len(path) - 1 + tree.value[path[-1]] for tree in self._forest for path in (tree.path(row),))
        return int(1000 * 2.0 ** (-depth / len(self._forest) / self._usual_depth))


def digest_of(content: Mapping[str, Any]) -> str:
    """Hexadecimal BLAKE2b of everything else, as JSON with sorted keys."""
    rest = {name: value for name, value in content.items() if name != "digest"}
    return hashlib.blake2b(json.dumps(rest, sort_keys=True, allow_nan=False).encode(), digest_size=16).hexdigest()


def sealed(content: dict[str, Any]) -> bytes:
    """The bytes of a new model. `content`: everything but format, version and digest."""
    whole = {"format": FORMAT, "version": VERSION, **content}
    return json.dumps({**whole, "digest": digest_of(whole)}, sort_keys=True, allow_nan=False).encode() + b"\n"


def _tree(columns: Mapping[str, Any], features: int) -> Tree:
    feature, left, right = (_whole(columns[name]) for name in ("feature", "left", "right"))
    tree = Tree(feature, _numbers(columns["threshold"]), left, right, _numbers(columns["value"]))
    nodes = len(feature)
    if not nodes or {len(column) for column in (tree.threshold, left, right, tree.value)} != {nodes}:
        raise ValueError("a tree whose columns differ in length")
    for node, of in enumerate(feature):
        inner = 0 <= of < features and all(node < child < nodes for child in (left[node], right[node]))
        if of != -1 and not inner:  # children stand behind their parent, so every path ends
            raise ValueError(f"node {node} of a tree points nowhere")
    return tree


def _names(values: Any) -> tuple[str, ...]:
    if not (isinstance(values, list) and all(isinstance(one, str) for one in values) and len(set(values)) == len(values)):
        raise ValueError("features must be a list of different names")
    return tuple(values)


def _numbers(values: Any) -> tuple[float, ...]:
    if not (isinstance(values, list) and all(type(one) in (int, float) for one in values)):
        raise ValueError("a number was expected")
    return tuple(map(float, values))


def _whole(values: Any) -> tuple[int, ...]:
    if not (isinstance(values, list) and all(type(one) is int for one in values)):
        raise ValueError("a whole number was expected")
    return tuple(values)


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, value))))
