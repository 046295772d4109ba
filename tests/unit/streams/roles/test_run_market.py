"""The role run-market over books in memory: a year of days in fast motion, restarts, two at once, and an operator's word."""

import asyncio
import random
from bisect import bisect_left
from datetime import date, datetime, time, timedelta
from operator import itemgetter

import exchange_calendars
import pytest

from matchers.books.reference.shard import BookShard
from matchers.rules.outputs import BOOK_COMMAND_DTYPE, rows_of
from schemas.codec import Header, decode_frame, encode_frame
from schemas.enums import BookCommandKind, ExecKind, Phase
from schemas.errors import ServiceUnavailable
from schemas.instruments import load_instruments
from schemas.market_hours import NEW_YORK, CalendarEnds, MarketCalendar, MarketClock, ns_of, steps_of
from schemas.marks import Marks
from schemas.settings import Settings
from streams.roles.run_market import Commanded, RunMarket
from streams.services.commands import role_names
from topics.catalogue import BOOK_COMMANDS, CALENDAR
from topics.partitioning import book_shard
from topics.roles import RUN_MARKET
from topics.sources import sources_of

pytestmark = pytest.mark.asyncio
TABLE, CALENDAR_OF_NYSE = load_instruments(None), MarketCalendar.load()
FIRST, SECOND = (one.number for one in list(TABLE)[:2])
MINUTE = timedelta(minutes=1)


class Market:
    """Books behind their log, as match-orders runs them; and the clock on the wall."""

    def __init__(self, partitions=2):
        self.partitions = partitions
        self.now_ns = 0
        self.log = [[] for _ in range(partitions)]
        self.books = [BookShard(number, TABLE, partitions) for number in range(partitions)]
        self.marks = [Marks() for _ in range(partitions)]
        self.changes = []
        self.scans = 0
        self.away = False

    def at(self, moment):
        """The clock says so."""
        self.now_ns = ns_of(moment)

    def role(self, calendar=None, clock=None):
        """A process, started now."""
        return RunMarket(calendar or CALENDAR_OF_NYSE, clock or MarketClock(), TABLE, self.partitions, self, lambda: self.now_ns)

    async def commanded(self, since_ns):
        """As streams.roles.run_market.CommandLog."""
        self._answer()
        self.scans += 1
        found = {number: Commanded() for number in range(self.partitions)}
        for number, records in enumerate(self.log):
            for at_ns, value in records[bisect_left(records, since_ns, key=itemgetter(0)) :]:
                found[number].note(value, at_ns)
        return found

    async def append(self, frames):
        """As streams.roles.run_market.CommandLog."""
        self._answer()
        for partition, value in frames.items():
            self.take(partition, value)

    def _answer(self):
        if self.away:
            raise ServiceUnavailable("Kafka does not answer")

    def take(self, partition, value):
        """Append, and let the books do it, unless they have done it before."""
        self.log[partition].append((self.now_ns, value))
        frame = decode_frame(value, "book_command_frame")
        sources = sources_of(BOOK_COMMANDS, partition)
        if not sources.is_shard(frame.header) or self.marks[partition].take(frame.header, self.now_ns):
            rows = self.books[partition].apply(frame.rows).executions
            self.changes += [(int(row["instrument"]), Phase(int(row["phase"]))) for row in rows if row["kind"] == ExecKind.SECURITY_STATUS]

    def command(self, kind=BookCommandKind.TIMER, source="operator-1", **columns):
        """A frame of somebody's to every partition."""
        rows = rows_of(BOOK_COMMAND_DTYPE, [{"kind": kind, "transact_time": self.now_ns, **columns}])
        for partition in range(self.partitions):
            if not columns.get("instrument") or book_shard(columns["instrument"], self.partitions) == partition:
                self.take(partition, encode_frame("book_command_frame", Header(source), rows))

    def session(self, phase, instrument=0, **columns):
        """`outcry session`."""
        self.command(BookCommandKind.TRADING_SESSION_CHANGE, instrument=instrument, phase=phase, **columns)

    def phase(self, instrument=FIRST):
        """Of one book."""
        return self.books[book_shard(instrument, self.partitions)].state.books[instrument].phase

    def phases(self):
        """Of all books."""
        return {book.phase for shard in self.books for book in shard.state.books.values()}

    def steps(self):
        """Numbers of the steps in the log of the first partition, in order."""
        headers = [decode_frame(value, "book_command_frame").header for _, value in self.log[0]]
        return [one.source_offset for one in headers if one.source == CALENDAR]


def meant(at, session):
    """The phase that the library's session of the day (None: no session) is meant to be in, behind the timer of this minute."""
    if session is None:
        return Phase.CLOSED
    opens, closes = session
    bounds = [
        (datetime.combine(at.date(), time(6, 30), NEW_YORK), Phase.PRE_OPEN), (opens - 2 * MINUTE, Phase.OPENING_AUCTION),
        (opens, Phase.CONTINUOUS), (closes - 5 * MINUTE, Phase.CLOSING_AUCTION), (closes, Phase.POST_CLOSE), (closes + 5 * MINUTE, Phase.CLOSED),
    ]  # fmt: skip
    return next((phase for begins, phase in reversed(bounds) if at >= begins), Phase.CLOSED)


