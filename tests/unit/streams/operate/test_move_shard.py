"""`outcry move-shard`: what it refuses and with which sentence, and what it asks of the shard. Workers answer over HTTP as real ones do."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, cast

import click
import pytest

from schemas.codec import BadBytes, decode_record
from schemas.errors import ServiceUnavailable
from streams.host.placement import Placement, move_record, placed
from streams.operate.ask_shards import NotConfirmed
from streams.operate.move_shard import EVERY, Move, _address
from streams.operate.shard_places import MoveRefused, workers_here
from topics.roles import MATCH_ORDERS

SHARD = 0
TIMEOUT_S = 0.3


class Worker:
    """Answers /readyz with what a worker of match-orders says of its shard."""

    def __init__(self, replica: str, state_hash: str = "aa") -> None:
        self.replica, self.state_hash, self.next_offset, self.hears, self.status, self.holds = replica, state_hash, 100, True, 200, True
        self.placement, self.compared = Placement(), dict[str, Any]()
        worker = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(worker.status)
                self.end_headers()
                self.wfile.write(json.dumps(worker.answer()).encode())

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self) -> dict[str, Any]:
        place = self.placement
        said = {"replica": self.replica, "epoch": place.epoch, "writers": place.writers, "since": place.since,
                "next_offset": self.next_offset, "writes": place.writes(self.replica), "compared": self.compared or None}  # fmt: skip
        return {"status": "recovering" if self.status != 200 else "ready", "partitions": {str(SHARD if self.holds else 1): said}}

    def hear(self, value: bytes, offset: int) -> None:
        """Apply a record of the input."""
        self.next_offset = offset + 1
        try:
            following = placed(self.placement, value, offset)
        except BadBytes:
            return
        if following is None:
            self.compared = {"offset": offset, "state_hash": self.state_hash, "written": self.placement.writes(self.replica)}
        else:
            self.placement = following

    def die(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Input:
    """The shard's input."""

    shard = SHARD

    def __init__(self, workers: list[Worker]) -> None:
        self.values: list[bytes] = []
        self._workers = workers
        self.before_append: Callable[[bytes], None] = lambda value: None

    def end(self) -> int:
        return 100 + len(self.values)

    def append(self, value: bytes, _timeout_s: float) -> int:
        self.before_append(value)
        return self.write(value)

    def write(self, value: bytes) -> int:
        """Whoever does."""
        self.values.append(value)
        for worker in self._workers:
            if worker.hears:
                worker.hear(value, 99 + len(self.values))
        return 99 + len(self.values)

    def said(self) -> list[tuple[str, int, str, int]]:
        """(kind, from_epoch, writers, written_to) of each record."""
        records = [decode_record(value)[1] for value in self.values]
        return [(one["kind"], one["from_epoch"], one["writers"], one["written_to"]) for one in records]


class World:
    """Two workers and their input."""

    def __init__(self) -> None:
        self.a, self.b = Worker("a"), Worker("b")
        self.input = Input([self.a, self.b])
        self.told: list[str] = []

    def move(self, worker: str = "match-orders-b") -> Any:
        addresses = {"match-orders": self.a.address, "match-orders-b": self.b.address}
        return Move(cast("Any", self.input), MATCH_ORDERS, addresses, TIMEOUT_S, self.told.append).to(worker)


@pytest.fixture
def world() -> Iterator[World]:
    """Everybody lives."""
    with ExitStack() as stack:
        made = World()
        for one in (made.a, made.b):
            stack.callback(one.die)
        yield made


def test_states_are_compared_and_then_the_epoch_ends(world: World) -> None:
    """The move says up to where the writer has written: nobody needs to send that again."""
    moved = world.move()
    assert world.input.said() == [("COMPARE", 0, "", 0), ("MOVE", 0, "b", 100)]
    assert (moved.epoch, moved.at, moved.compared, moved.state_hash) == (1, 101, ("match-orders", "match-orders-b"), "aa")
    assert world.told == ["compared at offset 100: match-orders, match-orders-b have the state aa"]
    assert world.move("match-orders").epoch == 2
    assert world.move(EVERY).epoch == 3
    assert world.a.placement.writes("a") and world.a.placement.writes("b")


def test_a_shard_that_is_there_is_not_moved(world: World) -> None:
    """Nothing is written to its input."""
    world.move()
    before = len(world.input.values)
    assert world.move() is None
    assert len(world.input.values) == before


def test_an_unknown_worker_is_refused(world: World) -> None:
    """With those that there are, and how to start another replica."""
    with pytest.raises(
        MoveRefused, match=r"no worker match-orders-c of match-orders, only match-orders, match-orders-b.*--replicas match-orders=2"
    ):
        world.move("match-orders-c")
    assert world.input.values == []


