"""Run the market by its calendar: open it, call its auctions, close it and end its day, each by a logged command.

In:     book.commands, only when a step was missed: what has been commanded since it was due
Out:    book.commands, one frame a step and partition, with the number of the step
State:  none. The step that is due follows from the calendar and the time; what was commanded is in the log. A book takes each step once, by its number
        (schemas.marks), and none behind a later one. So two of these processes, or a restart at any moment, change nothing
On failure: a broker that is away is waited for; a step that is late is sent if it is still due. An operator's word (`outcry session`) stands until the
        next step: a step that was missed is not sent for instruments that an operator has commanded since it was due
"""

import asyncio
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np
import structlog
import uvloop

from schemas.codec import FRAMES, BadBytes, Header, decode_frame, encode_frame, prefix_of
from schemas.enums import BookCommandKind, Phase
from schemas.errors import ServiceUnavailable
from schemas.instruments import InstrumentTable, load_instruments
from schemas.market_hours import MarketCalendar, MarketClock, Step, moment
from schemas.settings import Settings
from streams.process.health import HealthServer
from streams.process.logging import configure_logging
from streams.process.record_keys import record_keys
from streams.transport.cluster import partition_counts
from topics.catalogue import ACCOUNT_COMMANDS, BOOK_COMMANDS, CALENDAR
from topics.kafka_clients import native_client
from topics.offsets import Offsets
from topics.own_log import require_own_log
from topics.partitioning import book_shard
from topics.reader import LogReader, PlacesLost
from topics.roles import RUN_MARKET
from topics.sender import LogSender

log = structlog.get_logger("outcry.streams")

LATE_NS: Final = 1_000_000_000
"""Real time. A step that is sent later than this was missed: what others have commanded since it was due comes first."""
LOOK_S: Final = 1.0
"""The longest sleep: the machine's clock may be set."""
RETRY_S: Final = 1.0
READ_TIMEOUT_S: Final = 30.0
_PHASE_COMMANDS: Final = (BookCommandKind.TRADING_SESSION_CHANGE, BookCommandKind.TRADING_HALT, BookCommandKind.TRADING_RESUME)
_BY_SHARDS: Final = f"{ACCOUNT_COMMANDS.name}/".encode()
_FRAME: Final = prefix_of("book_command_frame")
EVERY: Final = 0
"""In place of an instrument: all of them."""


@dataclass
class Commanded:
    """What one partition of book.commands says about phases."""

    steps: set[int] = field(default_factory=set)
    """Numbers of the steps that are in it."""
    others: dict[int, int] = field(default_factory=dict)
    """By instrument (EVERY: all), the append time of the newest command that is no step, ns."""

    def note(self, value: bytes | None, time_ns: int) -> None:
        """A record of the partition. Orders, which are nearly all, are passed over by their first bytes."""
        if value is None or not value.startswith(_FRAME) or value[11:].startswith(_BY_SHARDS):
            return
        try:
            frame = decode_frame(value, "book_command_frame")
        except BadBytes:
            return
        if frame.header.source == CALENDAR:
            self.steps.add(frame.header.source_offset)
            return
        for number in frame.rows["instrument"][np.isin(frame.rows["kind"], _PHASE_COMMANDS)].tolist():
            self.others[number] = max(self.others.get(number, 0), time_ns)

    def since(self, time_ns: int) -> frozenset[int]:
        """The instruments that somebody has commanded since."""
        return frozenset(number for number, at in self.others.items() if at >= time_ns)


NOTHING_COMMANDED: Final = Commanded()


class CommandLog(Protocol):
    """book.commands, as this role needs it. Both methods raise ServiceUnavailable."""

    async def commanded(self, since_ns: int) -> Mapping[int, Commanded]:
        """What each partition says from the time on, up to now."""

    async def append(self, frames: Mapping[int, bytes]) -> None:
        """A frame for each partition; returns when all copies have them."""


