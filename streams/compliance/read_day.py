"""Read a trading day from the log: its facts, and from which records they come.

In:     executions, account.events: the records of the day, found by their append times
State:  the facts, in this process
On failure: DayNotOver for a day that the log has not left behind; StaleData for a log that has lost records of it.
"""

from collections.abc import Iterator
from typing import Final

from reports.day_read import DayRead, Origin
from reports.facts import MARGIN_NS, DayBuilder
from reports.report_day import ReportDay, moment_text
from schemas.codec import BadBytes, Frame
from schemas.errors import OutcryError, StaleData
from schemas.instruments import InstrumentTable
from schemas.marks import Marks
from streams.host.read_log import Log, Meter, place
from streams.host.sink_feeder import input_of
from topics.catalogue import ACCOUNT_EVENTS, EXECUTIONS, Topic

AHEAD_NS: Final = 2_000_000_000
"""Log time is at most a second ahead of a record's append time (shard_runner.clamp_time); so a day's records begin this much before it at the latest."""
_NS_PER_MS: Final = 1_000_000
_DAY_NS: Final = 86_400 * 1_000_000_000


class DayNotOver(OutcryError):
    """The day is not over in the log, so its reports would change."""


def read_day(log: Log, day: ReportDay, instruments: InstrumentTable, *, now_ns: int, quiet: bool) -> DayRead:
    """The facts of a day that is over. Raises DayNotOver, StaleData, ServiceUnavailable."""
    if now_ns < day.end_ns:
        raise DayNotOver(f"{day} is not over: it ends at midnight in New York. A report is made once, of the whole day")
    builder = DayBuilder(day, instruments)
    origins = []
    with Meter(f"reading {day}", 0, quiet=quiet) as meter:
        for topic in (EXECUTIONS, ACCOUNT_EVENTS):
            for partition in range(log.partitions(topic)):
                origin = Origin(place(topic.name, partition))
                _read(log, topic, partition, builder, origin, meter)
                if origin.first >= 0:
                    origins.append(origin)
        _describe_carried(log, builder, meter)
    return DayRead(builder.facts(), dict(sorted(builder.rows.items())), origins)


def require_over(log: Log, day: ReportDay, *, now_ns: int, after_ns: int = 0) -> None:
    """Look whether the clock and every book have left a day behind, `after_ns` ago and more, without reading the day. Raises DayNotOver."""
    end_ns = day.end_ns + after_ns
    if now_ns < end_ns:
        raise DayNotOver(f"{day} is not over: it can be reported from {moment_text(end_ns)} on")
    with Meter(f"end of {day}", 0, quiet=True) as meter:
        for partition in range(log.partitions(EXECUTIONS)):
            frames = frames_from(log, EXECUTIONS, partition, end_ns, meter)
            if any(int(frame.rows["transact_time"][-1]) >= end_ns for _, frame in frames):
                continue
            bounds = log.bounds(EXECUTIONS.name, partition)
            if bounds is not None and bounds.high:
                raise DayNotOver(
                    f"{day} is not over in the log: {place(EXECUTIONS.name, partition)} has not come to {moment_text(end_ns)} yet. Books write "
                    "the time every second while they run: start the exchange, or wait until they have caught up"
                )


def first_day(log: Log) -> ReportDay | None:
    """The day of the first record that is there; None for an empty log."""
    times = []
    for topic in (EXECUTIONS, ACCOUNT_EVENTS):
        for partition in range(log.partitions(topic)):
            bounds = log.bounds(topic.name, partition)
            if bounds is not None and bounds.low < bounds.high:
                times += [record.time_ns for record in log.records(topic.name, partition, bounds.low, bounds.low + 1)]
    return ReportDay.of(min(times)) if times else None


def _read(log: Log, topic: Topic, partition: int, builder: DayBuilder, origin: Origin, meter: Meter) -> None:
    day, is_books = builder.day, topic == EXECUTIONS
    margin = 0 if is_books else MARGIN_NS
    reached = 0
    for offset, frame in frames_from(log, topic, partition, day.start_ns - margin, meter):
        times = frame.rows["transact_time"]
        reached = max(reached, int(times[-1]))
        if is_books:
            builder.take_executions(frame)
        else:
            builder.take_account_events(frame)
        if day.contains(times).any():
            origin.add(offset)
        if int(times[0]) >= day.end_ns + margin:
            return
    if is_books and reached < day.end_ns:
        _require_left_behind(log, topic, partition, day, reached)


def _describe_carried(log: Log, builder: DayBuilder, meter: Meter) -> None:
    """Go back for the orders that were carried over, twice as far each time, until each is described or the log begins."""
    end_ns, days = builder.day.start_ns, 1
    while len(wanted := builder.undescribed()) and end_ns > 0:
        start_ns = max(end_ns - days * _DAY_NS, 0)
        begins = True
        for partition in range(log.partitions(ACCOUNT_EVENTS)):
            bounds = log.bounds(ACCOUNT_EVENTS.name, partition)
            start = log.offset_at(ACCOUNT_EVENTS.name, partition, start_ns // _NS_PER_MS)
            begins = begins and bounds is not None and (bounds.high == bounds.low or (start is not None and start <= bounds.low))
            for _, frame in frames_from(log, ACCOUNT_EVENTS, partition, start_ns, meter):
                if int(frame.rows["transact_time"][0]) >= end_ns:
                    break
                builder.take_earlier(frame, wanted)
        end_ns, days = 0 if begins else start_ns, 2 * days


def _require_left_behind(log: Log, topic: Topic, partition: int, day: ReportDay, reached: int) -> None:
    """Refuse a day that a book shard has not left behind: it may still have orders of that day to decide."""
    bounds = log.bounds(topic.name, partition)
    if bounds is None or bounds.high == 0:
        return
    come = f"has come to {moment_text(reached)}" if reached else f"has nothing since {day} began"
    raise DayNotOver(
        f"{day} is not over in the log: {place(topic.name, partition)} {come}. Books write the time every second while they run: "
        "start the exchange (`outcry up`), and wait until they have caught up (`outcry status`)"
    )


def frames_from(log: Log, topic: Topic, partition: int, since_ns: int, meter: Meter) -> Iterator[tuple[int, Frame]]:
    """(offset, frame) of every frame with a log time since then, each frame once; some before it come too.

    Raises StaleData where frames are missing. A record that no reader takes is passed over: the numbers of the rows say whether one that was taken is gone.
    """
    bounds = log.bounds(topic.name, partition)
    where = place(topic.name, partition)
    if bounds is None:
        raise OutcryError(f"there is no {where}")
    start = log.offset_at(topic.name, partition, max(since_ns - AHEAD_NS, 0) // _NS_PER_MS)
    if start is not None and bounds.low and start <= bounds.low:
        raise StaleData(f"{where} begins at offset {bounds.low:,}: records of the time that was asked for are gone")
    marks, next_seq, reached = Marks(since_ns=max(since_ns - AHEAD_NS, 0)), 1, 0
    for record in log.records(topic.name, partition, bounds.high if start is None else start, bounds.high):
        meter.add()
        try:
            body = input_of(record).body
            if not isinstance(body, Frame) or not marks.take(body.header, record.time_ns):
                continue
        except BadBytes:
            continue
        if reached >= since_ns and body.header.first_seq != next_seq:
            raise StaleData(
                f"{where} offset {record.offset:,}: rows {next_seq:,} to {body.header.first_seq - 1:,} before it are not in the log"
            )
        next_seq, reached = body.header.first_seq + len(body.rows), int(body.rows["transact_time"][-1])
        yield record.offset, body
