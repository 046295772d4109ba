"""A witness cosigns what has grown and refuses everything else, with the status codes of https://c2sp.org/tlog-witness."""

import shutil
import threading
from itertools import count

import pytest
from support.records.audit_logs import (
    KEYS,
    ORIGIN,
    WITNESS,
    Crashed,
    CrashingDisk,
    cosign,
    entry,
    grow,
    open_log,
    open_witness,
    policy,
    position,
)

from audit.notes import Checkpoint, Note, parse_signature
from audit.tiles import LogFiles
from audit.tree import consistency_path, root_of
from audit.witness import SIZE_TYPE, Request, Witness, make_folder
from schemas.errors import OutcryError, StaleData


@pytest.fixture
def log(tmp_path):
    """Of 300 entries."""
    log = open_log(tmp_path / "log")
    grow(log, 300)
    return log


@pytest.fixture
def witness(tmp_path):
    """That has seen nothing yet."""
    return open_witness(tmp_path / "witness")


def proof(log, old):
    """From `old` entries to the newest checkpoint."""
    return consistency_path(LogFiles(str(log.folder)).nodes(log.committed.size), old, log.committed.size)


def ask(witness, old, hashes, note, now_s=1_700_000_000):
    """One request."""
    return witness.add(bytes(Request(old, hashes, bytes(note))), now_s)


def test_a_log_that_grows_is_cosigned_each_time(log, witness):
    """The first time without a proof, and the newest checkpoint is remembered with the cosignature."""
    assert cosign(log, witness, 1_700_000_001).status == 200
    grow(log, 1_300)
    answer = cosign(log, witness, 1_700_000_002)
    assert answer.status == 200
    note = log.cosigned()
    assert note.signed_by([WITNESS.public], "note") == {WITNESS.public: 1_700_000_002}
    assert parse_signature(answer.body.rstrip("\n"), "answer").name == WITNESS.name
    assert bytes(witness.newest(ORIGIN)) == bytes(note) == (log.folder / "checkpoint").read_bytes()


def test_a_request_is_what_the_specification_shows(log):
    """https://c2sp.org/tlog-witness."""
    grow(log, 301)
    request = bytes(Request(300, proof(log, 300), bytes(log.note)))
    assert request.startswith(b"old 300\n")
    assert b"=\n\nexchange.example/audit/executions/0\n301\n" in request
    assert bytes(Request.parse(request)) == request


def test_a_fork_is_refused_and_told(log, witness, tmp_path):
    """Another tree of the same size, another tree of a larger size, with whatever proof."""
    assert cosign(log, witness).status == 200
    fork = open_log(tmp_path / "fork")
    for offset in range(300):
        fork.append(entry(offset if offset != 7 else 7_777))
    fork.commit(position(300))
    answer = ask(witness, 300, [], fork.note)
    assert (answer.status, answer.body, answer.content_type) == (409, "300\n", SIZE_TYPE)
    assert answer.why.startswith(f"FORK {ORIGIN}")
    grow(fork, 400)
    for hashes in (proof(fork, 300), [], [bytes(32)] * 3):
        answer = ask(witness, 300, hashes, fork.note)
        assert (answer.status, answer.why.partition(":")[0]) == (422, f"FORK {ORIGIN}")
    grow(log, 400)
    assert cosign(log, witness).status == 200