@pytest.mark.slow
async def test_a_year_of_days_has_every_phase_at_its_minute_whoever_is_restarted_when():
    """Holidays, half days and daylight saving are the library's; one of two processes, or both, may be started anew at any minute."""
    schedule = exchange_calendars.get_calendar("XNYS", start="2026-01-01", end="2026-12-31").schedule
    sessions = {
        day.date(): (row.open.tz_convert(NEW_YORK).to_pydatetime(), row.close.tz_convert(NEW_YORK).to_pydatetime())
        for day, row in schedule.iterrows()
    }
    chance, market = random.Random(18), Market(1)
    market.at(datetime(2026, 1, 1, 5, tzinfo=NEW_YORK))
    processes = [market.role(), market.role()]
    restarts = 0
    for day in (date(2026, 1, 1) + timedelta(days=number) for number in range(365)):
        session = sessions.get(day)
        closes = session[1] if session else datetime.combine(day, time(16), NEW_YORK)
        starts = [datetime.combine(day, at, NEW_YORK) for at in (time(6, 30), time(9, 28), time(9, 30), time(12))]
        starts += [closes - 5 * MINUTE, closes, closes + 5 * MINUTE]
        for minute in (start + offset for start in starts for offset in (-MINUTE, timedelta())):
            market.at(minute)
            for number in range(2):
                if chance.random() < 0.2:
                    processes[number], restarts = market.role(), restarts + 1
                if chance.random() < 0.7 or number == minute.minute % 2:
                    await processes[number].look()
            market.command(source="clock")
            assert market.phases() == {meant(minute, session)}, minute
    assert len(sessions) == 251
    assert restarts > 1_000
    assert market.marks[0].suspicious == 0
    assert market.steps() != sorted(set(market.steps())), "two processes have sent the same steps"


async def test_each_step_changes_a_book_once():
    """Two processes send it; the book takes one."""
    market = Market()
    one, other = market.role(), market.role()
    day = date(2026, 3, 9)
    for step in steps_of(CALENDAR_OF_NYSE.on(day)):
        market.now_ns = step.at_ns
        await asyncio.gather(one.look(), other.look())
        market.command(source="clock")
    told = [phase for number, phase in market.changes if number == FIRST]
    calls = [Phase.CLOSED, Phase.PRE_OPEN, Phase.PRE_OPEN, Phase.OPENING_AUCTION]  # each behind the book's new end of trading
    assert told == [*calls, Phase.CONTINUOUS, Phase.CLOSING_AUCTION, Phase.POST_CLOSE, Phase.CLOSED]
    assert market.scans == 0, "a process that has begun the day reads nothing"


@pytest.mark.parametrize(
    ("start", "phase"),
    [
        ((9, 29), Phase.OPENING_AUCTION),
        ((11, 0), Phase.CONTINUOUS),
        ((15, 54), Phase.CONTINUOUS),
        ((15, 57), Phase.CLOSED),
        ((20, 0), Phase.CLOSED),
    ],
)
async def test_a_late_start_goes_to_the_phase_that_should_be(start, phase):
    """A market that was closed all day does not begin with a closing auction."""
    market = Market()
    market.at(datetime(2026, 3, 9, *start, tzinfo=NEW_YORK))
    await market.role().look()
    assert market.phases() == {phase}


async def test_a_start_behind_an_auction_that_was_never_called_opens():
    """The process died between pre-open and the opening auction."""
    market = Market()
    market.at(datetime(2026, 3, 9, 6, 30, tzinfo=NEW_YORK))
    await market.role().look()
    market.at(datetime(2026, 3, 9, 9, 40, tzinfo=NEW_YORK))
    market.command(source="clock")
    assert market.phases() == {Phase.OPENING_AUCTION}
    await market.role().look()
    assert market.phases() == {Phase.CONTINUOUS}


async def test_an_operators_word_stands_until_the_next_phase():
    """Given while the process was away, and while it ran; and for one instrument it stands for that one."""
    market = Market()
    role = market.role()
    market.at(datetime(2026, 3, 9, 9, 28, tzinfo=NEW_YORK))
    await role.look()
    market.at(datetime(2026, 3, 9, 9, 31, tzinfo=NEW_YORK))
    market.command(source="clock")
    await role.look()
    market.session(Phase.CLOSED, SECOND)
    for process in (role, market.role()):
        await process.look()
        assert (market.phase(FIRST), market.phase(SECOND)) == (Phase.CONTINUOUS, Phase.CLOSED)
    market.at(datetime(2026, 3, 9, 15, 56, tzinfo=NEW_YORK))
    market.session(Phase.CONTINUOUS, SECOND)
    restarted = market.role()
    await restarted.look()
    assert (market.phase(FIRST), market.phase(SECOND)) == (Phase.CLOSING_AUCTION, Phase.CONTINUOUS)
    assert restarted.status()["overruled_instruments"] == [SECOND]
    market.at(datetime(2026, 3, 9, 16, 10, tzinfo=NEW_YORK))
    await restarted.look()
    assert market.phases() == {Phase.CLOSED}


