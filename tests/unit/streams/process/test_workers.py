"""Several workers and replicas of a role: who is who, whose directory is whose, whose tick is enough."""

import asyncio
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from turns import turn_of

from matchers.books.shard import BookShard
from schemas.codec import FRAMES
from schemas.enums import BookCommandKind, ExecKind
from schemas.errors import StaleData
from schemas.instruments import load_instruments
from schemas.settings import Settings
from streams.__main__ import outcry
from streams.host.shard_host import Role, ShardHost, Tick
from streams.host.shard_runner import Record
from streams.operate.shard_places import letter_of
from streams.process.worker_identity import WorkerId, worker_of, workers_of
from streams.roles.match_orders import MatchOrders, timer_command
from streams.services.recipes.kafka import copies_of, copies_required, describe_cluster
from streams.services.state import Wanted
from streams.transport.app import claim_for_cluster, claim_for_worker
from streams.transport.lag import lag_of
from topics.catalogue import BOOK_COMMANDS
from topics.roles import MATCH_ORDERS, REGIONS_MAX, REPLICAS

INSTRUMENTS = load_instruments(None)


def test_the_only_worker_has_the_plain_name_and_all_others_have_one_of_their_own():
    """Names are files, directories and static membership ids: none may be another's."""
    assert str(WorkerId("match-orders")) == WorkerId("match-orders").group == "match-orders"
    many = [worker for role in ("match-orders", "hold-funds") for worker in workers_of(role, 3, 2)]
    assert len({worker.name for worker in many}) == len(many) == 12
    assert WorkerId("match-orders", "b", 2).name == "match-orders-b-2"
    assert {worker.group for worker in workers_of("match-orders", 3, 2)} == {"match-orders", "match-orders-b"}


def test_no_replica_of_one_region_has_the_name_of_another_regions():
    """Groups name who has committed what, and both regions' are looked at. A role without replicas has one name everywhere."""
    named = [{worker.name for worker in workers_of("match-orders", 1, 2, region)} for region in range(1, REGIONS_MAX + 1)]
    assert named[:2] == [{"match-orders", "match-orders-b"}, {"match-orders-c", "match-orders-d"}]
    assert len(set().union(*named)) == 2 * REGIONS_MAX
    assert {worker.name for worker in workers_of("persist-mysql", 1, 1, 3)} == {"persist-mysql"}
    for name in named[1]:
        assert MATCH_ORDERS.replica(letter_of(MATCH_ORDERS, name)) == name
    assert letter_of(MATCH_ORDERS, "match-orders-2") == letter_of(MATCH_ORDERS, "match-orders") == "a"


@pytest.mark.parametrize("worker", workers_of("match-orders", 2, 2), ids=str)
def test_a_process_started_with_its_options_knows_who_it_is(worker):
    """What the supervisor writes on the command line is what the settings then say."""
    names = {"--replica": "worker_replica", "--instance": "worker_instance"}
    given = dict(zip(worker.options[::2], worker.options[1::2], strict=True))
    settings = Settings(**{names[option]: value for option, value in given.items()})
    assert worker_of(settings, "match-orders") == worker


def test_a_set_has_a_child_for_every_worker_of_every_replica():
    """In the order in which they are shown; roles without a number have one."""
    wanted = Wanted((), ("hold-funds", "match-orders"), workers={"match-orders": 2}, replicas={"match-orders": 2})
    assert wanted.names() == ["topics", "hold-funds", "match-orders", "match-orders-b", "match-orders-2", "match-orders-b-2"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["up", "--workers", "edge=2"], "'edge' is not one of"),
        (["up", "--workers", "match-orders"], "a number from 1 to"),
        (["up", "--workers", "match-orders=0"], "a number from 1 to"),
        (["up", "--replicas", "persist-mysql=2"], "'persist-mysql' is not one of"),
        (["up", "--replicas", f"match-orders={len(REPLICAS) + 1}"], "a number from 1 to"),
        (["worker", "persist-mysql", "--replica", "b"], "persist-mysql cannot have replicas"),
        (["worker", "edge", "--instance", "2"], "see OUTCRY_EDGE_INSTANCE"),
    ],
)
def test_what_cannot_be_several_is_refused_before_anything_starts(tmp_path, arguments, message):
    """With a sentence, as wrong usage."""
    answer = CliRunner(env={"OUTCRY_HOME": str(tmp_path)}).invoke(outcry, arguments)
    assert answer.exit_code == 2
    assert message in " ".join(answer.output.split())
    assert not any(tmp_path.iterdir())


def test_a_data_directory_in_use_is_refused_naming_who_uses_it(tmp_path):
    """Two workers with one number would share RocksDB files and a place in the group."""
    claim_for_worker(tmp_path / "match-orders")
    claim_for_worker(tmp_path / "match-orders-2")
    with pytest.raises(StaleData, match=r"is in use by the worker with pid \d+: give each worker .* OUTCRY_WORKER_INSTANCE"):
        claim_for_worker(tmp_path / "match-orders")