def step_frame(step: Step, clock: MarketClock, instruments: Iterable[int], over: frozenset[int], now_ns: int) -> bytes | None:
    """The frame that brings the instruments of a partition, but those in `over`, to the step's phase; None where nothing is left to command.

    On the way to the open the books also hear when continuous trading ends, for their price bands.
    """
    mine = sorted(set(instruments) - over)
    if EVERY in over or not mine:
        return None
    commands: list[tuple[int, int, int, int]] = []
    if step.phase in (Phase.PRE_OPEN, Phase.OPENING_AUCTION, Phase.CONTINUOUS):
        commands += [(BookCommandKind.INSTRUMENT_UPDATE, number, 0, clock.to_real(step.trading_ends_ns)) for number in mine]
    until = clock.to_real(step.until_ns) if step.until_ns else 0
    commands += [(BookCommandKind.TRADING_SESSION_CHANGE, number, step.phase, until) for number in (mine if over else [EVERY])]
    rows = np.zeros(len(commands) + 1, FRAMES["book_command_frame"].dtype)
    for name, column in zip(("kind", "instrument", "phase", "expire_time"), zip(*commands, strict=True), strict=True):
        rows[name][:-1] = column
    rows["kind"][-1] = BookCommandKind.TIMER
    rows["transact_time"] = now_ns
    return encode_frame("book_command_frame", Header(CALENDAR, step.number, created_at=now_ns), rows)


class RunMarket:
    """The role: see the head of this module. now: real time, ns."""

    def __init__(
        self, calendar: MarketCalendar, clock: MarketClock, instruments: InstrumentTable, partitions: int, commands: CommandLog, now: Callable[[], int]
    ) -> None:  # fmt: skip
        self._calendar, self._clock, self._commands, self._now = calendar, clock, commands, now
        self._instruments = {
            partition: [one.number for one in instruments if book_shard(one.number, partitions) == partition] for partition in range(partitions)
        }  # fmt: skip
        self._done = -1
        """The newest step that needs no more work."""
        self._logged: dict[int, int] = {}
        """By partition, the newest step that is known to be in the log."""
        self._overruled: frozenset[int] = frozenset()
        self.trouble = "starting"

    async def look(self) -> int:
        """Command what is due and not yet commanded; returns the real time, ns, at which the next step is due. Raises ServiceUnavailable, CalendarEnds."""
        now_ns = self._now()
        begun, coming = self._calendar.due(self._clock.to_market(now_ns))
        if begun[-1].number > self._done:
            await self._command(begun, now_ns)
            self._done = begun[-1].number
        return self._clock.to_real(coming.at_ns)

    async def _command(self, begun: list[Step], now_ns: int) -> None:
        step = begun[-1]
        due_ns = self._clock.to_real(step.at_ns)
        found: Mapping[int, Commanded] = {}
        if now_ns - due_ns > LATE_NS or (step.follows and not self._has_logged(step.number - 1)):
            found = await self._commands.commanded(self._clock.to_real(begun[0].at_ns))
            self._logged |= {partition: max(said.steps) for partition, said in found.items() if said.steps}
        frames, self._overruled = {}, frozenset[int]()
        for partition, numbers in self._instruments.items():
            if self._logged.get(partition, -1) >= step.number - step.follows:
                continue
            over = found.get(partition, NOTHING_COMMANDED).since(due_ns)
            self._overruled |= over
            frame = step_frame(step, self._clock, numbers, over, now_ns)
            if frame is not None:
                frames[partition] = frame
        if frames:
            await self._commands.append(frames)
            self._logged |= dict.fromkeys(frames, step.number)
        log.info(
            "phase is commanded" if frames else "phase needs no command", phase=step.phase.name, step=step.number,
            market_time=moment(step.at_ns).isoformat(), late_s=round((now_ns - due_ns) / 1e9, 1), overruled=len(self._overruled),
        )  # fmt: skip

    def _has_logged(self, number: int) -> bool:
        return all(self._logged.get(partition, -1) >= number for partition in self._instruments)

    async def keep(self, stop: asyncio.Event) -> None:
        """Until told to stop. Raises CalendarEnds."""
        while not stop.is_set():
            try:
                due_ns = await self.look()
            except ServiceUnavailable as error:
                self.trouble = str(error)
                log.warning("phase cannot be commanded yet", detail=str(error), again_in_s=RETRY_S)
                pause_s = RETRY_S
            else:
                self.trouble = ""
                pause_s = min(LOOK_S, max(0.0, (due_ns - self._now()) / 1e9))
            try:
                await asyncio.wait_for(stop.wait(), pause_s)
            except TimeoutError:
                continue

    def status(self) -> dict[str, Any]:
        """Dates and phases, for people."""
        market_ns = self._clock.to_market(self._now())
        begun, coming = self._calendar.due(market_ns)
        told: dict[str, Any] = {
            "market_time": moment(market_ns).isoformat(), "market_day": moment(begun[-1].at_ns).date().isoformat(),
            "phase": begun[-1].phase.name, "since": moment(begun[-1].at_ns).isoformat(),
            "next_phase": coming.phase.name, "next_at": moment(coming.at_ns).isoformat(),
        }  # fmt: skip
        return told | ({"overruled_instruments": sorted(self._overruled)} if self._overruled else {})