def test_a_dead_worker_is_refused(world: World) -> None:
    """With its address."""
    world.b._server.server_close()
    with pytest.raises(MoveRefused, match=r"match-orders-b does not answer at http://127.0.0.1"):
        world.move()
    assert world.input.values == []


def test_a_worker_that_recovers_is_refused(world: World) -> None:
    """With what it says itself."""
    world.b.status = 503
    with pytest.raises(MoveRefused, match="match-orders-b is not ready: .*recovering"):
        world.move()


def test_a_worker_without_the_shard_is_refused(world: World) -> None:
    """With the shards that it has."""
    world.b.holds = False
    with pytest.raises(MoveRefused, match="match-orders-b does not hold shard 0: it has 1"):
        world.move()


def test_a_worker_that_has_not_caught_up_is_refused(world: World) -> None:
    """With how far it is behind."""
    world.input.values += [b""] * 1_001
    with pytest.raises(MoveRefused, match="match-orders-b is 1,001 records behind, more than 1,000"):
        world.move()


def test_replicas_that_differ_are_refused(world: World) -> None:
    """With both states, and what to run."""
    world.b.state_hash = "bb"
    with pytest.raises(MoveRefused, match=r"states at offset 100 differ: match-orders aa, match-orders-b bb.*outcry verify"):
        world.move()
    assert [kind for kind, *_ in world.input.said()] == ["COMPARE"]


def test_a_worker_that_dies_before_it_is_compared_ends_the_move(world: World) -> None:
    """Nothing has changed then."""
    world.b.hears = False
    with pytest.raises(MoveRefused, match=r"not compared at offset 100 within 0.3 s: match-orders-b; nothing was moved"):
        world.move()
    assert world.a.placement == Placement()


def test_a_worker_that_dies_before_it_writes_is_told_of(world: World) -> None:
    """The move is in the log all the same: it cannot be taken back, and followers see to it."""

    def deafen(value: bytes) -> None:
        world.b.hears = decode_record(value)[1]["kind"] == "COMPARE"

    world.input.before_append = deafen
    with pytest.raises(NotConfirmed, match=r"match-orders-b did not come to offset 101 .* the move is in the log"):
        world.move()
    assert world.a.placement.writers == "b"


@pytest.mark.parametrize("kind", ["COMPARE", "MOVE"])
def test_of_two_moves_at_once_the_second_is_told(world: World, kind: str) -> None:
    """Whether the first one comes before its comparison or between that and its move."""

    def other_first(value: bytes) -> None:
        if decode_record(value)[1]["kind"] == kind:
            world.input.write(move_record(Placement(), "a", 0, "another mover"))

    world.input.before_append = other_first
    with pytest.raises(MoveRefused, match="another move came first: shard 0 is in epoch 1, written by a"):
        world.move()
    assert world.b.placement.writers == "a"


def test_a_shard_whose_writer_is_dead_can_be_moved(world: World) -> None:
    """There is nobody to compare with; the new writer sends all that it holds."""
    world.move("match-orders")
    world.a.hears = False
    world.a._server.server_close()
    moved = world.move()
    assert moved.compared == ("match-orders-b",)
    assert world.input.said()[-1] == ("MOVE", 1, "b", 0)


def test_workers_of_this_machine_are_found_by_their_files(tmp_path: Path) -> None:
    """Those of other roles are not, and a file that is damaged is told of."""
    for name in ("match-orders", "match-orders-2", "match-orders-b", "match-orders-b-2", "hold-funds", "match-orders-x"):
        (tmp_path / f"{name}.json").write_text('{"pid": 7, "port": 80}')
    assert workers_here(tmp_path, MATCH_ORDERS) == dict.fromkeys(
        ("match-orders", "match-orders-2", "match-orders-b", "match-orders-b-2"), "http://127.0.0.1:80"
    )
    (tmp_path / "match-orders.json").write_text("{")
    with pytest.raises(ServiceUnavailable, match="match-orders.json is not what a worker writes"):
        workers_here(tmp_path, MATCH_ORDERS)


@pytest.mark.parametrize("text", ["match-orders-b", "=http://h:1", "match-orders-b=h:1"])
def test_an_address_that_is_none_is_refused(text: str) -> None:
    """With the form that it should have."""
    with pytest.raises(click.BadParameter, match="is not WORKER=http://HOST:PORT"):
        _address(text)
    assert _address("match-orders-b=http://h:1/") == ("match-orders-b", "http://h:1")
