"""Logs that a former version of the code wrote lead to the same output bytes and state hashes today.

A change of what the same log gives raises ENGINE_VERSION; then, and only then, new logs are recorded (record_logs.py) and the old ones go.
"""

import json
from pathlib import Path

import pytest
from record_logs import RecordedLog, load, state_hashes

from schemas.instruments import load_instruments
from streams.host.shard_runner import ENGINE_VERSION

FOLDERS = sorted(path.parent for path in Path(__file__).parent.glob("engine-*/*/log.avro"))


def test_the_recorded_logs_are_of_this_engine() -> None:
    """And there are some: an empty folder would prove nothing."""
    assert {folder.parent.name for folder in FOLDERS} == {f"engine-{ENGINE_VERSION}"}
    assert "books" in {folder.name for folder in FOLDERS}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_a_recorded_log_leads_to_the_same_bytes_and_states(folder: Path) -> None:
    """Every frame that its shards wrote, and the hash of the state that each ended with."""
    expected = json.loads((folder / "hashes.json").read_text())
    roles = {name.split()[0] for name in expected}
    assert state_hashes(RecordedLog(load(folder)), load_instruments(folder / "instruments.toml"), roles) == expected
