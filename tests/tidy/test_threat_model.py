"""Every line of the threat model names tests that are there, and every attack is in it."""

import re

from at_every_door import ATTACKS
from tree import ROOT, tracked

PAGE = (ROOT / "docs" / "threat-model.md").read_text()
THREATS = [line for line in PAGE.splitlines() if re.match(r"\| [STRIDE] \|", line)]


def test_every_threat_names_its_tests():
    """By the name of an attack or of a test function."""
    known = {attack.name for attack in ATTACKS}
    for path in tracked():
        if path.startswith("tests/") and path.endswith(".py"):
            known |= set(re.findall(r"^(?:async )?def (test_\w+)", (ROOT / path).read_text(), re.MULTILINE))
    assert len(THREATS) >= 25
    for line in THREATS:
        named = re.findall(r"`(\w+)`", line.split("|")[-2])
        assert named, line
        assert set(named) <= known, line


def test_every_attack_is_in_the_threat_model():
    """A new one has its line."""
    assert {attack.name for attack in ATTACKS} <= set(re.findall(r"`(\w+)`", PAGE))


def test_the_threat_model_counts_the_attacks():
    """The only place that does."""
    assert re.findall(r"are attacks, (\d+) of them", PAGE) == [str(len(ATTACKS))]
