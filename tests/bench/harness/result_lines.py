"""The JSON line that every bench prints for a result: its name, its figures, and where they were measured.

    {"bench": "latency", "rate_per_s": 200, "p50_ms": ..., "machine": "2 cores, ...", "commit": "0985b6e1c2d3", "date": "2026-11-29", "load_average": 0.4}

A figure's name ends in its unit. `figures.py` stores such lines and writes the tables of docs/benchmarks.md from them.
"""

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import psutil

ROOT: Final = Path(__file__).parents[3]
WHERE: Final = ("machine", "commit", "date", "load_average")
"""What `print_result` adds to the figures."""
UNCOMMITTED: Final = "+"
"""Ends the commit of a tree whose code differs from it."""


def print_result(bench: str, figures: dict[str, Any]) -> None:
    """Print one result."""
    where = {"machine": machine(), "commit": commit(), "date": datetime.now(UTC).date().isoformat()}
    print(json.dumps({"bench": bench, **figures, **where, "load_average": round(os.getloadavg()[0], 1)}), flush=True)


@cache
def machine() -> str:
    """Cores, processor, memory, system."""
    return f"{os.cpu_count()} cores, {_processor()}, {psutil.virtual_memory().total / 2**30:.0f} GiB, {platform.system()} {platform.release().partition('-')[0]}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


@cache
def commit() -> str:
    """Of this repository: 12 digits, with UNCOMMITTED behind them if anything but documents has changed since. "unknown" without git."""
    try:
        changed = _git("status", "--porcelain", "--", ".", ":(exclude)docs", ":(exclude)*.md")
        return _git("rev-parse", "--short=12", "HEAD") + (UNCOMMITTED if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
