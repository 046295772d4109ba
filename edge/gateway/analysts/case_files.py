"""What analysts read: the queue, the files of cases, what suppressions cover. MySQL is asked, and what it does not have yet is in memory."""

import time
from typing import Any, Final

from edge.gateway.analysts.cases import Cases
from edge.gateway.outcomes import Accepted, Unavailable
from edge.gateway.stored.history import CaseHistory, recorded
from schemas.instruments import InstrumentTable
from sinks.mysql.case_queries import QueueFilter, QueueRow, StoredAction, Window
from surveillance.cases.suppression import PROPOSED, Suppression
from surveillance.cases.words import FIRST_LOOK_NS

FIRST_LOOK: Final = tuple(FIRST_LOOK_NS.items())
_WHAT: Final = "alerts and cases"


class CaseFiles:
    """Every method answers Unavailable while MySQL is away."""

    def __init__(self, cases: Cases, history: CaseHistory, instruments: InstrumentTable) -> None:
        self._cases, self._history, self._instruments = cases, history, instruments

    async def queue(self, wanted: QueueFilter) -> Accepted[tuple[list[QueueRow], int]] | Unavailable:
        """Alerts with their cases, and how many pass the filter in all."""
        return await recorded(self._history.queue(wanted), _WHAT)

    async def counts(self, wanted: QueueFilter) -> Accepted[dict[str, dict[str, int]]] | Unavailable:
        """By status, severity and pattern."""
        return await recorded(self._history.queue_counts(wanted), _WHAT)

    async def volumes(self, since_ns: int) -> Accepted[list[tuple[int, str, int, int]]] | Unavailable:
        """(day, pattern, version of its rule, alerts)."""
        return await recorded(self._history.alert_volumes(since_ns), _WHAT)

    async def alerts(self, alert_ids: tuple[str, ...]) -> Accepted[list[QueueRow]] | Unavailable:
        """These alerts."""
        return await recorded(self._history.alerts_named(alert_ids), _WHAT)

    async def related(self, alert_id: str) -> Accepted[list[QueueRow]] | Unavailable:
        """Others of the same account, or of its pattern and instrument."""
        return await recorded(self._history.related_alerts(alert_id), _WHAT)

    async def covered(self, one: Suppression) -> Accepted[int] | Unavailable:
        """How many alerts a suppression has kept out of the queue so far."""
        window = self._window(one)
        return Accepted(0) if window is None else await recorded(self._history.covered(window), _WHAT)

    async def actions(self, case_id: str) -> Accepted[list[StoredAction]] | Unavailable:
        """All records about a case or suppression that this edge has read, in the order of the log."""
        newest = self._cases.newest(case_id)
        stored = await recorded(self._history.actions_of_case(case_id), _WHAT)
        if isinstance(stored, Unavailable):
            return stored
        found = {one.log_offset: one for one in stored.value}
        found |= {offset: StoredAction(offset, refusal, record) for offset, record, refusal in newest}
        return Accepted([found[offset] for offset in sorted(found)])

    def windows(self) -> tuple[Window, ...]:
        """What suppressions keep out of the queue."""
        found = (self._window(one) for one in self._cases.desk.suppressions.values())
        return tuple(one for one in found if one is not None)

    def _window(self, one: Suppression) -> Window | None:
        """None: it covers nothing, because it is not approved or because its symbol is gone."""
        instrument = self._instruments.by_symbol.get(one.symbol)
        if one.status == PROPOSED or (one.symbol and instrument is None):
            return None
        end = min(one.expires_at, one.ended_at or one.expires_at)
        return Window(one.pattern, instrument.number if instrument else 0, one.account, one.begins_at, end) if one.begins_at < end else None


def record_of(action: str, case_id: str, version: int, actor: str, roles: frozenset[str], **fields: Any) -> dict[str, Any]:
    """A record of case_action.avsc, at the time of this machine."""
    return {
        "action": action, "case_id": case_id, "version": version, "actor": actor, "roles": sorted(roles), "at": time.time_ns(),
        "comment": "", "reason": "", "to": "", "alerts": [], "facts": {}, **fields,
    }  # fmt: skip
