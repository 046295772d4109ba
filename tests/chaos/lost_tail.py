"""The end of a run: a log loses records that roles have acted on, and the exchange must notice, say so, and come back by the documented recovery.

Not one fault among the others: what is lost is lost, so afterwards a replay from the first record does not lead to the state any more, and the proofs before would
have nothing to stand on. The set is stopped, the last batches of one partition of account.commands are cut off every copy, and the set is started again.
What must be true: hold-funds does not serve and says in its log that the log has lost its end; after docs/recovery.md it serves, decides, and money is conserved.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from schemas.errors import OutcryError
from schemas.settings import PREFIX, Settings
from streams.demo.collect import end_offsets
from streams.services.local_set import LocalSet
from streams.services.state import SERVICES
from topics.catalogue import ACCOUNT_COMMANDS

CUT_BATCHES: Final = 3
PARTITION: Final = 0
SAID: Final = "lost its end"
RECOVERY: Final = (("recover", "--yes"),)
"""The commands of docs/recovery.md, "A log that has lost its end"; services run, roles do not."""
PROOFS: Final = (("verify", "--from", "snapshot", "--json", "--quiet"), ("audit", "money", "--json", "--quiet"))
TIMEOUT_S: Final = 1_800
BATCH_HEAD: Final = 12
"""Of a batch in a segment: base offset (8), and how many bytes follow (4)."""


@dataclass
class LostTail:
    """Of a set of this shape, which runs and is at rest. `say`: what happens."""

    local: LocalSet
    roles: tuple[str, ...]
    brokers: int
    shape: dict[str, Any]
    say: Callable[[str], None]

    def play(self) -> list[str]:
        """Everything that is not as it must be. The set runs afterwards, if it can."""
        lost = self._lose()
        if not lost:
            return ["lost tail: no record was lost, so nothing was tried"]
        self.say(f"{ACCOUNT_COMMANDS.name}/{PARTITION} has lost {lost} records that were acted on")
        try:
            self.local.start(SERVICES, self.roles, self.brokers, **self.shape, timeout_s=TIMEOUT_S)
        except OutcryError as error:
            if SAID not in str(error):
                return [f"lost tail: the set did not start, and not because of it: {error}"]
            self.say(f"noticed: {error}")
        else:
            return ["lost tail: every role is ready as if nothing had happened"]
        self.local.stop()
        self.local.start(SERVICES, (), self.brokers, timeout_s=TIMEOUT_S)
        problems = [problem for command in RECOVERY for problem in self._outcry(*command)]
        if not problems:
            self.local.start(SERVICES, self.roles, self.brokers, **self.shape, timeout_s=TIMEOUT_S)
            problems = [problem for command in PROOFS for problem in self._outcry(*command)]
        return [f"lost tail: {problem}" for problem in problems]

    def _lose(self) -> int:
        """Cut every copy; how many offsets the partition has less."""
        before = _end(self.local.connected_settings())
        self.local.stop()
        copies = sorted(self.local.settings.data_dir.glob(f"kafka*/**/{ACCOUNT_COMMANDS.name}-{PARTITION}"))
        for copy in copies:
            cut_off(copy, CUT_BATCHES)
        self.local.start(SERVICES, (), self.brokers, timeout_s=TIMEOUT_S)
        after = _end(self.local.connected_settings())
        self.local.stop()
        return before - after

    def _outcry(self, *command: str) -> list[str]:
        """What an `outcry` command complains of."""
        home = {PREFIX + "HOME": str(self.local.settings.home)}
        environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)} | home
        done = subprocess.run(
            [sys.executable, "-m", "streams", *command], env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )  # fmt: skip
        self.say(f"outcry {' '.join(command)}: exit code {done.returncode}")
        return [f"outcry {' '.join(command)}: {(done.stderr or done.stdout).strip()[-500:]}"] if done.returncode else []


def cut_off(partition: Path, batches: int) -> None:
    """Remove the last batches of a stopped broker's copy of a partition, and what it has noted of them: as after an unclean loss of its machine."""
    segment = max(partition.glob("*.log"))
    starts, at, size = [], 0, segment.stat().st_size
    with segment.open("r+b") as file:
        while at + BATCH_HEAD <= size:
            file.seek(at)
            starts.append(at)
            at += BATCH_HEAD + int.from_bytes(file.read(BATCH_HEAD)[8:])
        file.truncate(starts[max(0, len(starts) - batches)] if starts else 0)
    for index in (".index", ".timeindex"):  # made anew from the segment
        segment.with_suffix(index).unlink(missing_ok=True)


def _end(settings: Settings) -> int:
    return end_offsets(settings, ACCOUNT_COMMANDS)[ACCOUNT_COMMANDS.name, PARTITION]
