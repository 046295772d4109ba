"""Verifying a log: what is the same is called the same, and of what is not the first difference is named."""

from contextlib import nullcontext
from dataclasses import replace

import msgspec
import pytest
from click.testing import CliRunner
from support.memory_log import INSTRUMENTS, MemoryLog, traded

from schemas.codec import decode_record, encode_frame, encode_record
from schemas.enums import ExecKind, Side
from schemas.errors import OutcryError, StaleData
from schemas.instruments import InstrumentTable
from schemas.settings import Settings
from streams.host.read_log import Bounds
from streams.host.shard_runner import ENGINE_VERSION
from streams.host.snapshot_codes import UNCODED
from streams.host.snapshots import is_manifest, manifest_key
from streams.proofs import verify as verify_log
from streams.proofs.verified_roles import ROLES
from streams.proofs.verify import Range, chosen, verify_shards
from streams.roles.hold_funds import HoldFunds
from topics.catalogue import (
    ACCOUNT_COMMANDS,
    ACCOUNT_EVENTS,
    ALERTS,
    BOOK_COMMANDS,
    DEAD_LETTERS,
    EDGE_REPLIES,
    EXECUTIONS,
    MARKET_DATA,
    PARTY_FACTS,
)
from topics.roles import changelog_topic

BOOKS = changelog_topic("match-orders", "books")
ACCOUNTS = changelog_topic("hold-funds", "accounts")


@pytest.fixture
def exchange():
    """A finished session."""
    return traded()


@pytest.fixture
def manipulated():
    """Two accounts trade with themselves; both episodes end in one input."""
    exchange = traded()
    for account in (1, 2):
        for number in range(6):
            exchange.wait(2)
            exchange.order(account, Side.SELL, 20, 18_000 - account, f"ws{number}")
            exchange.order(account, Side.BUY, 20, 18_000 - account, f"wb{number}")
    exchange.wait(3_600)
    exchange.order(3, Side.SELL, 1, 18_000, "late")
    exchange.snapshot()
    return exchange


def reports(log: MemoryLog, monkeypatch, *roles: str, shard: int | None = None, wanted: Range = Range(), instruments=INSTRUMENTS):  # noqa: B008
    """What verifying says."""
    monkeypatch.setattr(verify_log, "Log", lambda settings: nullcontext(log))
    monkeypatch.setattr(verify_log, "load_instruments", lambda path: instruments)
    return list(verify_shards(Settings(), roles or tuple(ROLES), shard, wanted, quiet=True))


def trade_frame(log: MemoryLog) -> int:
    """Offset of a frame of executions/1 with a trade in it."""
    return next(offset for offset, frame in enumerate(log.frames(EXECUTIONS, 1)) if (frame.rows["kind"] == ExecKind.TRADE).any())


def test_a_log_is_the_same_as_its_replay_in_every_frame_row_hash_and_dead_letter(exchange, monkeypatch):
    """Every role and shard; each topic has been looked at."""
    found = reports(exchange.log, monkeypatch)
    assert [report.difference for report in found] == [None] * 9
    topics = set().union(*(report.compared.by_topic for report in found))
    assert topics == {ACCOUNT_EVENTS.name, BOOK_COMMANDS.name, EXECUTIONS.name, ACCOUNT_COMMANDS.name, MARKET_DATA.name, DEAD_LETTERS.name}
    assert all(report.hashes_compared == report.hashes_recorded >= 1 for report in found)
    recorded = sum(len(frame.rows) for shard in (0, 1) for frame in exchange.log.frames(EXECUTIONS, shard))
    assert sum(report.compared.by_topic.get(EXECUTIONS.name, 0) for report in found) == recorded


def test_alerts_follow_from_the_log_and_one_that_does_not_is_named(manipulated, monkeypatch):
    """Repeats of a restart are the same; one that is missing, made up or has other words is the first difference."""
    log, part = manipulated.log, (ALERTS.name, 1)
    alerts = [decode_record(one.value)[1] for one in log.parts[part]]
    assert [one["status"] for one in alerts] == ["OPEN", "OPEN", "OPEN", "CLOSED", "CLOSED"]
    assert alerts[3]["source"] == alerts[4]["source"], "two alerts of one input"
    (report,) = reports(log, monkeypatch, "surveillance", shard=1)
    assert (report.difference, report.compared.by_topic) == (None, {ALERTS.name: 5, PARTY_FACTS.name: 1})
    for offset in (1, 2, 3, 4):
        log.append(*part, log.parts[part][offset].value)
    (report,) = reports(log, monkeypatch, "surveillance", shard=1)
    assert (report.difference, report.compared.repeats) == (None, 4)
    log.append(*part, encode_record("alert", alerts[4] | {"score": 0.125}))
    (report,) = reports(log, monkeypatch, "surveillance", shard=1)
    assert "a second copy" in report.difference.what
    log.parts[part] = log.parts[part][:5]
    log.append(*part, encode_record("alert", alerts[4] | {"alert_id": "made-up"}))
    (report,) = reports(log, monkeypatch, "surveillance", shard=1)
    assert "the replay does not make it" in report.difference.what
    log.parts[part] = log.parts[part][:5]
    log.take_away(*part, 3)
    (report,) = reports(log, monkeypatch, "surveillance", shard=1)
    assert f"alert_id is '{alerts[4]['alert_id']}', replayed '{alerts[3]['alert_id']}'" in report.difference.what


