"""Labelled markets: a seed is a market, every manipulator leaves a label, public cases are found, and a short evaluation adds up."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from schemas.codec import encode_record
from streams.research.labelled.cases import ATHENA, COSCIA, HYDRO, OYSTACHER, SARAO, athena, coscia, hydro, oystacher, sarao
from streams.research.labelled.crowd import CONTROLS
from streams.research.labelled.injectors import INJECTORS, PARTY
from streams.research.labelled.markets import CLOSING_S, Outcome, Scenario, background, injected, watched
from streams.research.labelled.scoring import Scores, scored
from streams.research.labelled.world import Label, World
from streams.research.surveillance import surveillance
from surveillance.detectors import PATTERNS

pytestmark = pytest.mark.slow

DENSITY = 6.0


def named(outcome: Outcome) -> set[tuple[str, int]]:
    """(pattern, account) of all alerts."""
    return {(one["pattern"], account) for one in outcome.alerts for account in one["accounts"]}


def test_a_seed_is_a_market_alert_for_alert() -> None:
    """Byte for byte; another seed is another one."""
    runs = [injected(Scenario("LAYERING", 0.8, DENSITY, seed, camouflage=True)) for seed in (5, 5, 6)]
    first, again, other = ([encode_record("alert", one) for one in run.alerts] for run in runs)
    assert first == again != other
    assert runs[0].rows == runs[1].rows != runs[2].rows


def test_there_is_an_injector_for_every_detector() -> None:
    """And no other."""
    assert set(INJECTORS) == {pattern.name.upper() for pattern in PATTERNS}


@pytest.mark.parametrize("pattern", INJECTORS)
def test_every_bold_manipulator_is_caught_and_nobody_else_is_accused(pattern: str) -> None:
    """At severity 0.9, among a crowd, market makers and all look-alikes. What the label says is what was done."""
    outcome = injected(Scenario(pattern, 0.9, DENSITY, 3, camouflage=False))
    (label,) = outcome.labels
    assert label.pattern == pattern
    assert label.orders
    assert any(found == pattern and account in label.accounts for found, account in named(outcome)), named(outcome)
    assert {account for _, account in named(outcome)} <= set(label.accounts), named(outcome)


def test_nobody_is_accused_in_a_market_without_a_manipulator() -> None:
    """Five thousand orders with every look-alike in it."""
    outcome = background(DENSITY, 4, 5_000)
    assert outcome.orders > 4_500
    assert set(outcome.controls.values()) == set(CONTROLS)
    assert outcome.alerts == []


def test_the_layering_of_sarao_is_found() -> None:
    """CFTC 7156-15, five cycles: one alert, whose episode has them all, and each of the 25 layers that it lists is one of his."""
    world = World(1)
    outcome = watched(world, DENSITY, 260.0, [(125.0, sarao(world))], [])
    (alert,) = outcome.alerts
    assert (alert["pattern"], alert["accounts"], alert["occurrences"], alert["side"]) == ("LAYERING", [SARAO], 5, "SELL")
    layers = {one["order_id"] for one in alert["evidence"] if one["role"] == "LAYER"}
    assert len(layers) == 25
    assert layers <= set(outcome.labels[0].orders)


def test_the_last_two_seconds_of_athena_are_found() -> None:
    """34-73369: the share of the volume is in the alert."""
    world = World(2)
    outcome = watched(world, DENSITY, 260.0, [(260.0 - CLOSING_S - 2.0, athena(world))], [])
    (alert,) = [one for one in outcome.alerts if one["pattern"] == "MARKING_THE_CLOSE"]
    assert alert["accounts"] == [ATHENA]
    assert alert["features"]["share_of_the_volume"] >= 70
    assert "2.000 s at the end of continuous trading" in alert["steps"][0]


def test_the_small_and_the_large_orders_of_coscia_are_found() -> None:
    """CFTC 13-26: what he wanted rested and traded, so here the spoofer is the maker. One alert, both ways round, about him alone."""
    world = World(3)
    outcome = watched(world, DENSITY, 260.0, [(125.0, coscia(world))], [])
    (alert,) = outcome.alerts
    assert (alert["pattern"], alert["accounts"]) == ("SPOOFING", [COSCIA])
    assert alert["occurrences"] >= 2
    assert {one["order_id"] for one in alert["evidence"]} <= set(outcome.labels[0].orders)


def test_the_flips_of_oystacher_are_found() -> None:
    """15-cv-9196: canceled first, traded 5 ms later. The first flip might be a change of mind, so five of six are told; about him alone."""
    world = World(4)
    outcome = watched(world, DENSITY, 280.0, [(125.0, oystacher(world))], [])
    (alert,) = outcome.alerts
    assert (alert["pattern"], alert["accounts"], alert["occurrences"]) == ("SPOOFING", [OYSTACHER], 5)
    assert alert["features"]["time_from_cancel_to_trade"] == 5_000_000
    assert {one["order_id"] for one in alert["evidence"]} <= set(outcome.labels[0].orders)


def test_the_bot_of_hydro_is_found_twice() -> None:
    """Its demand is a spoof, its trades with itself are a wash; nobody else is accused."""
    world = World(4)
    outcome = watched(world, DENSITY, 280.0, [(125.0, hydro(world))], [])
    assert named(outcome) == {("SPOOFING", HYDRO), ("WASH_TRADE", HYDRO)}


def an_outcome(alerts: list[tuple[str, int]], *, manipulator: int | None = None) -> Outcome:
    """A market of ten thousand orders."""
    outcome = Outcome(DENSITY, orders=10_000)
    outcome.labels = [Label("SPOOFING", (manipulator,), 0.5, 0, 10**9, (1,))] if manipulator else []
    outcome.alerts = [
        {"pattern": pattern, "account": account, "accounts": [account], "detected_at": 5 * 10**9} for pattern, account in alerts
    ]
    return outcome


def test_true_related_and_false_alerts_are_counted_apart() -> None:
    """A manipulator's alert of another pattern is neither right nor wrong; one of a bystander is wrong, whatever happens beside it."""
    scenario = Scenario("SPOOFING", 0.5, DENSITY, 1, camouflage=False)
    found = an_outcome([("SPOOFING", PARTY), ("UNBALANCED_CANCEL", PARTY), ("SPOOFING", 77)], manipulator=PARTY)
    scores = scored([(found, scenario), (an_outcome([], manipulator=PARTY), scenario), (an_outcome([("SPOOFING", 78)]), None)])
    (cell,) = scores.table()
    assert (cell["scenarios"], cell["recall"], cell["delay_s"]) == (2, 0.5, 5.0)
    spoofing = next(one for one in scores.alerts() if one["pattern"] == "SPOOFING")
    assert (spoofing["true"], spoofing["false"], spoofing["precision"], spoofing["false_per_100k_orders"]) == (1, 2, 0.333, 6.67)
    other = next(one for one in scores.alerts() if one["pattern"] == "UNBALANCED_CANCEL")
    assert (other["related"], other["precision"]) == (1, None), "nothing to divide by is no figure"


