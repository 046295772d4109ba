"""The topic `cases` and what MySQL knows of alerts, in memory: for an edge in a unit test."""

from collections.abc import Sequence
from dataclasses import replace

from edge.gateway.analysts.cases import Cases
from schemas.codec import decode_record
from schemas.errors import ServiceUnavailable
from sinks.mysql.case_queries import QueueFilter, QueueRow, StoredAction, Window
from sinks.mysql.queries import StoredAlert
from surveillance.cases.desk import Desk
from surveillance.cases.words import Status
from topics.sender import Appended

STORED = StoredAlert(
    "alert-1", "LAYERING", 1, 7, 1, 0.9, "said", 1, 2, 1_800_000_000_000_000_000, "executions/0@1", 1, "OPEN", 2, "MEDIUM", 1, "episode-1", [],
    {"accounts": [7, 8], "steps": ["said"], "detector_version": 2},
)  # fmt: skip


class CaseLog:
    """What a LogSender is to Cases, and at once the log that is read back. `before`: records of another edge that come first."""

    def __init__(self, cases: Cases) -> None:
        self._cases = cases
        self.values: list[bytes] = []
        self.before: list[bytes] = []
        self.away = False

    async def append(self, topic: str, partition: int, value: bytes) -> Appended:
        """Append, and have it read."""
        if self.away:
            raise ServiceUnavailable("away")
        for one in (*self.before, value):
            self._cases.take(len(self.values), one)
            self.values.append(one)
        self.before = []
        return Appended(topic, partition, len(self.values) - 1)

    @property
    def records(self) -> list[tuple[str, str, str]]:
        """(action, actor, case) of each."""
        found = [decode_record(value)[1] for value in self.values]
        return [(one["action"], one["actor"], one["case_id"]) for one in found]


class AlertsInMemory:
    """A CaseHistory that knows some alerts; their cases are those of an edge."""

    def __init__(self) -> None:
        self.desk = Desk()
        self.stored = {
            f"alert-{number}": replace(STORED, alert_id=f"alert-{number}", episode_key=f"episode-{number}") for number in (1, 2, 3)
        }
        self.filters: list[QueueFilter] = []

    async def queue(self, wanted: QueueFilter) -> tuple[list[QueueRow], int]:
        """Those in one of the states, and remember the question."""
        self.filters.append(wanted)
        found = [one for one in await self.alerts_named(list(self.stored)) if one.status in (wanted.statuses or tuple(Status))]
        return found, len(found)

    async def queue_counts(self, wanted: QueueFilter) -> dict[str, dict[str, int]]:
        """All are new."""
        self.filters.append(wanted)
        return {"status": {"NEW": len(self.stored)}, "severity": {}, "pattern": {}}

    async def alert_volumes(self, since_ns: int) -> list[tuple[int, str, int, int]]:
        """One day."""
        return [(20_000, "LAYERING", 2, len(self.stored))]

    async def covered(self, window: Window) -> int:
        """A number that tells the window."""
        return window.instrument + window.account

    async def alerts_named(self, alert_ids: Sequence[str]) -> list[QueueRow]:
        """Those that are known."""
        return [self._row(one) for one in alert_ids if one in self.stored]

    def _row(self, alert_id: str) -> QueueRow:
        case = next((one for one in self.desk.cases.values() if alert_id in one.alerts), None)
        if case is None:
            return QueueRow(self.stored[alert_id], "", "NEW", "", 0, 0)
        return QueueRow(self.stored[alert_id], case.case_id, case.status, case.owner, case.version, case.due_at)

    async def related_alerts(self, alert_id: str) -> list[QueueRow]:
        """All others."""
        return await self.alerts_named([one for one in self.stored if one != alert_id])

    async def actions_of_case(self, case_id: str) -> list[StoredAction]:
        """MySQL is behind."""
        return []
