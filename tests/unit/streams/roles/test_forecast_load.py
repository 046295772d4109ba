"""The role forecast-load over rows in memory: what it counts, tells, keeps, and when it says nothing."""

from datetime import datetime

import aiohttp
import numpy as np
import pytest
from aiohttp import web

from forecast.costs import Costs
from forecast.slots import MINUTE_NS
from schemas.codec import FRAMES, Header, encode_frame
from schemas.enums import ExecKind
from schemas.errors import ServiceUnavailable, StaleData
from schemas.market_hours import NEW_YORK, MarketCalendar, MarketClock, ns_of
from streams.keda.scaler import Wanted
from streams.roles.forecast_load import ForecastLoad, count_sockets
from streams.roles.load_table import LoadTable
from streams.services.commands import role_names
from topics.roles import FORECAST_LOAD

CALENDAR, COSTS = MarketCalendar.load(), Costs.load()
NOON = ns_of(datetime(2026, 11, 30, 12, 0, tzinfo=NEW_YORK))
SECOND_NS = 1_000_000_000
PLACE = ("executions", 0)


class Machine:
    """A role on a machine whose clock a test sets."""

    def __init__(self, folder, scaling=True):
        self.now_ns = NOON
        self.table = LoadTable(folder / "loads.sqlite")
        self.role = ForecastLoad(COSTS, CALENDAR, MarketClock(), self.table, scaling, lambda: self.now_ns)

    def frame(self, kinds, at_ns=None):
        rows = np.zeros(len(kinds), FRAMES["execution_frame"].dtype)
        rows["kind"] = kinds
        rows["transact_time"] = self.now_ns if at_ns is None else at_ns
        return encode_frame("execution_frame", Header("book.commands/0", 1, first_seq=1, created_at=self.now_ns), rows)

    def minutes(self, count, orders=600):
        """So many minutes with orders at their beginning, each followed by a look."""
        for _ in range(count):
            self.role.take(self.frame([ExecKind.NEW] * orders + [ExecKind.LEVEL] * orders))
            self.now_ns += MINUTE_NS
            self.role.look({PLACE: 1}, caught_up=True)


def test_orders_and_rows_of_each_minute_are_counted_and_kept(tmp_path):
    """600 orders in a minute are 10 a second; LEVEL rows are no orders."""
    machine = Machine(tmp_path)
    machine.minutes(2)
    machine.now_ns += 5 * SECOND_NS
    machine.role.look({PLACE: 7}, caught_up=True)
    first = NOON // MINUTE_NS
    assert machine.table.minutes() == [
        (minute, kind, load) for minute in (first, first + 1) for kind, load in (("orders", 10.0), ("rows", 20.0))
    ]
    assert machine.table.places() == {PLACE: 7}


def test_a_restart_goes_on_with_what_the_table_has(tmp_path):
    """And does not read it as if it came twice."""
    machine = Machine(tmp_path)
    machine.minutes(3)
    machine.table.close()
    again = Machine(tmp_path)
    again.now_ns = machine.now_ns
    again.minutes(1)
    assert len(again.table.minutes()) >= 6
    assert again.role.trouble == ""


def test_before_the_end_of_the_log_is_reached_nothing_is_served(tmp_path):
    """The load of now is not known then."""
    machine = Machine(tmp_path)
    machine.role.take(machine.frame([ExecKind.NEW]))
    machine.role.look({PLACE: 1}, caught_up=False)
    assert "reads the log" in machine.role.trouble
    with pytest.raises(ServiceUnavailable, match="there is no count of edge: reads the log"):
        machine.role.wanted("edge")


def test_a_count_that_is_old_is_not_served(tmp_path):
    """A role that hangs must not look alive."""
    machine = Machine(tmp_path)
    machine.minutes(1)
    assert machine.role.wanted("edge") >= COSTS.roles["edge"].floor
    machine.now_ns += 61 * SECOND_NS
    with pytest.raises(ServiceUnavailable, match="the last one is 61 s old"):
        machine.role.wanted("edge")


def test_by_default_scalers_get_the_floor_and_the_count_is_only_told(tmp_path):
    """What it would have scaled to is in the table and in the answer."""
    machine = Machine(tmp_path, scaling=False)
    for _ in range(30):
        machine.role.take(machine.frame([ExecKind.NEW] * 4_000, NOON - 5 * SECOND_NS))
    machine.role.look({PLACE: 1}, caught_up=True)
    told = machine.role.told("edge")
    assert (told["value"], told["mode"]) == (COSTS.roles["edge"].floor, "observe")
    assert told["wanted"] == 21  # 8,000 orders a second x 1.8 ms / 0.7


@pytest.mark.parametrize("seconds", [120, 86_400])
def test_a_log_from_the_future_is_refused_with_both_times(tmp_path, seconds):
    """A clock is wrong, and nobody can say which."""
    machine = Machine(tmp_path)
    machine.role.take(machine.frame([ExecKind.NEW], NOON + seconds * SECOND_NS))
    machine.role.look({PLACE: 1}, caught_up=True)
    assert "a clock is wrong" in machine.role.trouble
    with pytest.raises(ServiceUnavailable, match="a clock is wrong"):
        machine.role.wanted("edge")


def test_a_clock_that_goes_back_is_told(tmp_path):
    """By more than a few minutes; the table stays as it was."""
    machine = Machine(tmp_path)
    machine.minutes(6)
    kept = machine.table.minutes()
    machine.now_ns -= 30 * MINUTE_NS
    machine.role.look({PLACE: 1}, caught_up=True)
    assert "a clock went back" in machine.role.trouble or "a clock is wrong" in machine.role.trouble
    assert machine.table.minutes() == kept


def test_bytes_that_are_no_frame_are_passed_over(tmp_path):
    """Who reads them first writes the dead letter."""
    machine = Machine(tmp_path)
    for value in (None, b"", b"rubbish", machine.frame([ExecKind.NEW])[:-3]):
        machine.role.take(value)
    machine.minutes(1)
    assert machine.role.trouble == ""


def test_a_table_of_another_program_is_refused(tmp_path):
    """And one that is no database."""
    (tmp_path / "loads.sqlite").write_bytes(b"no database, " * 100)
    with pytest.raises(StaleData, match=r"remove the file, it is made again from the log"):
        LoadTable(tmp_path / "loads.sqlite")


async def test_sockets_are_summed_over_edges_and_unknown_if_one_is_silent(aiohttp_free_edges):
    """Half of the sockets would be a lie."""
    one, other = aiohttp_free_edges
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
        assert await count_sockets(session, [one, other]) == 42.0
        assert await count_sockets(session, [one, "http://127.0.0.1:1"]) is None


@pytest.fixture
async def aiohttp_free_edges():
    """Two servers with an edge's metric."""
    runners, urls = [], []
    for count in (40, 2):

        async def metrics(request, count=count):
            return web.Response(text=f"# HELP x\noutcry_edge_market_data_sockets {count}.0\n")

        app = web.Application()
        app.router.add_get("/metrics", metrics)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        runners.append(runner)
        urls.append(f"http://127.0.0.1:{runner.addresses[0][1]}")
    yield urls
    for runner in runners:
        await runner.cleanup()


def test_the_role_is_optional_and_nobody_waits_for_it(tmp_path):
    """It writes nothing to the log."""
    assert FORECAST_LOAD.name not in role_names()
    assert not FORECAST_LOAD.critical and not FORECAST_LOAD.writes
    served: Wanted = Machine(tmp_path).role
    assert served.roles() == frozenset(COSTS.roles)
