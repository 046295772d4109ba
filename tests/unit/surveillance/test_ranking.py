"""The model that ranks alerts, as a file: it is refused unless it is whole, of this version and unchanged; a score has its reasons; no feature knows who it is about."""

import json
from typing import Any

import numpy as np
import pytest

from schemas.codec import FRAMES
from schemas.enums import ExecKind
from surveillance.ranking.alert_files import BadAlerts, read_alerts, read_dispositions
from surveillance.ranking.features import MINUTE_NS, WINDOW_FEATURES, AccountMinutes, alert_features, without_window
from surveillance.ranking.model import MISSING, BadModel, RankingModel, digest_of, sealed

STUMP = {"feature": [0, -1, -1], "threshold": [10.0, 0.0, 0.0], "left": [1, -1, -1], "right": [2, -1, -1], "value": [0.0, -1.0, 2.0]}
DEPTHS = {"feature": [0, -1, -1], "threshold": [5.0, 0.0, 0.0], "left": [1, -1, -1], "right": [2, -1, -1], "value": [0.0, 3.0, 0.0]}
CONTENT: dict[str, Any] = {
    "features": ["score", "occurrences"], "prior": 0.0, "trees": [STUMP, {**STUMP, "feature": [1, -1, -1]}], "calibration": [1.0, 0.0],
    "window_features": ["orders_per_minute"], "forest": {"trees": [DEPTHS], "usual_depth": 4.0}, "card": {"seed": 1},
}  # fmt: skip


def test_a_score_is_the_sum_of_the_trees_and_says_what_added_most() -> None:
    """Calibrated by a sigmoid, rounded down to permille. What is absent is MISSING, what is unknown is ignored."""
    model = RankingModel.read(sealed(CONTENT))
    assert [model.rank({"score": score, "occurrences": times}).permille for score, times in ((11, 11), (11, 1), (1, 1))] == [982, 731, 119]
    assert model.rank({"score": 11, "account": 7}).reasons == (("score", 2.0),)
    assert model.rank({}) == model.rank({"score": MISSING, "occurrences": MISSING})


def test_a_short_path_in_the_forest_is_strange() -> None:
    """Two to the minus depth over the usual depth."""
    model = RankingModel.read(sealed(CONTENT))
    assert (model.strangeness({"orders_per_minute": 9}), model.strangeness({"orders_per_minute": 1})) == (840, 500)