def test_half_minutes_of_books_follow_from_the_log_and_so_does_what_watch_accounts_makes_of_them(manipulated, monkeypatch):
    """A second copy is a repeat; one that says something else, or is not there, is the first difference."""
    log, part = manipulated.log, (PARTY_FACTS.name, 0)
    value = log.parts[part][0].value
    log.append(*part, value)
    first, second = reports(log, monkeypatch, "surveillance", shard=1)[0], reports(log, monkeypatch, "parties")[0]
    assert (first.difference, first.compared.repeats, second.difference, second.inputs) == (None, 1, None, 2)
    log.parts[part] = log.parts[part][:1]
    name, fact = decode_record(value)
    log.parts[part][0] = replace(log.parts[part][0], value=encode_record(name, fact | {"taken": 1}))
    (report,) = reports(log, monkeypatch, "surveillance", shard=1)
    assert f"taken is 1, replayed {fact['taken']}" in report.difference.what
    log.take_away(*part, 0)
    (report,) = reports(log, monkeypatch, "surveillance", shard=1)
    assert report.difference.what.endswith("it is not in the log")


def test_a_value_that_was_changed_is_named_with_topic_partition_offset_row_and_column(exchange, monkeypatch):
    """The price of one trade; the market data made of it differs too."""
    offset = trade_frame(exchange.log)
    row = exchange.log.frames(EXECUTIONS, 1)[offset].rows["kind"].tolist().index(ExecKind.TRADE)
    exchange.log.change(EXECUTIONS.name, 1, offset, price=(row, 18_001))
    (report,) = reports(exchange.log, monkeypatch, "book", shard=1)
    found = report.difference
    assert (found.topic, found.partition, found.offset, found.row) == (EXECUTIONS.name, 1, offset, row)
    assert "TRADE: price is 18001, replayed 18000" in found.what
    assert f"executions/1 offset {offset}, row {row}" in report.line()
    (market,) = reports(exchange.log, monkeypatch, "market", shard=1)
    assert market.difference.topic == MARKET_DATA.name


def test_a_frame_that_is_not_there_is_named_by_the_input_that_makes_it(exchange, monkeypatch):
    """And by what stands in its place."""
    offset = trade_frame(exchange.log)
    gone = exchange.log.take_away(EXECUTIONS.name, 1, offset)
    (report,) = reports(exchange.log, monkeypatch, "book", shard=1)
    assert report.difference.offset is None
    assert report.difference.source_offset == exchange.log.frames(EXECUTIONS, 1)[offset].header.source_offset - 1
    assert "which was made after it" in report.difference.what
    assert gone.value is not None


def test_a_frame_at_the_end_is_lost_if_a_snapshot_says_it_was_written_and_on_its_way_otherwise(exchange, monkeypatch):
    """Outputs are acknowledged before the snapshot that is behind them."""
    log = exchange.log
    log.take_away(ACCOUNT_EVENTS.name, 0, len(log.parts[ACCOUNT_EVENTS.name, 0]) - 1)
    (report,) = reports(log, monkeypatch, "account", shard=0)
    assert report.difference is None
    assert report.compared.in_flight == 1
    exchange.snapshot()
    (report,) = reports(log, monkeypatch, "account", shard=0)
    assert "it is not in the log" in report.difference.what


def test_a_frame_that_no_input_makes_is_named(exchange, monkeypatch):
    """In the middle, and at the end."""
    log = exchange.log
    first = log.frames(EXECUTIONS, 1)[0]
    header = replace(first.header, source_index=7)
    log.append(
        EXECUTIONS.name,
        1,
        encode_frame("execution_frame", replace(header, source_offset=len(log.parts[BOOK_COMMANDS.name, 1]) - 1), first.rows),
    )
    (report,) = reports(log, monkeypatch, "book", shard=1)
    assert report.difference.offset == len(log.parts[EXECUTIONS.name, 1]) - 1
    assert "the replay does not make it" in report.difference.what


