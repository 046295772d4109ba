"""A short run of tests/tamper/run_tampering.py: every kind of tampering is found and named, and no honest log is suspected."""

import tempfile
from pathlib import Path

import pytest
from run_tampering import in_memory, tamper
from tamperings import KINDS


@pytest.fixture
def folder():
    """In memory, if possible."""
    with tempfile.TemporaryDirectory(dir=in_memory()) as made:
        yield Path(made)


def test_every_kind_of_tampering_is_found_and_named(folder, told):
    """Two of each kind, and honest logs whose processes died on the way."""
    result = tamper(seed=20_261, tamperings=2 * len(KINDS), honest=8, folder=folder)
    assert result.missed == []
    assert result.false_alarms == []
    assert len(result.by_kind) == len(KINDS) >= 12
    told.append(
        f"audit logs: {result.by_kind.total()} tamperings of {len(result.by_kind)} kinds, all named; {result.honest} honest logs, none suspected"
    )


def test_a_check_that_looks_away_would_be_noticed(folder, monkeypatch):
    """The run itself can fail: with a check of tiles that checks nothing, tamperings are missed."""
    monkeypatch.setattr("audit.whole_log._check_tile", lambda *facts: None)
    assert tamper(seed=1, tamperings=len(KINDS), honest=0, folder=folder).missed