def changed(**members: Any) -> bytes:
    """A file with other content and the right digest."""
    content = json.loads(sealed(CONTENT)) | members
    return json.dumps({**content, "digest": digest_of(content)}).encode()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"\x80\x04pickle", "not JSON"),
        (b"[]", "not a model"),
        (changed(version=2), "it has version 2, and this program reads version 1"),
        (sealed(CONTENT).replace(b'"prior": 0.0', b'"prior": 0.5'), "its digest is not that of its content"),
        (changed(more=1), "lacks or has unknown members: more"),
        (changed(trees=[{**STUMP, "feature": [2, -1, -1]}]), "node 0 of a tree points nowhere"),
        (changed(trees=[{**STUMP, "left": [0, -1, -1]}]), "node 0 of a tree points nowhere"),
        (changed(trees=[{**STUMP, "value": [0.0]}]), "columns differ in length"),
        (changed(calibration=[1.0]), "does not fit together"),
        (changed(prior="0"), "a number was expected"),
        (changed(trees=[{**STUMP, "feature": [0.5, -1, -1]}]), "a whole number was expected"),
        (changed(trees=[{**STUMP, "value": [0.0, True, 2.0]}]), "a number was expected"),
        (changed(features=["score", "score"]), "different names"),
        (changed(forest={"trees": [], "usual_depth": 4.0}), "an isolation forest without trees"),
        (changed(card=5), "does not fit together"),
        (sealed(CONTENT).replace(b'"prior": 0.0', b'"prior": NaN'), "NaN is no number"),
        (sealed(CONTENT).replace(b'"prior": 0.0', b'"prior": 1e999'), "does not fit together"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_a_file_that_is_not_whole_unchanged_and_of_this_version_is_refused(data: bytes, sentence: str) -> None:
    """With what is wrong. A tree whose path might never end is refused too."""
    with pytest.raises(BadModel, match=sentence):
        RankingModel.read(data)


def rows(accounts: tuple[int, int], first_order: int) -> Any:
    """One account enters and cancels ten orders and sells thirty lots to another."""
    found = np.zeros(21, FRAMES["execution_frame"].dtype)
    found["kind"][:10], found["kind"][10:20], found["kind"][20] = ExecKind.NEW, ExecKind.CANCELED, ExecKind.TRADE
    found["account"], found["contra_account"], found["side"], found["qty"] = accounts[0], accounts[1], 2, 30
    found["order_id"], found["transact_time"] = first_order + np.arange(21), 5 * MINUTE_NS
    return found


def an_alert(accounts: tuple[int, ...]) -> dict[str, Any]:
    """As the watch writes it, as far as features look at it."""
    return {
        "pattern": "SPOOFING", "score": 0.7, "occurrences": 3, "accounts": list(accounts), "evidence_total": 12, "features": {"trades": 4},
        "account": accounts[0], "alert_id": f"spoofing-{accounts[0]}", "instrument": 5,
    }  # fmt: skip


def test_features_stay_when_accounts_orders_and_alerts_are_renumbered() -> None:
    """So no model can know an account or a scenario again."""
    seen = []
    for accounts, first_order in (((7, 8), 1), ((4_000, 12), 900)):
        minutes = AccountMinutes()
        minutes.take(rows(accounts, first_order))
        seen.append(alert_features(an_alert(accounts), minutes.window(accounts[:1], 5 * MINUTE_NS, 5 * MINUTE_NS)))
    assert seen[0] == seen[1]
    assert not [name for name in seen[0] if "id" in name.split() or "account " in name]
    assert {f"window {name}" for name in WINDOW_FEATURES} < seen[0].keys()
    assert "accounts" not in seen[0], "only manipulators of the labelled markets have linked accounts"
    assert without_window(seen[0]) == alert_features(an_alert((7,)), None)
    assert (seen[0]["window cancels_to_orders"], seen[0]["window one_sidedness"], seen[0]["window share_of_volume"]) == (1.0, 1.0, 0.5)


def test_dispositions_are_alerts_with_the_reason_of_their_case() -> None:
    """Reasons that say nothing of what was seen are no labels; a bad line is named."""
    lines = [json.dumps({**an_alert((7,)), "reason": reason}) for reason in ("SUSPECTED_ABUSE", "HEDGING", "DUPLICATE")]
    assert [abuse for _, abuse in read_dispositions("\n".join([*lines, ""]))] == [1, 0]
    for bad, sentence in (
        ('{"reason": "HEDGING"}', "line 4 is no alert"),
        (lines[0].replace("SUSPECTED_ABUSE", "X"), "line 4: reason must be"),
        (json.dumps(an_alert((7,))), "line 4: reason must be"),
        (json.dumps({**an_alert((7,)), "reason": ["HEDGING"]}), "line 4: reason must be"),
        ("x", "line 4 is not JSON"),
    ):
        with pytest.raises(BadAlerts, match=sentence):
            read_dispositions("\n".join([*lines, bad]))


def test_alerts_come_as_the_interface_answers_them_or_a_line_each() -> None:
    """The same either way; what is no alert, and what is no number, is named."""
    alerts = [an_alert((7,)), an_alert((8, 9))]
    whole, lines = read_alerts(json.dumps(alerts)), read_alerts("\n".join(map(json.dumps, alerts)))
    assert [(one.alert, one.features) for one in whole] == [(one.alert, one.features) for one in lines]
    assert read_alerts("") == read_alerts("[]") == []
    for bad, sentence in (
        ("[1]", "alert 1 is no alert"),
        ("[", "not JSON"),
        (json.dumps([alerts[0], {**alerts[1], "features": {"trades": float("nan")}}]), "alert 2: SPOOFING trades is nan"),
        (json.dumps({**alerts[0], "score": 10**400}), "line 1 is no alert"),
    ):
        with pytest.raises(BadAlerts, match=sentence):
            read_alerts(bad)