def test_a_log_that_shrinks_or_forgets_is_told_what_the_witness_has(log, witness):
    """409 with the size, so that an honest log that has lost its answer can go on."""
    assert cosign(log, witness).status == 200
    small = KEYS.sign(Checkpoint(ORIGIN, 200, bytes(32)))
    for old, note in ((0, log.note), (200, small), (100, small), (0, small)):
        answer = ask(witness, old, [], note)
        assert (answer.status, answer.body, answer.content_type) == (409, "300\n", SIZE_TYPE)
    assert ask(witness, 300, [], small).status == 400
    assert ask(witness, 300, [], log.note).status == 200, "the same checkpoint may be cosigned again"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda data: data.replace(b"old 0", b"old  0"), 400), (lambda data: data.replace(b"old 0", b"old 00"), 400), (lambda data: b"", 400),
        (lambda data: data[: len(data) // 2], 400), (lambda data: data.replace(b"old 0", b"old 301"), 400), (lambda data: b"\xff" + data, 400),
        (lambda data: data.replace(b"executions/0\n", b"executions/1\n"), 404), (lambda data: data.replace(b"\n300\n", b"\n299\n"), 403),
        (lambda data: data.replace(b"old 0\n", b"old 0\n" + b"AAAA\n" * 64), 400), (lambda data: data.replace(b"old 0\n", b"old 0\nAAA\n"), 400),
        (lambda data: data.replace(b"old 0\n", b"old 0\n" + b"A" * 43 + b"=\n"), 422),
        (lambda data: data.replace("\u2014 exchange".encode(), "\u2014 another".encode()), 403),
    ],
)  # fmt: skip
def test_bad_requests_have_their_status_and_change_nothing(log, witness, change, status):
    """No exception, no memory of it."""
    request = bytes(Request(0, [], bytes(log.note)))
    assert change(request) != request
    assert witness.add(change(request), 1).status == status
    assert witness.newest(ORIGIN) is None
    assert witness.add(request, 1).status == 200


def test_a_witness_may_die_at_any_step_and_never_cosigns_two_trees_of_one_size(tmp_path, log):
    """It stores before it answers; after a crash in between the log asks once more."""
    for at in count():
        disk = CrashingDisk(at)
        try:
            assert cosign(log, open_witness(tmp_path / str(at), disk)).status == 200
            break  # it had fewer steps than that
        except Crashed:
            pass
        again = open_witness(tmp_path / str(at))
        assert cosign(log, again).status == 200
        assert ask(again, 300, [], KEYS.sign(Checkpoint(ORIGIN, 300, bytes(32)))).status == 409
    assert at == len(disk.steps) == 2


def test_a_witness_that_has_lost_its_disk_does_not_start(tmp_path, log, witness):
    """It would cosign anything: this is what rolling back the log and restarting the witness would need."""
    assert cosign(log, witness).status == 200
    shutil.rmtree(tmp_path / "witness")
    with pytest.raises(StaleData, match="it would cosign a fork"):
        Witness(tmp_path / "witness", WITNESS, policy())
    make_folder(tmp_path / "other")
    with pytest.raises(OutcryError, match="already"):
        make_folder(tmp_path / "other")


def test_a_damaged_memory_is_not_taken_for_an_empty_one(tmp_path, log, witness):
    """Not even where the damage is a checkpoint that another has signed."""
    assert cosign(log, witness).status == 200
    (path,) = (tmp_path / "witness" / "logs").iterdir()
    for damaged in (b"", b"x", bytes(log.note), path.read_bytes().replace(b"\n300\n", b"\n200\n")):
        if damaged == path.read_bytes():
            continue
        path.write_bytes(damaged)
        with pytest.raises(StaleData, match="memory is damaged"):
            ask(witness, 0, [], log.note)


def test_requests_that_race_are_decided_one_after_the_other(log, witness):
    """The race of the specification: an older checkpoint must not take the place of a newer one."""
    notes, hashes = [], []
    for size in range(301, 341):
        grow(log, size)
        notes.append(log.note)
        hashes.append(proof(log, 300))
    assert ask(witness, 0, [], KEYS.sign(Checkpoint(ORIGIN, 300, open_at(log, 300)))).status == 200
    answers = []
    racing = [
        threading.Thread(target=lambda note=note, one=one: answers.append(ask(witness, 300, one, note)))
        for note, one in zip(notes, hashes, strict=True)
    ]
    for one in racing:
        one.start()
    for one in racing:
        one.join()
    assert sorted(answer.status for answer in answers) == [200] + [409] * 39
    cosigned = next(answer for answer in answers if answer.status == 200)
    assert cosigned.body in bytes(witness.newest(ORIGIN)).decode()


def open_at(log, size):
    """The root that the log had."""
    return root_of(LogFiles(str(log.folder)).nodes(log.committed.size), 0, size)


def test_the_answer_can_be_put_under_the_checkpoint(log, witness):
    """So a client needs no more than a parser of notes."""
    answer = cosign(log, witness)
    note = Note.parse(bytes(log.note) + answer.body.encode())
    assert policy(is_witnessed=True).cosigned(bytes(note), "checkpoint")[0].size == 300
