"""A short run of `make drill`: a home that wakes up after it was taken for lost, and a planned move."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).with_name("run_regions.py")


@pytest.mark.integration
@pytest.mark.slow
def test_a_region_is_lost_and_another_one_goes_on_with_every_order_accounted_for() -> None:
    """Exit status 0: see there what has to hold. The woken home had taken orders that nobody copied; the planned move lost nothing."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OUTCRY_")}
    command = [sys.executable, str(RUN), "--tries", "1", "--fault", "woken", "--fault", "planned", "--rate", "100"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1_200, check=False)
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
    woken, _, planned, _ = map(json.loads, done.stdout.splitlines())
    assert woken["orders"] > 0 < woken["orders_after"]
    assert (planned["rpo_records"], planned["orders_unknown"]) == (0, 0)