def test_tables_of_another_cluster_are_refused_and_the_mark_of_their_own_is_written_once(tmp_path):
    """Written again it would be torn by a full disk, and an empty mark is another cluster's."""
    claim_for_cluster(tmp_path, "mine")
    mark = tmp_path / "cluster-id"
    written = mark.stat()
    claim_for_cluster(tmp_path, "mine")
    assert mark.read_text() == "mine" and (mark.stat().st_ino, mark.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns)
    with pytest.raises(StaleData, match="holds tables of Kafka cluster mine, but the broker is other"):
        claim_for_cluster(tmp_path, "other")


def test_data_of_one_broker_is_not_taken_for_that_of_three(tmp_path):
    """Nor the other way round: the replicas would be missing, or nobody would be asked for them."""
    one, three = tmp_path / "one", tmp_path / "three"
    describe_cluster(one, 1)
    describe_cluster(three, 3)
    with pytest.raises(StaleData, match=r"made for 1 Kafka broker.*not 3: use the same --brokers"):
        describe_cluster(one, 3)
    with pytest.raises(StaleData, match=r"made for 3 Kafka broker.*not 1"):
        describe_cluster(three, 1)


@pytest.mark.parametrize(("brokers", "copies", "required"), [(1, 1, 1), (2, 2, 1), (3, 3, 2), (5, 3, 2)])
def test_a_record_is_acknowledged_by_all_copies_but_one(brokers, copies, required):
    """So that one broker of three may be away; one of two as well, at the price of a single copy meanwhile."""
    assert (copies_of(brokers), copies_required(copies)) == (copies, required)
    assert Settings(replication_factor=copies).insync_copies_min == required


class Sent:
    """The producer and consumer of a Faust app, as far as ticks need them."""

    def __init__(self):
        self.records = []
        self.producer = self.consumer = self

    async def send(self, topic, key, value, partition, timestamp, headers):
        """Takes the record."""
        self.records.append((topic, partition, value))

    def assignment(self):
        """One partition."""
        return [SimpleNamespace(topic=BOOK_COMMANDS.name, partition=0)]


class Stream:
    """An agent's stream of which nothing is acknowledged: snapshots are far away."""

    def noack(self):
        """Itself."""
        return self


async def test_of_two_replicas_only_one_ticks_and_the_other_takes_over_when_it_falls_silent(monkeypatch):
    """Each hears the ticks of both, as they read one log; a second of silence and a half is the most."""
    now = [100.0]
    monkeypatch.setattr("streams.host.shard_host._now", lambda: now[0])
    tick = Tick(1.0, timer_command, count=lambda books: books.ticks)
    role = Role("match-orders", BOOK_COMMANDS, "books", lambda shard: MatchOrders(shard, INSTRUMENTS, 1, 1), tick)
    table = SimpleNamespace(get=lambda key: None)
    apps = [Sent(), Sent()]
    hosts = [ShardHost(app, Settings(snapshot_interval_ms=600_000), role, table) for app in apps]  # type: ignore[arg-type]
    log = []

    async def pass_on(living):
        for app in apps:
            log.extend(one for one in app.records if one[0] == BOOK_COMMANDS.name)
            app.records.clear()
        for host in living:
            records = [Record(BOOK_COMMANDS.name, 0, offset, int(now[0] * 1e9), None, value) for offset, (_, _, value) in enumerate(log)]
            if records[heard[host] :]:
                await host._turn(Stream(), SimpleNamespace(message=turn_of(records[heard[host] :])))
            heard[host] = len(log)

    heard = dict.fromkeys(hosts, 0)
    for second in range(10):
        for phase, host in zip((0.0, 0.3), hosts, strict=True):
            now[0] = 100.0 + second + phase
            await host.tick()
            await pass_on(hosts)
    assert len(log) == 10, "one a second, whoever sends it"
    silent_since = len(log)
    for second in range(10, 13):
        now[0] = 100.3 + second
        await hosts[1].tick()
        await pass_on(hosts[1:])
    assert len(log) - silent_since >= 2
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()


def test_a_tick_that_comes_twice_changes_nothing_the_second_time():
    """Also where both replicas did tick: time is a number in the log, and it has already been reached."""
    books = BookShard(0, INSTRUMENTS, 1)
    row = np.zeros(1, FRAMES["book_command_frame"].dtype)
    row["kind"], row["transact_time"] = BookCommandKind.TIMER, 1_700_000_000_000_000_000
    books.apply(row)
    time = books.log_time
    again = books.apply(row)
    assert books.log_time == time
    assert set(again.executions["kind"].tolist()) <= {ExecKind.TIME}, "nothing but that the time was heard"


def test_lag_is_counted_from_what_was_applied_or_else_from_what_is_committed():
    """A worker that has read nothing yet is behind by all that its group has not done."""
    first, second = ("t", 0), ("t", 1)

    consumer = SimpleNamespace(highwater={first: 100, second: 50}.get, _committed_offset={second: 20})
    app = SimpleNamespace(rebalancing=False, consumer=consumer)
    assert lag_of(app, [first, second, ("t", 2)], {first: 90}.get) == {first: 10, second: 30}
    assert lag_of(SimpleNamespace(rebalancing=True, consumer=consumer), [first], {first: 0}.get) == {}
