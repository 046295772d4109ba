"""Alerts in files, as `GET /surveillance/alerts` writes them: to be ranked, or with the label that people gave them."""

import json
import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from schemas.errors import OutcryError
from surveillance.cases.words import ReasonCode
from surveillance.ranking.features import alert_features

ABUSE: Final[Mapping[str, int]] = {
    ReasonCode.SUSPECTED_ABUSE: 1, ReasonCode.LEGITIMATE_MARKET_MAKING: 0, ReasonCode.HEDGING: 0, ReasonCode.DATA_ERROR: 0,
    ReasonCode.THRESHOLD_TOO_LOW: 0, ReasonCode.IMMATERIAL: 0,
}  # fmt: skip
"""1: abuse. DUPLICATE and PART_OF_OTHER_CASE say nothing about what was seen."""


class BadAlerts(OutcryError):
    """The file cannot be used; the message says where and why."""


class FiledAlert(NamedTuple):
    """An alert of a file. `place`: where it stands. `features`: without those of its accounts' minutes, which a file does not have."""

    place: str
    alert: dict[str, Any]
    features: dict[str, float]


def read_alerts(text: str) -> list[FiledAlert]:
    """The alerts of an array of JSON, or of JSON objects, one a line. Raises BadAlerts."""
    if text.lstrip()[:1] == "[":
        try:
            return [_filed(f"alert {number}", alert) for number, alert in enumerate(json.loads(text), 1)]
        except (ValueError, RecursionError) as error:
            raise BadAlerts(f"not JSON: {error}") from None
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                found.append(_filed(f"line {number}", json.loads(line)))
            except (ValueError, RecursionError) as error:
                raise BadAlerts(f"line {number} is not JSON: {error}") from None
    return found


def _filed(place: str, alert: Any) -> FiledAlert:
    try:
        features = alert_features(alert, None)
        str(alert["alert_id"])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BadAlerts(f"{place} is no alert: {type(error).__name__} {error}") from None
    for name, value in features.items():
        if not math.isfinite(value):
            raise BadAlerts(f"{place}: {name} is {value}, and must be a finite number")
    return FiledAlert(place, alert, features)


def read_dispositions(text: str) -> list[tuple[dict[str, float], int]]:
    """(features, 1 for abuse) of each alert that has a label: `reason` beside it says why its case was closed. Raises BadAlerts."""
    found = []
    for place, alert, features in read_alerts(text):
        reason = alert.get("reason")
        if reason not in list(ReasonCode):
            raise BadAlerts(f"{place}: reason must be one of {', '.join(ReasonCode)}, not {reason!r}")
        if reason in ABUSE:
            found.append((features, ABUSE[reason]))
    return found