def test_orders_are_judged_one_by_one() -> None:
    """Two of three that are listed are of the manipulation, which has four; without alerts there is no precision."""
    scenario = Scenario("SPOOFING", 0.5, DENSITY, 1, camouflage=False)
    found = an_outcome([("SPOOFING", PARTY), ("PINGING", PARTY)], manipulator=PARTY)
    found.labels = [replace(found.labels[0], orders=(1, 2, 3, 4))]
    found.alerts[0]["evidence"] = [{"order_id": order} for order in (1, 2, 9)]
    found.alerts[1]["evidence"] = [{"order_id": 3}]
    (cell,) = scored([(found, scenario)]).table()
    assert (cell["event_precision"], cell["event_recall"]) == (0.667, 0.5)
    (cell,) = scored([(an_outcome([], manipulator=PARTY), scenario)]).table()
    assert (cell["event_precision"], cell["event_recall"]) == (None, 0.0)


def test_the_command_prints_its_tables_and_writes_the_same_as_json(tmp_path: Path) -> None:
    """One pattern, one market."""
    path = tmp_path / "figures.jsonl"
    options = ["evaluate", "--quick", "--pattern", "wash_trade", "--density", "5", "--background", "1000", "--json", str(path)]
    done = CliRunner().invoke(surveillance, options)
    assert done.exit_code == 0, done.output
    assert "WASH_TRADE" in done.output
    assert "rows per CPU second" in done.output
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert {line["table"] for line in lines} == {"recall", "alerts", "baseline"}
    assert next(line for line in lines if line["table"] == "recall")["recall"] == 1.0


@pytest.mark.parametrize(
    ("options", "sentence"), [(["--density", "0"], "0"), (["--pattern", "THEFT"], "THEFT"), (["--severity", "1.1"], "1.1")]
)
def test_options_out_of_range_are_refused_with_their_value(options: list[str], sentence: str) -> None:
    """Before anything is run."""
    done = CliRunner().invoke(surveillance, ["evaluate", *options])
    assert done.exit_code == 2
    assert sentence in done.output


def test_empty_scores_are_no_figures() -> None:
    """Nothing was run."""
    assert (Scores().table(), Scores().alerts(), Scores().baseline()) == ([], [], [])
