"""A short run of `make replicas`: a primary and three replicas, each kind of fault once, every way of a promotion."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).with_name("run_replicas.py")


@pytest.mark.integration
@pytest.mark.slow
def test_no_read_with_a_place_is_stale_and_no_row_is_lost(tmp_path: Path) -> None:
    """Exit status 0: the oracle found nothing, and it would have: some reads without a place were stale."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OUTCRY_")}
    done = subprocess.run(
        [sys.executable, str(RUN), "--replicas", "3", "--reads", "600", "--faults", "5", "--promotions", "4", "--readers", "8",
         "--promoted-within", "300", "--home", str(tmp_path / "home")],
        env=environment, capture_output=True, text=True, timeout=1_800, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["stale_with_token"] == 0 < told["stale_without"] and told["reads_with_token"] >= 600
    assert {one["how"] for one in told["promotions"]} == {"asked", "alone", "frozen", "torn"} and told["rebuilt"] >= 1
    assert not (tmp_path / "home" / "run" / "services.json").exists(), "the set was stopped"