async def test_a_market_that_an_operator_closes_at_noon_stays_closed_and_a_halt_outlasts_the_auction():
    """The books take no closing auction from CLOSED or HALTED."""
    market = Market()
    role = market.role()
    market.at(datetime(2026, 3, 9, 9, 31, tzinfo=NEW_YORK))
    await role.look()
    market.command(BookCommandKind.TRADING_HALT, instrument=SECOND, phase=Phase.HALTED)
    market.at(datetime(2026, 3, 9, 15, 55, tzinfo=NEW_YORK))
    await role.look()
    assert (market.phase(FIRST), market.phase(SECOND)) == (Phase.CLOSING_AUCTION, Phase.HALTED)
    market.at(datetime(2026, 3, 9, 16, 5, tzinfo=NEW_YORK))
    await role.look()
    assert market.phases() == {Phase.CLOSED}
    market.at(datetime(2026, 3, 10, 11, 0, tzinfo=NEW_YORK))
    await role.look()
    market.session(Phase.CLOSED)
    for hour, minute in ((11, 1), (15, 55), (16, 0), (16, 5)):
        market.at(datetime(2026, 3, 10, hour, minute, tzinfo=NEW_YORK))
        await market.role().look()
        assert market.phases() == {Phase.CLOSED}


async def test_a_clock_that_is_set_back_or_a_late_copy_repeats_nothing():
    """Yesterday's end of day arrives when the market is open."""
    market = Market()
    role = market.role()
    for hour, minute in ((9, 28), (9, 31), (15, 55), (16, 5)):
        market.at(datetime(2026, 3, 9, hour, minute, tzinfo=NEW_YORK))
        await role.look()
        market.command(source="clock")
    late = market.log[0][-2][1]
    assert decode_frame(late).header.source == CALENDAR
    market.at(datetime(2026, 3, 9, 15, 5, tzinfo=NEW_YORK))
    await role.look()
    assert market.phases() == {Phase.CLOSED}
    market.at(datetime(2026, 3, 10, 10, 0, tzinfo=NEW_YORK))
    await role.look()
    market.take(0, late)
    assert market.phases() == {Phase.CONTINUOUS}


async def test_a_closure_of_the_operators_file_is_kept():
    """Announced for one day, and a half day for the next."""
    market = Market()
    known = CALENDAR_OF_NYSE
    calendar = MarketCalendar(known.first, known.last, known.closed | {date(2026, 3, 10)}, known.early | {date(2026, 3, 11): time(13)})
    role = market.role(calendar)
    for day, hour, phase in ((10, 12, Phase.CLOSED), (11, 12, Phase.CONTINUOUS), (11, 14, Phase.CLOSED)):
        market.at(datetime(2026, 3, day, hour, tzinfo=NEW_YORK))
        await role.look()
        assert market.phases() == {phase}


async def test_a_rehearsal_runs_a_day_in_a_minute():
    """The ends of auctions are in real time, as the log is."""
    market = Market()
    clock = MarketClock.parse("2026-11-30T12:00:00Z=2026-11-27T06:25:00-05:00*600")
    role = market.role(clock=clock)
    seen, begins = [], ns_of(datetime.fromisoformat("2026-11-30T12:00:00+00:00"))
    for tenth in range(600):
        market.now_ns = begins + tenth * 100_000_000
        await role.look()
        market.command(source="clock")
        if not seen or seen[-1] != market.phase():
            seen.append(market.phase())
    assert seen == [
        Phase.CLOSED,
        Phase.PRE_OPEN,
        Phase.OPENING_AUCTION,
        Phase.CONTINUOUS,
        Phase.CLOSING_AUCTION,
        Phase.POST_CLOSE,
        Phase.CLOSED,
    ]
    assert role.status()["market_day"] == "2026-11-27"


async def test_a_broker_that_is_away_is_waited_for(monkeypatch):
    """Not ready meanwhile; what is due then is sent. Beyond the calendar the process ends."""
    monkeypatch.setattr("streams.roles.run_market.RETRY_S", 0.001)
    market = Market()
    market.away = True
    market.at(datetime(2026, 3, 9, 11, 0, tzinfo=NEW_YORK))
    role, stop = market.role(), asyncio.Event()
    keeping = asyncio.create_task(role.keep(stop))
    async with asyncio.timeout(60):
        while "does not answer" not in role.trouble:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        market.away = False
        while role.trouble:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    stop.set()
    await keeping
    assert market.phases() == {Phase.CONTINUOUS}
    market.at(datetime(2041, 3, 9, 11, 0, tzinfo=NEW_YORK))
    with pytest.raises(CalendarEnds, match="OUTCRY_MARKET_DAYS_FILE"):
        await role.look()


async def test_the_role_is_started_by_name_only():
    """Trading does not need it."""
    assert RUN_MARKET.name not in role_names()
    assert RUN_MARKET.name in role_names(with_optional=True)
    assert Settings().market_days_file is None
