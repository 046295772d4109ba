"""Notice that an input log has lost its end: it ends before what a role has read of it. Judged by the broker, and not before it had time to catch up.

Kafka loses acknowledged records only with every replica that had them (one copy and an unclean end of its broker; an unclean election). The consumer
would then begin again at the first record, everything that it gets be a repeat, and what is appended meanwhile be taken for repeats as well.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import faust
import structlog
from faust.types import TP

from schemas.errors import ServiceUnavailable, StaleData
from streams.transport.app import fail_fast
from topics.log_ends import lost_end

log = structlog.get_logger("outcry.streams")

END_WAIT_S: Final = 15.0
"""A new leader tells the end that it knows to be in all replicas, which lags for a moment after an election (1 s here); no longer than this."""
ASK_EVERY_S: Final = 0.5

Position = Callable[[TP], int | None]


class LogEnds:
    """Of a role's assigned partitions. position: the next offset that the role needs; None where only the group's commit is known."""

    def __init__(self, app: faust.App, role: str, position: Position) -> None:
        self._app, self._role, self._position = app, role, position

    def doubtful(self, assigned: Iterable[TP]) -> dict[TP, int]:
        """Where the last answer to a fetch ends before what was read, with what was read. Costs no request."""
        if self._app.rebalancing:
            return {}
        found = {}
        for tp in assigned:
            end, position = self._app.consumer.highwater(tp), self.needed(tp)
            if end is not None and end < position:
                found[tp] = position
        return found

    def needed(self, tp: TP) -> int:
        """How far the role has read: by itself, or by what its group has committed."""
        committed: Mapping[TP, int | None] = self._app.consumer._committed_offset  # type: ignore[attr-defined]  # Faust's own note
        return max(self._position(tp) or 0, committed.get(tp) or 0)

    def trouble(self, assigned: Iterable[TP]) -> str:
        """For /readyz; "" where every input has said where it ends, and none is doubtful.

        A role that called itself ready before would do so on a log that has lost its end, until the first answer came.
        """
        mine = list(assigned)
        for tp, position in self.doubtful(mine).items():
            return self._sentence(tp, self._app.consumer.highwater(tp), position)
        for tp in mine:
            if self._app.consumer.highwater(tp) is None:
                return f"{tp.topic}/{tp.partition} has not told yet where it ends"
        return ""

    async def lost(self, assigned: Iterable[TP]) -> dict[TP, str]:
        """The partitions that have lost their ends, in words, once END_WAIT_S have passed and the broker still says so."""
        doubtful = self.doubtful(assigned)
        deadline = asyncio.get_running_loop().time() + END_WAIT_S
        ends: Mapping[TP, int] = {}
        while doubtful:
            try:
                ends = await self._app.consumer.highwaters(*doubtful)
                doubtful = {tp: position for tp, position in doubtful.items() if ends[tp] < position}
            except ServiceUnavailable as error:
                log.warning("cannot ask where an input ends", detail=repr(error))
            if self._app.rebalancing:
                return {}  # asked again for whoever has them next
            if asyncio.get_running_loop().time() > deadline and ends:
                break
            await asyncio.sleep(ASK_EVERY_S)
        return {tp: self._sentence(tp, ends[tp], position) for tp, position in doubtful.items()}

    def _sentence(self, tp: TP, end: int, position: int) -> str:
        return lost_end(f"{tp.topic}/{tp.partition}", end, self._role, position)


def end_for(sentence: str, what: str = "an input has lost its end") -> None:
    """End the process with it, after `what`: exit code 70, the sentence as the last line of the log, so the note in `outcry status`."""
    try:
        _stop(sentence)
    except StaleData:
        fail_fast(what)


def _stop(sentence: str) -> None:
    raise StaleData(sentence)
