"""Clocks are compared with a reference, and what was found is kept, shown and reported."""

import json
import socket
import struct
import threading
import time
from contextlib import contextmanager

import pytest

from reports.clocks import COLUMNS, clock_lines
from reports.filed.drift_logs import clocks_of, newest_of
from reports.report_day import ReportDay
from reports.tables import rows_of_csv
from schemas.clock_record import BadClockRecord, ClockRecord
from schemas.errors import StaleData
from schemas.settings import Settings
from streams.process.clock_watch import ClockWatch, seen_by_kernel
from streams.services.clocks import clock_sentences, clock_states

SECOND = 1_000_000_000
NTP_EPOCH_S = 2_208_988_800
DAY = ReportDay.parse("2027-01-15")
NOON = DAY.start_ns + 12 * 3_600 * SECOND


@contextmanager
def time_server(ahead_s, *, stratum=2, answers=True):
    """A server of the Network Time Protocol (RFC 5905) whose clock is so far ahead of this machine's; its address."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                data, client = server.recvfrom(512)
            except OSError:
                return
            if not data:
                return
            now = int((time.time() + ahead_s + NTP_EPOCH_S) * (1 << 32))
            head = struct.pack("!BBBbII4s", 0x24, stratum, 6, -20, 0, 65, b"TEST")  # root dispersion: 65/65,536 s
            if answers:
                server.sendto(head + struct.pack("!QQQQ", now, struct.unpack("!Q", data[40:48])[0], now, now), client)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"127.0.0.1:{server.getsockname()[1]}"
    finally:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", server.getsockname())
        thread.join()
        server.close()


def settings_of(tmp_path, **values):
    """A home of its own."""
    return Settings(home=tmp_path / "home", **values)


def lines_of(settings, process="match-orders"):
    """Its drift log, every day."""
    return [
        json.loads(line) for path in sorted((settings.clocks_folder / process).glob("*.ndjson")) for line in path.read_text().splitlines()
    ]


def test_a_clock_seconds_apart_gets_a_sentence(tmp_path):
    """It says by how much, in which direction, and against what; a clock that is right gets none."""
    with time_server(2.5) as address:
        found = ClockWatch(settings_of(tmp_path, clock_reference=address), "match-orders").look()
    assert found.offset_ns == pytest.approx(-2.5 * SECOND, abs=0.5 * SECOND)
    assert found.trouble.startswith("this machine's clock is 2.")
    assert f"s behind {address}, at most 0.050000 s is allowed (OUTCRY_CLOCK_OFFSET_MAX_US)" in found.trouble
    with time_server(0) as address:
        found = ClockWatch(settings_of(tmp_path, clock_reference=address, clock_offset_max_us=30_000_000), "match-orders").look()
    assert (found.trouble, found.is_synchronised) == ("", True)
    assert found.error_ns >= 65 * SECOND // 65_536


@pytest.mark.parametrize(
    ("server", "sentence"),
    [({"stratum": 16}, "says that it is not synchronised itself"), ({"answers": False}, "does not answer")],
)
def test_a_server_that_says_nothing_of_use_is_told(tmp_path, server, sentence, monkeypatch):
    """Its answer is not taken for one."""
    monkeypatch.setattr("streams.process.clock_watch.ANSWER_S", 0.2)
    with time_server(0, **server) as address:
        found = ClockWatch(settings_of(tmp_path, clock_reference=address), "edge-0").look()
    assert sentence in found.trouble
    assert not found.is_synchronised


def test_the_kernel_says_how_its_clock_is_kept(tmp_path):
    """On any machine, with a time service or without one."""
    offset_ns, error_ns, is_kept = seen_by_kernel()
    assert abs(offset_ns) < SECOND
    assert error_ns >= 0
    found = ClockWatch(settings_of(tmp_path), "match-orders").look()
    assert found.reference == "kernel"
    assert is_kept or found.trouble.startswith("no time service keeps this machine's clock")


def test_the_drift_log_has_a_line_in_ten_minutes_and_one_for_each_change(tmp_path):
    """Looks between them are not recorded."""
    times = iter([NOON + minute * 60 * SECOND for minute in (0, 1, 9, 10, 11, 12)])
    with time_server(0) as address:
        settings = settings_of(tmp_path, clock_reference=address, clock_offset_max_us=30_000_000)
        watch = ClockWatch(settings, "match-orders", lambda: next(times))
        for _ in range(4):
            watch.look()
        assert [line["time_ns"] - NOON for line in lines_of(settings)] == [0, 600 * SECOND]
        watch._settings = settings.model_copy(update={"clock_offset_max_us": 1})
        watch.look()
        watch.look()
    assert [(line["time_ns"] - NOON) // SECOND for line in lines_of(settings)] == [0, 600, 660]
    assert "may be" in lines_of(settings)[-1]["trouble"] or "clock is" in lines_of(settings)[-1]["trouble"]


def test_a_disk_that_takes_no_record_stops_nothing(tmp_path):
    """It is tried again at the next look."""
    settings = settings_of(tmp_path)
    settings.clocks_folder.parent.mkdir(parents=True)
    settings.clocks_folder.write_text("in the way")
    watch = ClockWatch(settings, "match-orders")
    watch.look()
    settings.clocks_folder.unlink()
    watch.look()
    assert len(lines_of(settings)) == 1


def record(minute, process="match-orders", **values):
    """Of the day."""
    given = {"host": "a", "reference": "ntp.example", "offset_ns": 0, "error_ns": 1_000, "is_synchronised": True, "trouble": ""} | values
    return ClockRecord(time_ns=NOON + minute * 60 * SECOND, process=process, **given)


def keep(settings, *records):
    """As the processes write them."""
    for one in records:
        day = time.strftime("%Y-%m-%d", time.gmtime(one.time_ns // SECOND))
        path = settings.clocks_folder / one.process / f"{day}.ndjson"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(one.line())


def test_the_report_has_a_line_for_each_process_and_reference(tmp_path):
    """Of the day in New York, which ends in the next day's file; with the worst offset and the longest pause."""
    settings = settings_of(tmp_path)
    keep(
        settings, record(0, offset_ns=-40_000), record(10, offset_ns=90_000, error_ns=2_000), record(40, offset_ns=10),
        record(50, is_synchronised=False, error_ns=0, trouble="no time service"), record(11 * 60, "edge-0"), record(13 * 60, "edge-0"),
    )  # fmt: skip

    class Facts:
        day, clocks = DAY, clocks_of(settings, DAY)

    edge, books = rows_of_csv(clock_lines(Facts, None))
    assert tuple(books) == COLUMNS
    assert (edge["process"], edge["comparisons"], edge["first"]) == ("edge-0", "1", "20270115T230000.000000000")
    assert (books["comparisons"], books["longest_pause_s"]) == ("4", "1800")
    assert (books["offset_least_us"], books["offset_most_us"], books["farthest_us"]) == ("-40.000", "90.000", "92.000")
    assert (books["not_synchronised"], books["wrong"], books["wrong_since"]) == ("1", "1", "20270115T125000.000000000")


