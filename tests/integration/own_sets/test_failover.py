"""Processes are killed while orders come in: others take over, the dead come back, and every order is decided and settled exactly once."""

import asyncio
import itertools
import os
import re
import secrets
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self
from urllib.request import urlopen

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType
from rocksdict import AccessType, Options, Rdict
from support.log_reader import eventually, read_partition

from schemas.codec import decode_frame
from schemas.enums import AccountEventKind, Phase, Side, TimeInForce
from schemas.instruments import load_instruments
from schemas.settings import Settings
from schemas.units import MINOR_PER_UNIT
from streams.host.read_log import Log
from streams.operate.accounts import Opening, open_accounts
from streams.operate.command_books import change_session
from streams.operate.move_shard import Moved, move_shard_to
from streams.operate.shard_places import MoveRefused, workers_here
from streams.process.record_keys import record_keys
from streams.services.commands import probe_all
from streams.services.local_set import LocalSet, StartFailed
from streams.services.recipes.kafka import describe_cluster
from streams.services.state import State
from topics import OrderProducer
from topics.catalogue import ACCOUNT_COMMANDS, ACCOUNT_EVENTS, BOOK_COMMANDS, EXECUTIONS, TOPICS, Topic
from topics.roles import MATCH_ORDERS, changelog_topic
from topics.speakers import PRODUCER

pytestmark = pytest.mark.integration
INSTRUMENTS = load_instruments(None)
BOOKS = 2
TAKEN_OVER_S = 600.0
BACK_S = 600.0
"""Far more than it takes (see tests/bench/bench_failover.py): a test machine may be busy with something else."""
SETTLED = [AccountEventKind.ACCEPTED, AccountEventKind.CANCELED]


@contextmanager
def running(home: Path, brokers: int = 1, workers: int = 1, **settings: int) -> Iterator[LocalSet]:
    """Kafka, account and book shards in a home of their own, the market open, account 1 rich."""
    local = LocalSet(Settings(home=home, book_shards=BOOKS, session_timeout_ms=3_000, **settings))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("OUTCRY_KAFKA_URL", raising=False)
        with local.running(("kafka",), ("hold-funds", "match-orders"), brokers, workers={"match-orders": workers}) as connected:
            change_session(connected, Phase.CONTINUOUS)
            open_accounts(connected, [Opening(1, 1_000_000_000 * MINOR_PER_UNIT, {})])
            yield local


class Orders:
    """Immediate-or-cancel orders on both book shards, fifty a second, from a thread; the ids of all that the log took."""

    def __init__(self, settings: Settings) -> None:
        self.ids: list[str] = []
        self._settings, self._stop, self._failure = settings, threading.Event(), ""
        self._thread = threading.Thread(target=self._send)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        assert not self._failure, self._failure

    def _send(self) -> None:
        run, symbols = secrets.token_hex(3), [INSTRUMENTS.by_number[number] for number in (1, 2)]
        try:
            with OrderProducer(
                self._settings.kafka_url, INSTRUMENTS, delivery_timeout_s=600, sign=record_keys(self._settings).signer(PRODUCER)
            ) as producer:
                while not self._stop.wait(0.02):
                    one = symbols[len(self.ids) % 2]
                    cl_ord_id = f"{run}-{len(self.ids)}"
                    price = one.price_text(one.price_to_ticks(one.reference_price))
                    producer.new_order(account=1, cl_ord_id=cl_ord_id, symbol=one.symbol, side=Side.BUY, order_qty=1, price=price,
                                       time_in_force=TimeInForce.IOC)  # fmt: skip
                    self.ids.append(cl_ord_id)
        except Exception as error:  # told by the thread that waits
            self._failure = repr(error)


def kill(local: LocalSet, name: str) -> int:
    """SIGKILL; the pid that it had."""
    status = local.status()
    assert status is not None
    pid = next(child.pid for child in status.children if child.name == name)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    return pid


def is_back(local: LocalSet, name: str, old: int) -> bool:
    """Another process has its place, and everything answers."""
    status = local.status()
    assert status is not None
    return all(child.state is State.READY and (child.name != name or child.pid != old) for child in status.children)


def first_copies(settings: Settings, topic: Topic, source: Topic) -> tuple[list[bytes], int]:
    """Frames that `source` made, as any reader must take them: by marks, in order; and how many came again. Asserts that those are identical."""
    taken: list[bytes] = []
    copies = distinct = 0
    for partition in range(BOOKS if topic is EXECUTIONS else 1):
        marks: dict[str, tuple[int, int]] = {}
        known: dict[tuple[str, int, int], bytes] = {}
        for record in read_partition(settings, topic, partition):
            header = decode_frame(record.value).header
            if not header.source.startswith(source.name + "/"):
                continue
            mark = header.source_offset, header.source_index
            same = known.setdefault((header.source, *mark), record.value)
            assert same == record.value, f"two different frames of {header.source}@{mark}"
            if mark <= marks.get(header.source, (-1, -1)):
                copies += 1
                continue
            marks[header.source] = mark
            taken.append(record.value)
        distinct += len(known)
    assert len(taken) == distinct, "a frame came first behind a later one: readers would lose it"
    return taken, copies


