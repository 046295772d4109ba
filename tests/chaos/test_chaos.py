"""A short run of `make chaos`: a broker and a worker die at once, a zombie, a full disk and a frozen child while orders come in, and every proof at the end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).with_name("run_chaos.py")
SEED = 102
"""Its first four faults are one of each of these kinds, with different victims."""
FAULTS = 4
KINDS = ("kill role and broker", "zombie role", "full disk, role", "frozen role")
"""A full home is test_full_home's; `make chaos` has every kind."""


@pytest.mark.integration
@pytest.mark.slow
def test_faults_while_orders_come_in_lose_and_double_nothing(tmp_path: Path) -> None:
    """Exit status 0: each victim serves again, all facts agree, every shard is the same as its replay, money is conserved; nothing is left running."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OUTCRY_")}
    only = [argument for kind in KINDS for argument in ("--only", kind)]
    done = subprocess.run(
        [sys.executable, str(RUN), "--faults", str(FAULTS), "--seed", str(SEED), "--rate", "40", "--no-lost-tail", "--home", str(tmp_path / "home"), *only],
        env=environment, capture_output=True, text=True, timeout=3_600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr[-3_000:]
    (line,) = [one for one in done.stdout.splitlines() if not one.startswith("#")]
    told = json.loads(line)
    assert {kind["kind"] for kind in told["kinds"]} == set(KINDS)
    assert told["done"] + told["skipped"] == FAULTS and told["done"] >= FAULTS - 1 and not told["problems"]
    assert told["facts_agree"] == told["facts"] > 40 and told["shards_verified"] == 9 and told["hashes_compared"] > 6
    assert told["money_agrees"] and told["trades"] > 0 and told["dead_letters"] == 0
    assert not (tmp_path / "home" / "run" / "services.json").exists(), "the set was stopped"
