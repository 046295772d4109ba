"""The step between services and roles: check that the local data belongs to this Kafka, then `outcry topics create`."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import structlog

from schemas.errors import OutcryError, StaleData
from schemas.settings import Settings
from streams.process.files import write_atomically
from streams.services.recipes.recipe import run_tool
from streams.services.state import ChildStatus, State, now
from streams.services.supervision import probes

log = structlog.get_logger("outcry.supervisor")


class TopicsStep:
    """Runs once per supervisor; roles wait for it. work: gets the address of Kafka. Its OutcryError keeps the roles from starting."""

    def __init__(self, log_path: Path, work: Callable[[str], Awaitable[None]], changed: Callable[[], None]) -> None:
        """Nothing runs before `run`."""
        self._work, self._changed = work, changed
        self.status = ChildStatus("topics", "step", since=now(), log=str(log_path))
        self.done = asyncio.Event()

    async def run(self, services_ready: Callable[[], Awaitable[None]], kafka_url: Callable[[], str]) -> None:
        """kafka_url: asked only when the services are ready."""
        await services_ready()
        self._set(State.STARTING, "")
        try:
            await self._work(kafka_url())
        except (OutcryError, OSError) as error:
            log.error("topics.failed", reason=str(error))  # noqa: TRY400 - the reason is the news, not our stack
            self._set(State.FAILED, str(error))
        else:
            self._set(State.READY, "")
        self.done.set()

    def _set(self, state: State, message: str) -> None:
        self.status = replace(self.status, state=state, message=message, since=now(), well=state is State.READY)
        self._changed()


async def create_topics(settings: Settings, command: list[str], kafka_url: str) -> None:
    """The real work of the step. command: creates the topics and is idempotent. Raises OutcryError."""
    check_cluster(settings.data_dir, await probes.kafka_cluster_id(kafka_url))
    await asyncio.to_thread(run_tool, command, "`outcry topics create`", settings.log_dir / "topics.log")


def check_cluster(data_dir: Path, cluster_id: str) -> None:
    """Remember which Kafka cluster the state in data_dir belongs to.

    Raises StaleData if it is another cluster: offsets and snapshots of one log mean nothing in another.
    """
    path = data_dir / "kafka-cluster-id"
    if not path.exists():
        write_atomically(path, cluster_id)
    known = path.read_text().strip()
    if known != cluster_id:
        raise StaleData(
            f"the state in {data_dir} belongs to Kafka cluster {known}, the broker in use is of cluster {cluster_id}: "
            f"point OUTCRY_KAFKA_URL to the former, or use another OUTCRY_HOME, or move {data_dir} away"
        )