def test_a_line_that_is_no_record_is_named(tmp_path):
    """File, line and what is wrong; half a line at the end is what a full disk leaves."""
    settings = settings_of(tmp_path)
    keep(settings, record(0))
    path = next(settings.clocks_folder.glob("*/*"))
    path.write_text(path.read_text() + record(1).line()[:30])
    assert len(clocks_of(settings, DAY)) == 1
    for line in (
        "",
        "[]",
        "{}",
        record(0).line().replace("1000", '"x"'),
        record(0).line().replace("1000", "1" * 30),
        "9" * 5_000,
        "[" * 5_000,
    ):
        path.write_text(record(0).line() + line.rstrip("\n") + "\n")
        with pytest.raises(StaleData, match=r"2027-01-15\.ndjson line 2: "):
            clocks_of(settings, DAY)
    with pytest.raises(BadClockRecord):
        ClockRecord.parse("\x00")


def test_status_says_once_what_several_processes_say(tmp_path):
    """Of those that run, if their record is fresh."""
    settings = settings_of(tmp_path)
    names = [f"role-{letter}" for letter in "abcd"]
    keep(settings, *(record(0, name, trouble=f"the clock is 2.{at} s ahead") for at, name in enumerate(names)), record(0, "well"))
    states = clock_states(settings, [*names, "well"], NOON + SECOND)
    assert list(clock_sentences(states)) == ["the clock is 2.0 s ahead (said by role-a, role-b, role-c and 1 more)"]
    assert states["well"]["trouble"] == ""
    assert clock_states(settings, ["other"], NOON) == {}
    assert clock_states(settings, names, NOON + 3_600 * SECOND) == {}
    (settings.clocks_folder / "well" / "2027-01-15.ndjson").write_text("x\n")
    assert "cannot be read" in next(clock_sentences(clock_states(settings, names, NOON)))
    assert newest_of(settings_of(tmp_path / "empty")) == {}
