"""Which worker of a role this is: workers share the partitions of their replica, replicas (active-active) each do all of the work.

A replica is a consumer group with its own tables and changelog. Every replica publishes. Readers use the first copy of a frame and drop
the others by their source marks. The workers of one replica are members of its group. Names stay plain for the only worker:

    match-orders     replica a, instance 1        match-orders-b     replica b, instance 1
    match-orders-2   replica a, instance 2        match-orders-b-2   replica b, instance 2
"""

from dataclasses import dataclass

from schemas.settings import Settings
from topics.roles import REPLICAS, ROLES


@dataclass(frozen=True)
class WorkerId:
    """One process of a role. `replica`: a letter; `instance`: counts from 1 within the replica."""

    role: str
    replica: str = "a"
    instance: int = 1

    @property
    def group(self) -> str:
        """The replica: names the consumer group (`outcry-<group>`) and the changelog."""
        return self.role if self.replica == "a" else f"{self.role}-{self.replica}"

    @property
    def name(self) -> str:
        """The process: its static membership id, data directory, log and health file."""
        return self.group if self.instance == 1 else f"{self.group}-{self.instance}"

    @property
    def options(self) -> list[str]:
        """The arguments for `outcry worker ROLE`."""
        return (["--replica", self.replica] if self.replica != "a" else []) + (
            ["--instance", str(self.instance)] if self.instance != 1 else []
        )

    def __str__(self) -> str:
        return self.name


def worker_of(settings: Settings, role: str) -> WorkerId:
    """The identity of this process, from its settings."""
    return WorkerId(role, settings.worker_replica, settings.worker_instance)


def workers_of(role: str, workers: int, replicas: int, region: int = 1) -> list[WorkerId]:
    """All processes of a role in a region, the first worker of each replica before the second ones."""
    letters = (REPLICAS if region == 1 else ROLES[role].letters(region))[:replicas]
    return [WorkerId(role, letter, instance) for instance in range(1, workers + 1) for letter in letters]
