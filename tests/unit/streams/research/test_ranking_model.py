"""Training: the file says what scikit-learn says; shuffled labels teach nothing; a time split never learns from later days; measures are what they are called."""

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from streams.research.ranking import figures, training
from streams.research.ranking.candidates import Candidate, Window, markets
from streams.research.surveillance import surveillance
from surveillance.ranking.features import WINDOW_FEATURES
from surveillance.ranking.model import RankingModel, sealed

pytestmark = [pytest.mark.slow, pytest.mark.skipif(find_spec("sklearn") is None, reason="training needs the extra research")]
"""Looked for and not imported, which takes seconds: every run of tests reads this module."""

MARKETS = 50


def made_up(seed: int = 1) -> tuple[list[Candidate], list[Window]]:
    """Alerts whose truth follows from one feature with some noise, four a market."""
    rng = np.random.default_rng(seed)
    candidates, windows = [], []
    for number in range(MARKETS * 8):
        telling, other = rng.normal(), rng.normal()
        truth = int(telling + 0.3 * rng.normal() > 0)
        candidates.append(Candidate(number // 8, "SPOOFING", {"telling": telling, "other": other}, 0.5, 0.5, other, truth))
        windows.append(Window(number // 8, dict.fromkeys(WINDOW_FEATURES, float(rng.normal())), alerted=False, truth=0))
    return candidates, windows


def a_model(**card: object) -> bytes:
    """Trained with what is made up."""
    candidates, windows = made_up()
    return sealed({**training.train(training.split_by_time(candidates, MARKETS), windows, 1), "card": card})


def test_the_file_says_what_the_library_says() -> None:
    """The same raw scores as decision_function, and the forest's order as score_samples."""
    from sklearn.ensemble import IsolationForest

    candidates, windows = made_up()
    parts = training.split_by_time(candidates, MARKETS)
    model = RankingModel.read(a_model())
    names = ["other", "telling"]
    assert list(model.features) == names
    learnt = [one for one in parts.train for _ in range(2)]  # with and without the minutes of its accounts
    library = training._boosted(training.matrix([one.features for one in learnt], names), [one.truth for one in learnt], 1)
    raw = library.decision_function(training.matrix([one.features for one in parts.test], names))
    slope, offset = model._slope, model._offset
    expected = [int(1000 / (1 + np.exp(-(slope * one + offset)))) for one in raw]
    said = [model.rank(one.features) for one in parts.test]
    assert max(abs(one.permille - other) for one, other in zip(said, expected, strict=True)) <= 1
    assert sum(one.reasons[0][0] == "telling" for one in said if one.permille > 800) > 20
    rows = training.matrix([one.vector for one in windows], WINDOW_FEATURES)
    forest = IsolationForest(n_estimators=training.FOREST_TREES, random_state=1).fit(rows)
    strangeness = [model.strangeness(one.vector) for one in windows[:40]]
    assert np.allclose(strangeness, -1000 * forest.score_samples(rows[:40]), atol=1.5)


def test_what_tells_is_learnt_and_shuffled_labels_teach_nothing() -> None:
    """Far better than the baseline, which looks at the other feature."""
    candidates, _ = made_up()
    parts = training.split_by_time(candidates, MARKETS)
    found = figures.measured(RankingModel.read(a_model()), parts.test)
    assert found["model"]["pr_auc"] > 0.9 > found["baseline"]["pr_auc"] + 0.2
    assert found["calibration_error"] < 0.15
    assert abs(np.mean(training.shuffled_auc(parts, 1)) - 0.5) < 0.12
    name, area = training.best_alone(parts)
    assert (name, area > 0.9) == ("telling", True)


def test_a_kind_that_was_never_seen_is_judged_by_a_model_that_has_not_seen_it() -> None:
    """What looks like abuse and is not is told apart once it was learnt, and mistaken before."""
    candidates, windows = made_up()
    strange = [
        replace(one, features={"telling": 2.0, "other": 0.0, "mark": 1.0}, truth=0, kind="strange") for one in candidates if one.truth
    ][::2]
    plain = [replace(one, kind=f"abuse {number % 2}" if one.truth else "usual") for number, one in enumerate(candidates)]
    parts = training.split_by_time(plain + strange, MARKETS)
    content = training.train(parts, windows, 1)
    model = RankingModel.read(sealed({**content, "card": {}}))
    assert model.rank(strange[0].features).permille < 300, "learnt"
    found = training.never_seen(parts, 1)
    assert set(found) == {"abuse 0", "abuse 1", "usual", "strange"}
    assert found["strange"] < 0.7
    assert min(found["abuse 0"], found["abuse 1"]) > 0.8


def test_no_part_has_a_day_that_is_earlier_than_one_of_the_part_before() -> None:
    """And too few examples of a label are said."""
    candidates, _ = made_up()
    parts = training.split_by_time(candidates, MARKETS)
    assert max(one.market for one in parts.train) < min(one.market for one in parts.calibrate)
    assert max(one.market for one in parts.calibrate) < min(one.market for one in parts.test)
    with pytest.raises(training.TooFew, match=r"to train there are \d+ alerts about abuse and 0 others"):
        training.split_by_time([one for one in candidates if one.truth], MARKETS)


def test_measures_by_hand() -> None:
    """Ties are one step; nothing to find is no figure."""
    assert figures.average_precision([3, 2, 1], [1, 0, 1]) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert figures.average_precision([1, 1, 1, 1], [1, 0, 0, 0]) == 0.25
    assert figures.average_precision([1.0], [0]) is None
    assert figures.precision_at([3, 2, 2, 1], [1, 1, 0, 1], 2) == 0.75
    assert figures.precision_at([1.0], [1], 2) is None
    assert figures.calibration([0.9, 0.9, 0.1, 0.1], [1, 0, 0, 0]) == {"brier": 0.21, "calibration_error": 0.25}


def test_candidates_of_a_seed_are_the_same_and_hold_no_truth_in_their_features() -> None:
    """Two markets; the sensitive watch finds more than nothing."""
    first, again = (list(markets(2, 6.0, 5)) for _ in range(2))
    assert first == again
    found = [one for candidates, _ in first for one in candidates]
    assert {one.truth for one in found} >= {1}
    assert not [name for one in found for name in one.features if "truth" in name or "severity" in name or "seed" in name]


def test_that_people_labelled_an_alert_does_not_tell_what_they_said() -> None:
    """Their alerts come without the minutes of their accounts; the same alert with and without them is ranked alike."""
    candidates, windows = made_up()
    seen = [replace(one, features={**one.features, "window share_of_volume": 0.1}) for one in candidates]
    parts = training.split_by_time(seen, MARKETS)
    people = [({"telling": float(one), "other": 0.0}, 0) for one in np.linspace(-1, 1, 20)]
    model = RankingModel.read(sealed({**training.train(parts, windows, 1, people), "card": {}}))
    for telling in (-0.8, 0.9):
        alert = {"telling": telling, "other": 0.0}
        with_minutes = {**alert, "window share_of_volume": 0.1}
        assert abs(model.rank(alert).permille - model.rank(with_minutes).permille) < 150


def test_rank_leaves_no_alert_out_and_says_why(tmp_path: Path) -> None:
    """The likeliest first, each with its reasons and the model's name."""
    model, alerts = tmp_path / "model.json", tmp_path / "alerts.json"
    model.write_bytes(a_model())
    alerts.write_text(json.dumps([
        {"alert_id": f"a{number}", "pattern": "SPOOFING", "account": 7, "score": 0.5, "occurrences": 1, "evidence_total": 1, "features": {}}
        for number in range(3)
    ]))  # fmt: skip
    done = CliRunner().invoke(surveillance, ["rank", str(model), str(alerts)])
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in done.output.splitlines()]
    assert [line["alert_id"] for line in lines] == ["a0", "a1", "a2"]
    assert {line["model"] for line in lines} == {RankingModel.read(model.read_bytes()).digest}
    alerts.write_text("[7]")
    assert "alerts.json: alert 1 is no alert" in str(CliRunner().invoke(surveillance, ["rank", str(model), str(alerts)]).exception)


def test_a_model_that_was_changed_is_refused_by_the_command(tmp_path: Path) -> None:
    """With the file's name. So is the seed that it was trained with, at any density."""
    path = tmp_path / "model.json"
    path.write_bytes(a_model(seed=4, density=6.0))
    seen = CliRunner().invoke(surveillance, ["backtest", str(path), "--seed", "4", "--density", "17"])
    assert "was trained with seed 4" in str(seen.exception)
    path.write_bytes(json.dumps({**json.loads(path.read_bytes()), "prior": 7.0}).encode())
    done = CliRunner().invoke(surveillance, ["backtest", str(path)])
    assert done.exit_code != 0
    assert "digest" in str(done.exception)
    assert "model.json" in str(done.exception)