def test_a_second_copy_is_counted_if_it_is_identical_and_named_if_not(exchange, monkeypatch):
    """As after a restart; readers drop it either way."""
    log = exchange.log
    offset = trade_frame(log)
    log.append(EXECUTIONS.name, 1, log.parts[EXECUTIONS.name, 1][offset].value)
    (report,) = reports(log, monkeypatch, "book", shard=1)
    assert report.difference is None
    assert report.compared.repeats == 1
    copy = log.append(EXECUTIONS.name, 1, log.parts[EXECUTIONS.name, 1][offset].value)
    log.change(EXECUTIONS.name, 1, copy, qty=(0, 77))
    (report,) = reports(log, monkeypatch, "book", shard=1)
    assert report.difference.offset == copy
    assert "a second copy" in report.difference.what


def test_frames_in_the_wrong_order_are_as_good_as_lost(exchange, monkeypatch):
    """A reader's mark drops the one that comes late."""
    part = exchange.log.parts[EXECUTIONS.name, 1]
    part[1], part[2] = replace(part[2], offset=1), replace(part[1], offset=2)
    (report,) = reports(exchange.log, monkeypatch, "book", shard=1)
    assert "which was made after it" in report.difference.what


def test_a_state_hash_that_a_snapshot_has_wrong_is_found_without_the_newest_snapshot(exchange, monkeypatch):
    """Every manifest in the changelog is a promise."""
    log = exchange.log
    part = log.parts[ACCOUNTS, 0]
    at = next(place for place, record in enumerate(part) if is_manifest(record.key) and UNCODED.unpacked(record.value)["meta"])
    manifest = UNCODED.unpacked(part[at].value)
    manifest["meta"]["state_hash"] = b"\1" * 16
    part[at] = replace(part[at], value=UNCODED.packed(manifest))
    (report,) = reports(log, monkeypatch, "account", shard=0)
    assert "01010101" in report.difference.what
    assert report.difference.offset == manifest["meta"]["next_offset"]


def test_a_snapshot_without_a_state_hash_is_restored_and_not_compared(exchange, monkeypatch):
    """Large shards have it now and then only."""
    log = exchange.log
    part = log.parts[ACCOUNTS, 0]
    (before,) = reports(log, monkeypatch, "account", shard=0)
    for at, record in enumerate(part):
        if is_manifest(record.key) and (manifest := UNCODED.unpacked(record.value))["meta"]:
            manifest["meta"]["state_hash"] = None
            part[at] = replace(record, value=UNCODED.packed(manifest))
    (report,) = reports(log, monkeypatch, "account", shard=0)
    assert (before.hashes_recorded, report.hashes_recorded) == (2, 0)
    assert report.difference is None
    assert report.snapshot_offset == before.snapshot_offset


def test_a_torn_snapshot_is_named_by_its_changelog(exchange, monkeypatch):
    """A page that the newest manifest names is missing, or of other bytes; a manifest is none."""
    log = exchange.log
    pages = [place for place, record in enumerate(log.parts[BOOKS, 1]) if not is_manifest(record.key)]
    whole = list(log.parts[BOOKS, 1])
    log.parts[BOOKS, 1] = [record for record in whole if record.key != whole[pages[-1]].key]
    with pytest.raises(StaleData, match=rf"{BOOKS}/1: snapshot page \d+ of \w+ is missing"):
        reports(log, monkeypatch, "book", shard=1)
    log.parts[BOOKS, 1] = whole
    log.parts[BOOKS, 1][pages[-1]] = replace(whole[pages[-1]], value=whole[pages[-1]].value[:-1] + b"\xff")
    with pytest.raises(StaleData, match="damaged"):
        reports(log, monkeypatch, "book", shard=1)


def test_a_manifest_that_is_none_is_told_and_passed_over(exchange, monkeypatch):
    """Roles pass it over too: whoever can write to the changelog cannot hide the true snapshots behind it."""
    exchange.log.append(BOOKS, 0, b"\xc1", manifest_key(0))
    (report,) = reports(exchange.log, monkeypatch, "book", shard=0)
    assert report.difference is None
    assert len(report.refused_snapshots) == 1
    assert "1 snapshots passed over" in report.line()
    assert f"{BOOKS}/0 offset" in report.line()


