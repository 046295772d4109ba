"""What a start of the set and a restart of a role cost: `python tests/bench/bench_start.py` (--help for options).

Out:    one JSON line: seconds until every role is ready, processor seconds of all processes until then, the roles' share of the memory (each page
        counted once, by the kernel's PSS), and the seconds that each role takes to be ready again after kill -9
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

OUTCRY = [sys.executable, "-m", "streams"]
WAIT_S = 600.0


def main() -> None:
    """Start a set in a home of its own, look, kill each role once, stop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=3, help="restarts of each role (default: 3)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="outcry-start-") as folder:
        environment = {**os.environ, "OUTCRY_HOME": folder, "OUTCRY_EDGE_PORT": "0"}
        subprocess.run([*OUTCRY, "warm"], env=environment, check=True, stdout=subprocess.DEVNULL)
        began = time.monotonic()
        subprocess.run([*OUTCRY, "up", "--all"], env=environment, check=True, stdout=subprocess.DEVNULL)
        try:
            print(json.dumps(measured(Path(folder), time.monotonic() - began, options.kills)), flush=True)
        finally:
            subprocess.run([*OUTCRY, "down"], env=environment, check=True, stdout=subprocess.DEVNULL)


def measured(home: Path, ready_s: float, kills: int) -> dict[str, Any]:
    """The figures of a set that has just become ready."""
    supervisor = psutil.Process(json.loads((home / "run" / "status.json").read_text())["pid"])
    processes = [supervisor, *supervisor.children(recursive=True)]
    ended = supervisor.cpu_times()
    cpu_s = sum(sum(process.cpu_times()[:2]) for process in processes) + ended.children_user + ended.children_system
    names = [name for name, one in children(home).items() if one["kind"] == "role"]
    return {
        "bench": "start",
        "ready_s": round(ready_s, 1),
        "cpu_s": round(cpu_s, 1),
        "role_pss_mb": {name: round(psutil.Process(children(home)[name]["pid"]).memory_full_info().pss / 1e6) for name in names},
        "back_after_kill_s": {name: sorted(round(back_s(home, name), 2) for _ in range(kills)) for name in names},
        "load_average": round(os.getloadavg()[0], 2),
    }


def children(home: Path) -> dict[str, dict[str, Any]]:
    """The children of the set by name."""
    return {one["name"]: one for one in json.loads((home / "run" / "status.json").read_text())["children"]}


def back_s(home: Path, name: str) -> float:
    """Kill one role; seconds until it is ready again."""
    killed = children(home)[name]["pid"]
    began = time.monotonic()
    os.kill(killed, signal.SIGKILL)
    while time.monotonic() - began < WAIT_S:
        now = children(home)[name]
        if now["pid"] not in (None, killed) and now["state"] == "ready":
            return time.monotonic() - began
        time.sleep(0.01)
    raise TimeoutError(f"{name} did not come back within {WAIT_S:g} s")


if __name__ == "__main__":
    main()
