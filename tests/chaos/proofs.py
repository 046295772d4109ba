"""What must be true at the end of a run, beyond what the demo's session compares: the commands that prove it to a user, and what the logs say.

`outcry verify` replays every shard from the first record: outputs and state hashes equal; `outcry audit money` proves conservation by the log and by MySQL.
"""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from schemas.codec import decode_record
from schemas.settings import PREFIX, Settings
from streams.demo.collect import read_topic
from topics.catalogue import DEAD_LETTERS

PROOF_TIMEOUT_S: Final = 1_800
EXIT: Final = re.compile(r"event=child\.exited name=(?P<name>\S+) reason=(?P<quote>\"?)(?P<reason>.*?)(?P=quote) restart_in_s=")
STAMP: Final = re.compile(r"timestamp=\S+ level=\w+ role=\S+ |\[\d[^]]*\] ")
KILLED: Final = "killed by SIGKILL"
SHOWN: Final = 160


@dataclass
class Proofs:
    """What was proven; `problems` is empty when all of it was."""

    shards: list[dict[str, Any]] = field(default_factory=list)
    money: dict[str, Any] = field(default_factory=dict)
    dead_letters: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def prove(settings: Settings) -> Proofs:
    """Ask everything, whatever the answers."""
    proofs = Proofs()
    verified, proofs.shards = _outcry(settings.home, "verify")
    audited, money = _outcry(settings.home, "audit", "money")
    proofs.money = money[0] if money else {}

    def take(partition: int, value: bytes, _time_ns: int) -> None:
        letter = decode_record(value)[1]
        proofs.dead_letters.append(f"{letter['topic']}/{letter['partition']} offset {letter['offset']}: {letter['reason']}")

    read_topic(settings, DEAD_LETTERS, take)
    proofs.problems += [f"verify: {one}" for one in (*verified, *(s["difference"] for s in proofs.shards if not s["same"]))]
    proofs.problems += [f"audit money: {one}" for one in (*audited, *proofs.money.get("problems", []))]
    proofs.problems += [f"dead letter: {one}" for one in proofs.dead_letters]
    return proofs


def _outcry(home: Path, *command: str) -> tuple[list[str], list[dict[str, Any]]]:
    """(what it complained of, its JSON lines) of an `outcry` command on the running set."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)} | {PREFIX + "HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-m", "streams", *command, "--json", "--quiet"],
        env=environment, capture_output=True, text=True, timeout=PROOF_TIMEOUT_S, check=False,
    )  # fmt: skip
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return [done.stderr.strip()[-500:]] if done.returncode and not lines else [], lines


def own_ends(log_dir: Path) -> Counter[tuple[str, str]]:
    """Processes that ended without being killed, by (name, why): a role that stops rather than go on is no fault, but it is worth a look."""
    found: Counter[tuple[str, str]] = Counter()
    for line in (log_dir / "supervisor.log").read_text(errors="replace").splitlines():
        match = EXIT.search(line)
        if match and KILLED not in match["reason"]:
            found[match["name"], STAMP.sub("", match["reason"])[:SHOWN]] += 1
    return found