def fates(settings: Settings) -> dict[str, list[int]]:
    """What the account shard said of each order, by cl_ord_id."""
    found: dict[str, list[int]] = {}
    for value in first_copies(settings, ACCOUNT_EVENTS, ACCOUNT_COMMANDS)[0]:
        frame = decode_frame(value)
        assert frame.cl_ord_id is not None
        for kind, text in zip(frame.rows["kind"].tolist(), frame.cl_ord_id.tolist(), strict=True):
            found.setdefault(text.decode(), []).append(kind)
    return found


def wait_settled(settings: Settings, ids: list[str]) -> None:
    """Each order was accepted once, canceled once, and nothing else."""

    def strays() -> dict[str, list[int]]:
        said = fates(settings)
        return {one: said.get(one, []) for one in ids if said.get(one) != SETTLED}

    eventually(strays, lambda left: not left)
    assert len(set(ids)) == len(ids) > 50


def executions_end(settings: Settings, partition: int) -> int:
    """Next offset of the partition; -1 where its leader does not answer."""
    consumer = Consumer({"bootstrap.servers": settings.kafka_url, "group.id": "tests", "log_level": 0})
    try:
        return int(consumer.get_watermark_offsets(TopicPartition(EXECUTIONS.name, partition), timeout=2)[1])
    except KafkaException:
        return -1
    finally:
        consumer.close()


def wait_service(settings: Settings) -> None:
    """Until both book shards have decided something that comes after this call."""
    for partition in range(BOOKS):

        def end(partition: int = partition) -> int:
            return executions_end(settings, partition)

        now = eventually(end, lambda found: found >= 0, TAKEN_OVER_S)
        eventually(end, lambda found, now=now: found > now + 2, TAKEN_OVER_S)  # type: ignore[misc]


def test_any_broker_of_three_may_die_under_load(tmp_path: Path) -> None:
    """Every topic has three copies, two of which must have a record; each broker is killed in turn, and no order is lost or doubled."""
    with running(tmp_path, brokers=3) as local:
        settings = local.connected_settings()
        admin = AdminClient({"bootstrap.servers": settings.kafka_url})
        topics = admin.list_topics(timeout=60).topics
        ours = [topic.name for topic in TOPICS] + [changelog_topic("match-orders", "books"), changelog_topic("hold-funds", "accounts")]
        for name in ours:
            assert {len(partition.replicas) for partition in topics[name].partitions.values()} == {3}, name
        asked = admin.describe_configs([ConfigResource(ResourceType.TOPIC, name) for name in [*ours, "__consumer_offsets"]])
        for resource, answer in asked.items():
            assert answer.result()["min.insync.replicas"].value == "2", resource
        assert settings.kafka_url.count(",") == 2, "clients must know all three"
        with Orders(settings) as orders:
            for name in ("kafka", "kafka-2", "kafka-3"):
                pid = kill(local, name)
                wait_service(settings)
                eventually(lambda name=name, pid=pid: is_back(local, name, pid), bool, BACK_S)  # type: ignore[misc]
        wait_settled(settings, orders.ids)
        released = (settings.log_dir / "supervisor.log").read_text().count("event=broker.released")
        assert released == 3, "the supervisor took each dead broker out of the cluster, nobody waited for its session to end"


def test_data_of_one_broker_does_not_start_as_three(tmp_path: Path) -> None:
    """The reason and the way out are in the message, and nothing is left running."""
    describe_cluster(tmp_path / "data", 1)
    local = LocalSet(Settings(home=tmp_path))
    with pytest.raises(StartFailed, match=r"was made for 1 Kafka broker\(s\), not 3: use the same --brokers, or move the directory away"):
        local.start(("kafka",), brokers=3)
    assert local.running_pid() is None


def test_workers_share_the_books_and_take_over_from_one_that_is_killed(tmp_path: Path) -> None:
    """Its partitions are served elsewhere, and it gets its share again; then replicas are added to what runs, and all of one may die at once; then one worker does it alone."""
    with running(tmp_path, workers=2, standby_replicas=1) as local:
        settings = local.connected_settings()
        assert {path.name for path in (settings.data_dir / "tables").iterdir()} == {"hold-funds", "match-orders", "match-orders-2"}
        with Orders(settings) as orders:
            for name in ("match-orders", "match-orders-2"):
                pid = kill(local, name)
                wait_service(settings)
                eventually(lambda name=name, pid=pid: is_back(local, name, pid), bool, BACK_S)  # type: ignore[misc]
            released = (settings.log_dir / "supervisor.log").read_text().count("event=member.released")
            assert released == 2, "the supervisor took each dead worker out of its group, nobody waited for its session to end"
            for table in itertools.product(("match-orders", "match-orders-2"), range(BOOKS)):
                eventually(lambda table=table: missing_of_changelog(settings, *table), lambda left: not left)  # type: ignore[misc]
            local.start(("kafka",), replicas={"match-orders": 2})
            assert roles_of(local) == ["hold-funds", "match-orders", "match-orders-b", "match-orders-2", "match-orders-b-2"]
            eventually(lambda: first_copies(settings, EXECUTIONS, BOOK_COMMANDS)[1], lambda copies: copies > 100)
            move_there_and_back(local, settings)
            pids = {name: kill(local, name) for name in ("match-orders", "match-orders-2")}
            wait_service(settings)
            eventually(lambda: all(is_back(local, name, pid) for name, pid in pids.items()), bool, BACK_S)
            local.start(("kafka",), workers={"match-orders": 1}, replicas={"match-orders": 1})
            wait_service(settings)
            eventually(lambda: roles_of(local), lambda names: names == ["hold-funds", "match-orders"])
        wait_settled(settings, orders.ids)
        assert_dense(settings)
        eventually(lambda: asyncio.run(probe_all(local.status(), settings)), caught_up)
        with urlopen(address_of(local, "match-orders") + "/metrics") as answer:
            assert b'outcry_input_lag_records{partition="' in answer.read()


