"""The copier on two real brokers: each record at the same offset, and what does not belong together is refused with a sentence."""

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from confluent_kafka import Message, Producer
from prometheus_client import REGISTRY

from schemas.codec import FRAMES, Header, encode_frame
from schemas.errors import OutcryError, StaleData
from schemas.settings import Settings, load_settings
from streams.host.read_log import Log
from streams.operate.topics import create_topics
from streams.regions.copier import Copier
from streams.services.local_set import LocalSet
from topics.kafka_clients import native_client
from topics.own_log import LogOwner, NotOurs, require_own_log

pytestmark = pytest.mark.integration
COMMANDS, BOOKS = ("account.commands", 0), ("book.commands", 0)


@pytest.fixture(scope="module")
def regions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, Settings]]:
    """(there, here): a region that trades, and one that copies; topics and brokers only."""
    sets = [LocalSet(load_settings().model_copy(update={"home": tmp_path_factory.mktemp(name)}), bound=True) for name in ("there", "here")]
    with sets[0].running(("kafka",)) as there, sets[1].running(("kafka",)) as plain:
        here = plain.model_copy(update={"copies_from": there.kafka_url})
        create_topics(there)
        create_topics(here)
        yield there, here


def append(settings: Settings, place: tuple[str, int], *values: bytes, time_ms: int = 0) -> None:
    """Records, as somebody sends them."""
    problems: list[str] = []

    def told(error: object, message: Message) -> None:
        if error is not None:
            problems.append(str(error))

    producer = Producer(native_client(settings.kafka_url))
    for value in values:
        producer.produce(place[0], value, partition=place[1], key=b"k", headers=[("mac", b"code")], timestamp=time_ms, on_delivery=told)
    producer.flush(30)
    assert not problems


def frame(source: str, offset: int) -> bytes:
    """A frame of one row."""
    return encode_frame("book_command_frame", Header(source, offset), np.zeros(1, FRAMES["book_command_frame"].dtype))


def copy_until(regions: tuple[Settings, Settings], holds: Callable[[], bool]) -> None:
    """Run a copier of two partitions. Raises what it ends with."""
    there, here = (native_client(one.kafka_url) for one in regions)
    copier, stop, ended = Copier(there, here, [COMMANDS, BOOKS]), threading.Event(), list[BaseException]()

    def run() -> None:
        try:
            copier.run(stop)
        except OutcryError as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    deadline = time.monotonic() + 120
    try:
        while not holds() and thread.is_alive():
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        stop.set()
        thread.join()
    if ended:
        raise ended[0]


def end(settings: Settings, place: tuple[str, int]) -> int:
    """Of a log."""
    with Log(settings) as log:
        bounds = log.bounds(*place)
    assert bounds is not None
    return bounds.high


def content(settings: Settings, place: tuple[str, int]) -> list[tuple[object, ...]]:
    """All records."""
    with Log(settings) as log:
        return [(one.offset, one.key, one.value, one.time_ns) for one in log.records(*place, 0, end(settings, place))]


@pytest.fixture
def level(regions: tuple[Settings, Settings]) -> tuple[Settings, Settings]:
    """The regions, and the copy has everything."""
    there, here = regions
    append(there, COMMANDS, b"one more")
    copy_until(regions, lambda: all(end(here, place) == end(there, place) for place in (COMMANDS, BOOKS)))
    return regions


def test_each_record_has_its_offset_key_and_time_and_a_copy_goes_on_where_it_ends(level: tuple[Settings, Settings]) -> None:
    """Also a frame whose input comes after it: the copy has it after its input."""
    there, here = level
    first = end(there, COMMANDS)
    append(there, BOOKS, frame("account.commands/0", first))
    append(there, COMMANDS, b"the input", frame("book.commands/0", end(there, BOOKS) - 1))
    copy_until(level, lambda: all(end(here, place) == end(there, place) for place in (COMMANDS, BOOKS)))
    assert content(here, COMMANDS) == content(there, COMMANDS)
    assert content(here, BOOKS) == content(there, BOOKS)


def test_orders_and_reports_that_take_turns_are_copied_in_their_order_and_their_times_are_told(level: tuple[Settings, Settings]) -> None:
    """Each waits for the one before, in another partition: the slowest that a log can be. /metrics count every record once, by topic and step."""
    there, here = level
    orders, frames, turns = end(there, COMMANDS), end(there, BOOKS), 50
    counted = {place[0]: copied_of(place[0]) for place in (COMMANDS, BOOKS)}
    for turn in range(turns):
        append(there, COMMANDS, b"an order", *([frame("book.commands/0", frames + turn - 1)] if turn else []))
        append(there, BOOKS, frame("account.commands/0", orders + max(0, 2 * turn - 1)))
    copy_until(level, lambda: all(end(here, place) == end(there, place) for place in (COMMANDS, BOOKS)))
    assert content(here, COMMANDS) == content(there, COMMANDS)
    assert content(here, BOOKS) == content(there, BOOKS)
    assert copied_of(COMMANDS[0]) - counted[COMMANDS[0]] == 2 * turns - 1
    assert copied_of(BOOKS[0]) - counted[BOOKS[0]] == turns


def copied_of(topic: str) -> float:
    """Records of a topic whose lag was told."""
    return REGISTRY.get_sample_value("outcry_copy_lag_seconds_count", {"topic": topic}) or 0.0


def test_a_forged_frame_that_names_an_input_that_nobody_has_holds_nothing_up(level: tuple[Settings, Settings]) -> None:
    """It is copied as it is: whoever reads it refuses it here as there."""
    there, here = level
    append(there, COMMANDS, frame("book.commands/0", 10**12), b"behind it")
    copy_until(level, lambda: end(here, COMMANDS) == end(there, COMMANDS))
    assert content(here, COMMANDS) == content(there, COMMANDS)


def test_a_copy_takes_no_orders(level: tuple[Settings, Settings]) -> None:
    """Whatever appends for itself does not start on it, and does in the other region."""
    there, here = level
    assert (LogOwner(there.kafka_url).is_copy(), LogOwner(here.kafka_url).is_copy()) == (False, True)
    require_own_log(there.model_copy(update={"copied_to": here.kafka_url}), "the edge")
    with pytest.raises(NotOurs, match="the edge appends to the log, and the log of this region is a copy"):
        require_own_log(here, "the edge")


def test_a_copy_to_which_somebody_else_has_written_is_not_continued(level: tuple[Settings, Settings]) -> None:
    """Then, and only then: this is the last test of the module."""
    there, here = level
    append(here, COMMANDS, b"not of the other region", time_ms=1)
    with pytest.raises(StaleData, match=r"account\.commands/0: the copy has [\d,]+ records, the other region only"):
        copy_until(level, lambda: False)
    append(there, COMMANDS, b"of the other region")
    with pytest.raises(StaleData, match=r"account\.commands/0: the records at offset [\d,]+ differ"):
        copy_until(level, lambda: False)
    LogOwner(here.kafka_url).make_own()
    require_own_log(here, "the edge")
    with pytest.raises(NotOurs, match=r"has taken over: its log goes on"):
        require_own_log(there.model_copy(update={"copied_to": here.kafka_url}), "the edge")
