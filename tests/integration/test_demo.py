"""`outcry demo` as a user runs it: a short session on services and roles of its own, and the verdict."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FIELDS = {
    "orders_accepted", "orders_rejected", "trades", "trades_mysql", "trades_elasticsearch", "trades_websocket", "last_price_mismatches",
    "money_conserved", "shares_conserved", "alerts", "order_to_execution_ms", "price_update_ms", "reconciled",
}  # fmt: skip


def run_demo(home: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """The finished process and its summary."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OUTCRY_")}
    command = [sys.executable, "-m", "streams", "demo", "--home", str(home), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400, check=False)
    assert (home / "summary.json").exists(), done.stdout[-3_000:] + done.stderr[-3_000:]
    return done, json.loads((home / "summary.json").read_text())


@pytest.mark.slow
def test_a_short_session_reconciles_everywhere(tmp_path: Path) -> None:
    """Exit code 0, every figure there, the manipulator caught, nothing left running."""
    done, summary = run_demo(tmp_path / "home", "--seconds", "10", "--traders", "24", "--rate", "60", "--seed", "3")
    assert done.returncode == 0, "\n".join(summary["disagreements"]) + done.stdout[-3_000:]
    assert summary.keys() >= FIELDS and summary["reconciled"] and not summary["disagreements"]
    assert summary["trades"] == summary["trades_mysql"] == summary["trades_elasticsearch"] == summary["trades_websocket"] > 0
    assert summary["alerts"] >= 1 and summary["money_conserved"] and summary["shares_conserved"] and summary["last_price_mismatches"] == 0
    assert summary["order_to_execution_ms"]["samples"] > 0 and summary["price_update_ms"]["samples"] > 0
    assert "everything agrees" in done.stdout
    assert not (tmp_path / "home" / "run" / "services.json").exists(), "the set was stopped"