def move_there_and_back(local: LocalSet, settings: Settings) -> None:
    """A shard moves to the other replica and back while orders come in; what cannot be moved is refused with a sentence. In the end its writer is about to be killed."""

    def move(worker: str) -> Moved | None:
        return move_shard_to(settings, MATCH_ORDERS, 0, worker, workers_here(settings.run_dir, MATCH_ORDERS), TAKEN_OVER_S)

    homes = {name: "shard 0" in said or "shards 0, 1" in said for name, said in asyncio.run(probe_all(local.status(), settings)).items()}
    there = next(name for name in ("match-orders-b", "match-orders-b-2") if homes[name])
    back = next(name for name in ("match-orders", "match-orders-2") if homes[name])
    epochs = []
    for worker in (there, back, there, back):
        moved = move(worker)
        assert moved is not None
        assert moved.compared == (back, there), "equal states, else it would have been refused"
        epochs.append(moved.epoch)
        wait_service(settings)
    assert epochs == [1, 2, 3, 4]
    assert move(back) is None, "it is there"
    assert "(writes none)" in asyncio.run(probe_all(local.status(), settings))[there].replace("shards 0, 1 (writes 1)", "(writes none)")
    for worker, sentence in (
        ("match-orders-c", "there is no worker match-orders-c of match-orders, only match-orders, match-orders-2, match-orders-b, match-orders-b-2"),
        (next(name for name in ("match-orders-b", "match-orders-b-2", "match-orders", "match-orders-2") if not homes[name]), "does not hold shard 0"),
    ):  # fmt: skip
        with pytest.raises(MoveRefused, match=sentence):
            move(worker)


def missing_of_changelog(settings: Settings, worker: str, partition: int) -> list[bytes]:
    """Keys for which a worker's table, its own or a standby copy, lacks a record of the changelog up to where it says it is. It may be further."""
    path = settings.data_dir / "tables" / worker / "v1" / "tables" / f"books-{partition}.db"
    table = Rdict(str(path), options=Options(raw_mode=True), access_type=AccessType.read_only())
    stored = dict(table.items())
    table.close()
    position = int(stored.pop(b"__faust\0offset__", b"-1"))
    possible: dict[bytes, set[bytes | None]] = {}
    topic = changelog_topic("match-orders", "books")
    with Log(settings) as log:
        bounds = log.bounds(topic, partition)
        assert bounds is not None
        for record in log.records(topic, partition, bounds.low, bounds.high):
            assert record.key is not None
            if record.offset <= position:
                possible[record.key] = {record.value}
            else:
                possible.setdefault(record.key, {None}).add(record.value)
    return [key for key, values in possible.items() if stored.get(key) not in values]


def roles_of(local: LocalSet) -> list[str]:
    """Names of the workers, in the order of `outcry status`."""
    status = local.status()
    assert status is not None
    return [child.name for child in status.children if child.kind == "role"]


def address_of(local: LocalSet, name: str) -> str:
    """Where a worker answers."""
    status = local.status()
    assert status is not None
    return next(child.address for child in status.children if child.name == name)


def caught_up(answers: dict[str, str]) -> bool:
    """`outcry status` tells of each role how far it is behind; with nothing to do but ticks it is not."""
    roles = [said for name, said in answers.items() if name.startswith(("match-orders", "hold-funds"))]
    behind = [re.match(r"ready, (\d+) record", said) for said in roles]  # before the log's ends have been asked for, nobody knows
    return len(roles) == 2 and all(one is not None and int(one[1]) <= 1 for one in behind)


def assert_dense(settings: Settings) -> None:
    """Taken by marks, the executions of each book shard are numbered without a gap or a repeat, whoever published them."""
    taken, copies = first_copies(settings, EXECUTIONS, BOOK_COMMANDS)
    assert copies > 100
    expected: dict[str, int] = {}
    for value in taken:
        frame = decode_frame(value)
        source = frame.header.source
        if source in expected:
            assert frame.header.first_seq == expected[source]
        expected[source] = frame.header.first_seq + len(frame.rows)
    assert len(expected) == BOOKS