def test_other_instruments_or_another_engine_are_refused_before_anything_is_compared(exchange, monkeypatch):
    """Else every row would differ, and nobody would know why."""
    fewer = InstrumentTable([one for one in INSTRUMENTS if one.number != 1])
    with pytest.raises(StaleData, match="OUTCRY_INSTRUMENTS_FILE"):
        reports(exchange.log, monkeypatch, "book", shard=1, instruments=fewer)
    one = next(iter(INSTRUMENTS))
    changed = InstrumentTable([replace(one, reference_price=one.reference_price * 2), *list(INSTRUMENTS)[1:]])
    with pytest.raises(StaleData, match="OUTCRY_INSTRUMENTS_FILE"):
        reports(exchange.log, monkeypatch, "account", shard=0, instruments=changed)
    monkeypatch.setattr("streams.host.shard_runner.ENGINE_VERSION", ENGINE_VERSION + 1)
    with pytest.raises(StaleData, match=f"engine version {ENGINE_VERSION}, this is {ENGINE_VERSION + 1}"):
        reports(exchange.log, monkeypatch, "book", shard=1)


def test_from_the_snapshot_only_what_came_after_it_is_read(exchange, monkeypatch):
    """A difference before it is not seen, one after it is."""
    log = exchange.log
    log.change(ACCOUNT_EVENTS.name, 0, 0, cash=(0, 1))
    (report,) = reports(log, monkeypatch, "account", shard=0, wanted=Range(None))
    assert report.difference is None
    assert report.start == report.snapshot_offset > 0
    assert report.inputs == len(log.parts[ACCOUNT_COMMANDS.name, 0]) - report.start > 0
    last = len(log.parts[ACCOUNT_EVENTS.name, 0]) - 1
    log.change(ACCOUNT_EVENTS.name, 0, last, cash=(0, 1))
    (report,) = reports(log, monkeypatch, "account", shard=0, wanted=Range(None))
    assert report.difference.offset == last


def test_a_range_compares_what_its_inputs_make(exchange, monkeypatch):
    """The state is replayed from the beginning all the same."""
    log = exchange.log
    log.change(ACCOUNT_EVENTS.name, 0, 0, cash=(0, 1))
    (whole,) = reports(log, monkeypatch, "account", shard=0)
    assert whole.difference is not None
    end = len(log.parts[ACCOUNT_COMMANDS.name, 0]) - 2
    (report,) = reports(log, monkeypatch, "account", shard=0, wanted=Range(3, end))
    assert report.difference is None
    assert (report.start, report.next_offset) == (3, end)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [(Range(10_000), "is not within them"), (Range(5, 4), "is not within them"), (Range(0, 10_000), "is not within them")],
)
def test_a_range_that_the_log_does_not_have_is_refused(exchange, monkeypatch, wanted, words):
    """With the offsets that it has."""
    with pytest.raises(OutcryError, match=words):
        reports(exchange.log, monkeypatch, "account", shard=0, wanted=wanted)


def test_a_shard_or_a_beginning_that_is_not_there_is_refused(exchange, monkeypatch):
    """Naming what there is."""
    with pytest.raises(OutcryError, match=r"account\.commands has no partition 5, it has 2"):
        reports(exchange.log, monkeypatch, "account", shard=5)
    exchange.log.low[BOOK_COMMANDS.name, 0] = 2
    with pytest.raises(StaleData, match=r"book\.commands/0 begins at offset 2"):
        reports(exchange.log, monkeypatch, "book", shard=0)
    del exchange.log.parts[BOOKS, 1]
    with pytest.raises(StaleData, match=rf"{BOOKS}/1 has no snapshot"):
        reports(exchange.log, monkeypatch, "book", shard=1, wanted=Range(None))


def test_a_topic_that_has_lost_its_beginning_is_compared_from_where_it_begins(exchange, monkeypatch):
    """Market data is kept for a week; what expired is counted, not called lost."""
    log = exchange.log
    cut = 2
    log.low[MARKET_DATA.name, 1] = cut
    (report,) = reports(log, monkeypatch, "market", shard=1)
    assert report.difference is None
    assert report.compared.expired == cut
    log.low[EDGE_REPLIES.name, 0] = 0


def a_report(log: MemoryLog) -> int:
    """Offset of a book's report in account.commands/0."""
    return next(
        place for place, record in enumerate(log.parts[ACCOUNT_COMMANDS.name, 0]) if record.value and b"book.commands" in record.value
    )


def test_a_report_that_was_changed_is_left_out_by_the_replay_which_then_differs(exchange, monkeypatch):
    """Written behind the exchange's back: the replay makes a dead letter of it that the log does not have."""
    at = a_report(exchange.log)
    exchange.log.change(ACCOUNT_COMMANDS.name, 0, at, order_id=(0, 999_999))
    (report,) = reports(exchange.log, monkeypatch, "account", shard=0)
    assert (report.difference.topic, report.difference.source_offset) == (DEAD_LETTERS.name, at)