class KafkaCommands:
    """book.commands on Kafka."""

    def __init__(self, settings: Settings, partitions: int) -> None:
        self._keys = record_keys(settings, RUN_MARKET.name)
        client = {**native_client(settings.kafka_url), "client.id": RUN_MARKET.name}
        self._places = [(BOOK_COMMANDS.name, number) for number in range(partitions)]
        self._offsets, self._sender = Offsets(client), LogSender(client, sign=self._keys.signer(RUN_MARKET.name))
        self._reader = LogReader(client | {"auto.offset.reset": "error"})

    async def start(self) -> None:
        """Make the clients."""
        await self._reader.start()
        await self._sender.start()

    async def stop(self) -> None:
        """Let them go."""
        await self._sender.stop()
        await self._reader.stop()
        await self._offsets.close()

    async def commanded(self, since_ns: int) -> dict[int, Commanded]:
        """See CommandLog."""
        ends = await self._offsets.ends(self._places)
        starts = await self._offsets.at(self._places, since_ns // 1_000_000)
        ranges = {place: (start, ends[place]) for place, start in starts.items() if start is not None and start < ends[place]}
        found = {number: Commanded() for _, number in self._places}
        self._reader.go_to({place: start for place, (start, _) in ranges.items()})
        deadline = time.monotonic() + READ_TIMEOUT_S
        try:
            while any((self._reader.position(place) or 0) < end for place, (_, end) in ranges.items()):
                arrived = await self._reader.records(LOOK_S)
                for (_, number), messages in arrived.items():
                    for message in messages:
                        if self._keys.proof_of(message).refusal is None:
                            found[number].note(message.value(), message.timestamp()[1] * 1_000_000)
                if arrived:
                    deadline = time.monotonic() + READ_TIMEOUT_S
                elif time.monotonic() > deadline:
                    raise ServiceUnavailable(f"book.commands gave nothing within {READ_TIMEOUT_S:g} s")
        except PlacesLost as lost:
            raise ServiceUnavailable(f"{lost}: what was commanded cannot be read") from lost
        finally:
            self._reader.go_to({})
        return found

    async def append(self, frames: Mapping[int, bytes]) -> None:
        """See CommandLog."""
        await asyncio.gather(*(self._sender.append(BOOK_COMMANDS.name, partition, frame) for partition, frame in frames.items()))


async def _main(settings: Settings) -> None:
    calendar = MarketCalendar.load(settings.market_days_file)
    partitions = partition_counts(settings, BOOK_COMMANDS)[BOOK_COMMANDS.name]
    commands = KafkaCommands(settings, partitions)
    role = RunMarket(
        calendar, MarketClock.parse(settings.market_clock), load_instruments(settings.instruments_file), partitions, commands, time.time_ns
    )
    health = HealthServer(settings, RUN_MARKET.name, lambda: role.trouble, role.status)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await commands.start()
    await health.start()
    try:
        await role.keep(stop)
    finally:
        await health.stop()
        await commands.stop()


def run(settings: Settings) -> None:
    """Run the role until it is told to stop."""
    configure_logging(settings.log_level, RUN_MARKET.name)
    require_own_log(settings, RUN_MARKET.name)
    uvloop.run(_main(settings))
