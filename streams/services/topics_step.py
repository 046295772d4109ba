"""The step between services and roles: see that the local data belongs to this Kafka, then `outcry topics create`."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import structlog

from schemas.errors import OutcryError, StaleData
from schemas.settings import Settings
from streams.services import probes
from streams.services.recipe import run_tool, write_atomically
from streams.services.state import ChildStatus, State, now

log = structlog.get_logger()


class TopicsStep:
    """Runs once per supervisor; roles wait for it."""

    def __init__(self, settings: Settings, command: list[str], changed: Callable[[], None]) -> None:
        """command: what creates the topics; must be idempotent."""
        self._settings, self._command, self._changed = settings, command, changed
        self._log_path = settings.log_dir / "topics.log"
        self.status = ChildStatus("topics", "step", since=now(), log=str(self._log_path))
        self.done = asyncio.Event()

    async def run(self, services_ready: Callable[[], object], kafka_url: Callable[[], str]) -> None:
        """services_ready: gives an awaitable; kafka_url: asked only after that."""
        await services_ready()  # type: ignore[misc]
        self._set(State.STARTING, "")
        try:
            cluster = await probes.kafka_cluster_id(kafka_url())
            check_cluster(self._settings.data_dir, cluster)
            await asyncio.to_thread(run_tool, self._command, "`outcry topics create`", self._log_path)
        except OutcryError as error:
            log.error("topics.failed", reason=str(error))  # noqa: TRY400 - the reason is the news, not our stack
            self._set(State.FAILED, str(error))
        else:
            self._set(State.READY, "")
        self.done.set()

    def _set(self, state: State, message: str) -> None:
        self.status = replace(self.status, state=state, message=message, since=now(), well=state is State.READY)
        self._changed()


def check_cluster(data_dir: Path, cluster_id: str) -> None:
    """Remember to which Kafka cluster the state in data_dir belongs.

    Raises StaleData if it is another one: offsets and snapshots of one log mean nothing in another.
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