def test_an_input_that_the_engine_does_not_take_is_named(exchange, monkeypatch):
    """A fault of ours: the replay ends there."""
    at, apply = a_report(exchange.log), HoldFunds.apply

    def stop(self, frame, emit):
        assert emit._record.offset != at, "a fault of ours"
        apply(self, frame, emit)

    monkeypatch.setattr(HoldFunds, "apply", stop)
    (report,) = reports(exchange.log, monkeypatch, "account", shard=0)
    assert (report.difference.topic, report.difference.offset) == (ACCOUNT_COMMANDS.name, at)
    assert "refuses this input: a fault of ours" in report.difference.what


def test_records_that_cannot_be_read_are_told_where_something_is_missing(exchange, monkeypatch):
    """A log of another version must not look like a lost one."""
    part = exchange.log.parts[EXECUTIONS.name, 1]
    part[1] = replace(part[1], value=part[1].value[:2] + b"\7" * 8 + part[1].value[10:])
    (report,) = reports(exchange.log, monkeypatch, "book", shard=1)
    assert "(1 records there cannot be read: of another version?)" in report.difference.what


def invoke(log: MemoryLog, monkeypatch, *arguments: str):
    """The command as click runs it."""
    monkeypatch.setattr(verify_log, "Log", lambda settings: nullcontext(log))
    return CliRunner().invoke(verify_log.verify, arguments, obj=Settings())


def test_the_command_says_so_in_its_exit_status_and_a_line_a_shard(exchange, monkeypatch):
    """0 all the same, 1 something differs; JSON for programs."""
    done = invoke(exchange.log, monkeypatch, "--quiet")
    assert done.exit_code == 0
    assert len(done.stdout.splitlines()) == 9
    assert "account account.commands/0: same: inputs 0 to" in done.stdout
    exchange.log.change(ACCOUNT_EVENTS.name, 0, 0, cash=(0, 1))
    done = invoke(exchange.log, monkeypatch, "--role", "account", "--json", "--quiet")
    assert done.exit_code == 1
    first, second = (msgspec.json.decode(line) for line in done.stdout.splitlines())
    assert (first["same"], second["same"]) == (False, True)
    assert (first["difference"]["topic"], first["difference"]["offset"], first["difference"]["row"]) == (ACCOUNT_EVENTS.name, 0, 0)


def test_an_interrupt_ends_it_with_what_was_compared_so_far(exchange, monkeypatch):
    """No traceback; exit status 130; the shards behind it are left out."""
    records = exchange.log.records

    def interrupted(topic: str, partition: int, start: int, end: int):
        for record in records(topic, partition, start, end):
            if topic == BOOK_COMMANDS.name and record.offset == 3:
                raise KeyboardInterrupt
            yield record

    monkeypatch.setattr(exchange.log, "records", interrupted)
    done = invoke(exchange.log, monkeypatch, "--role", "book", "--quiet")
    assert done.exit_code == 130
    (line,) = done.stdout.splitlines()
    assert "interrupted, same so far: inputs 0 to 3" in line


def test_hashes_are_chosen_evenly_and_the_newest_is_among_them():
    """However many there are."""
    hashes = {offset: bytes([offset]) for offset in range(100)}
    assert sorted(chosen(hashes, Bounds(0, 99), 4)) == [24, 49, 74, 99]
    assert sorted(chosen(hashes, Bounds(10, 12), 50)) == [10, 11, 12]


def test_the_snapshots_of_every_replica_are_compared(exchange, monkeypatch):
    """A second replica has a changelog of its own: its hashes count like those of the first, and a wrong one is found."""
    log, second = exchange.log, changelog_topic("hold-funds-b", "accounts")
    (alone,) = reports(log, monkeypatch, "account", shard=0)
    part = log.parts[second, 0] = list(log.parts[ACCOUNTS, 0])
    (both,) = reports(log, monkeypatch, "account", shard=0)
    assert (both.hashes_compared, both.hashes_recorded) == (2 * alone.hashes_compared, 2 * alone.hashes_recorded)
    assert both.difference is None
    at = next(place for place, record in enumerate(part) if is_manifest(record.key) and UNCODED.unpacked(record.value)["meta"])
    manifest = UNCODED.unpacked(part[at].value)
    manifest["meta"]["state_hash"] = b"\1" * 16
    part[at] = replace(part[at], value=UNCODED.packed(manifest))
    (report,) = reports(log, monkeypatch, "account", shard=0)
    assert "01010101" in report.difference.what
