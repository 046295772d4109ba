"""A log that ends before what was read of it: doubted at once, judged after the broker had time, and never without its word."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from faust.types import TP

from schemas.errors import ServiceUnavailable
from streams.services.supervision.probes import role as role_probe
from streams.transport import log_ends
from streams.transport.log_ends import LogEnds

INPUT = TP("account.commands", 0)


class Broker:
    """What a role's consumer knows and can ask. ends: what the broker answers, in turn; the last one for ever."""

    def __init__(self, highwater: int | None, ends: list[int | Exception], committed: int = 0) -> None:
        self._highwater, self._ends, self._committed_offset = highwater, ends, {INPUT: committed}
        self.asked = 0

    def highwater(self, tp: TP) -> int | None:
        return self._highwater

    async def highwaters(self, *tps: TP) -> dict[TP, int]:
        answer = self._ends[min(self.asked, len(self._ends) - 1)]
        self.asked += 1
        if isinstance(answer, Exception):
            raise answer
        return dict.fromkeys(tps, answer)


def ends_of(broker: Broker, position: int | None) -> LogEnds:
    """Of hold-funds."""
    app = SimpleNamespace(consumer=broker, rebalancing=False)
    return LogEnds(cast("Any", app), "hold-funds", lambda _tp: position)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_ends, "END_WAIT_S", 0.2)
    monkeypatch.setattr(log_ends, "ASK_EVERY_S", 0.001)


async def test_a_log_that_ends_where_it_was_read_or_beyond_costs_no_question():
    """Nor does one of which nothing was heard yet; but the role is not ready before it was."""
    for highwater, trouble in ((100, ""), (120, ""), (None, "account.commands/0 has not told yet where it ends")):
        broker = Broker(highwater, [0])
        ends = ends_of(broker, 100)
        assert ends.trouble([INPUT]) == trouble
        assert await ends.lost([INPUT]) == {}
        assert broker.asked == 0


@pytest.mark.parametrize(("position", "committed"), [(100, 40), (None, 100), (40, 100)])
async def test_a_log_that_ends_before_what_was_read_is_not_ready_at_once_and_lost_after_a_while(position, committed):
    """By the role's own position, or by what its group has committed before it opened anything."""
    ends = ends_of(Broker(97, [97], committed), position)
    assert ends.trouble([INPUT]).startswith("account.commands/0 ends at 97, but hold-funds has come to 100: the log has lost its end.")
    assert (await ends.lost([INPUT])).keys() == {INPUT}


async def test_a_new_leader_that_does_not_know_its_end_yet_is_waited_for():
    """Its high watermark lags after an election; a broker that does not answer says nothing either."""
    broker = Broker(97, [97, ServiceUnavailable("away"), 99, 100])
    assert await ends_of(broker, 100).lost([INPUT]) == {}
    assert broker.asked == 4


async def test_a_broker_that_does_not_answer_is_no_lost_end():
    """However long: nobody is judged without an answer."""
    broker = Broker(97, [ServiceUnavailable("away")])
    asking = asyncio.create_task(ends_of(broker, 100).lost([INPUT]))
    while broker.asked < 500:  # more than END_WAIT_S
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        assert not asking.done()
    broker._ends = [100]
    assert await asking == {}


async def test_status_tells_of_suspicious_frames(monkeypatch: pytest.MonkeyPatch):
    """In the word that the role's probe answers."""

    async def readiness(_url: str) -> dict[str, object]:
        return {"lag_records": 3, "suspicious_frames": 2}

    monkeypatch.setattr("streams.services.supervision.probes._readiness", readiness)
    assert await role_probe("") == "ready, 3 records behind, 2 SUSPICIOUS FRAMES"
