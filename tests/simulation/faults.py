"""What goes wrong in a simulated run: drawn from its seed, told in its story, counted by kind. A seed has some kinds of fault and not others."""

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from simulated_log import SimulatedLog
from virtual_time import VirtualLoop

if TYPE_CHECKING:
    from processes import Process

MOVE: Final = "move"
KINDS: Final = (
    "crash", "lost disk", "rebalance", "zombie", "repeated batch", "repeated command", "slow broker", "slow reader", "store down", "store unsure",
    "bad bytes", "wrong clock", "forged frame", "forged record", MOVE,
)  # fmt: skip
STEPS: Final = ("send", "append", "table set", "append to the changelog", "acknowledge", "commit", "store")
"""Where a crash is aimed at; half of them are aimed at no kind of step and hit whichever comes."""
CRASHES_MAX: Final = 12


@dataclass
class World:
    """What all parts of a run share."""

    seed: int
    rng: random.Random
    loop: VirtualLoop
    log: SimulatedLog
    faults: "Faults" = field(init=False)
    counts: Counter[str] = field(default_factory=Counter)
    story: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """What must never happen and did: a role that stopped itself."""
    forged: list[tuple[str, int, int]] = field(default_factory=list)
    """Topic, partition and offset of records that an intruder has made without the key for them."""
    groups: dict[str, Any] = field(default_factory=dict)
    """Consumer groups of roles with shards, by name."""

    def __post_init__(self) -> None:
        self.faults = Faults(self)

    def tell(self, kind: str, what: str) -> None:
        """Add a line to the story."""
        self.counts[kind] += 1
        self.story.append(f"{self.loop.time() * 1000:9.2f} ms  {kind}: {what}")


class Faults:
    """Decides, from the seed, what goes wrong at each step."""

    def __init__(self, world: World) -> None:
        rng = world.rng
        self._world, self._rng = world, rng
        self.kinds = {kind for kind in KINDS if kind != MOVE and rng.random() < 0.6}
        if random.Random(world.seed).random() < 0.6:  # chances of their own: seeds without moves run as they did before there were any
            self.kinds.add(MOVE)
        self.on = False
        self.steps = 0
        self._crashes = 0
        self._pace_steps = rng.choice((20, 60, 150, 400))
        self._aim()

    def _aim(self) -> None:
        """Choose the next crash: the n-th step of a kind."""
        self._target = self._rng.choice(STEPS) if self._rng.random() < 0.5 else ""
        pace = self._pace_steps if not self._target else self._pace_steps / 10
        self._left = 1 + int(self._rng.expovariate(1 / pace))

    def strikes(self, process: "Process", what: str) -> bool:
        """Whether the process dies before this step."""
        self.steps += 1
        if not self.on or "crash" not in self.kinds or self._crashes >= CRASHES_MAX or not what.startswith(self._target):
            return False
        self._left -= 1
        if self._left:
            return False
        self._crashes += 1
        self._world.counts[f"crash before {what}"] += 1
        self._aim()
        return True

    def chance(self, kind: str, probability: float) -> bool:
        """Whether a fault of this kind happens now."""
        return self.on and kind in self.kinds and self._rng.random() < probability

    def repeats_batch(self, process: "Process", tp: tuple[str, int], records: int) -> bool:
        """Whether the acknowledgement of a batch is lost, so that its producer sends it again."""
        if not self.chance("repeated batch", 0.05):
            return False
        self._world.tell("repeated batch", f"{process.name} sends {records} records to {tp[0]}/{tp[1]} again")
        return True

    def latency_s(self, process: "Process") -> float:
        """How long the broker takes for a batch."""
        if self.chance("slow broker", 0.02):
            delay = self._rng.random() * 0.2
            self._world.tell("slow broker", f"{process.name} waits {delay * 1000:.0f} ms")
            return delay
        return self._rng.random() * 0.003

    def fetch_s(self, process: Any) -> float:
        """How long a record takes to its reader."""
        if self.chance("slow reader", 0.02):
            delay = self._rng.random() * 0.3
            self._world.tell("slow reader", f"{process.name} gets nothing for {delay * 1000:.0f} ms")
            return delay
        return self._rng.random() * 0.002
