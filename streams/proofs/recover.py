"""`outcry recover`: find the partitions that have lost their ends, say what is lost, and close the gap so that the exchange can continue.

In:     every partition of the catalogue; the changelogs, committed offsets and MySQL's marks, which say how far each reader had come
Out:    with --yes: fillers for lost records (streams.host.lost_records), then the lost frames of shards, made again from their own inputs
State:  that of the replays, in this process only
On failure: nothing is written until everything that is lost is known. Writing again does no harm: readers recognise repeats.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final, NamedTuple

import click
import msgspec
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from schemas.codec import BadBytes
from schemas.errors import OutcryError, ServiceUnavailable, StaleData
from schemas.instruments import InstrumentTable, load_instruments
from schemas.limits import FRAME_BYTES_MAX
from schemas.logins import act_as
from schemas.marks import Marks
from schemas.settings import Settings
from sinks.mysql.pool import MySql
from sinks.mysql.sink import MySqlSink
from streams.__main__ import settings_of
from streams.host.identities import identity_of
from streams.host.lost_records import lost_record, lost_state_of
from streams.host.read_log import Log, place
from streams.host.shard_runner import Output, ShardRunner
from streams.process.record_keys import record_keys
from streams.process.worker_identity import WorkerId
from streams.proofs.recorded_snapshots import read_snapshots
from streams.proofs.verified_roles import ROLES, Setup
from streams.roles.watch_trading import read_owner_sets
from topics.catalogue import ALERTS, DEAD_LETTERS, EDGE_REPLIES, MARKET_DATA, TOPICS, Topic
from topics.kafka_clients import native_client
from topics.rights import ADMINISTRATOR
from topics.roles import REPLICAS, WATCH_ACCOUNTS, changelog_topic
from topics.sources import sources_of, topic_named
from topics.speakers import OPERATOR, SPEAKERS, shards_of

EXIT_LOST: Final = 1
ANSWER_TIMEOUT_S: Final = 30.0
ASK_AGAIN_S: Final = 0.5
STATES: Final = tuple((one.role, one.table, one.source) for one in ROLES.values())
"""Roles that keep state: role, table, input."""
_STORES: Final = {"persist-redis": (MARKET_DATA.name,)} | dict.fromkeys(
    ("persist-mysql", "persist-elasticsearch"),
    tuple(topic.name for topic in TOPICS if topic.name in ("executions", "account.events", "alerts")),
)


class Known(NamedTuple):
    """How far a reader had come in a partition. is_state: what it read is in a snapshot."""

    who: str
    next_offset: int
    is_state: bool = False


@dataclass
class Loss:
    """A partition that ends before an offset that somebody has read or made frames from."""

    topic: str
    partition: int
    end: int
    """Where the partition ends now."""
    known: list[Known]
    last_known: int = 0
    """The offset after the last one that anybody has seen."""
    state_next: int = 0
    """The offset after the last lost input whose effects are in a snapshot."""
    made_next: int = 0
    """The offset after the last input that has outputs in the log."""
    frames: list[bytes] = field(default_factory=list)
    """Missing frames that shards had written there, made again by a replay of their inputs."""

    @property
    def where(self) -> str:
        """topic/partition."""
        return place(self.topic, self.partition)

    @property
    def undecided(self) -> int:
        """Lost inputs whose outputs are in the log and whose effects are in no snapshot."""
        return max(0, self.made_next - max(self.state_next, self.end)) if self.is_state_needed else 0

    @property
    def is_state_needed(self) -> bool:
        """Whether some lost records cannot be made again, because customers, operators or a clock write there too."""
        feed = next(topic for topic in TOPICS if topic.name == self.topic).feed
        return feed is not None and not feed.alone

    def lines(self) -> Iterator[str]:
        """For people."""
        if self.frames:
            yield f"{self.where}: {len(self.frames):,} frames of shards are lost, and can be made again from their inputs"
        if self.last_known <= self.end:
            return
        who = ", ".join(f"{one.who} {one.next_offset:,}" for one in self.known if one.next_offset > self.end)
        yield f"{self.where} ends at {self.end:,}; readers that had come further: {who}: records {self.end:,} to {self.last_known - 1:,} are lost"
        if self.is_state_needed:
            yield f"  the effects of the lost inputs below {max(self.state_next, self.end):,} are in a snapshot, which is kept: nothing is undone"
        if self.undecided:
            yield (
                f"  {self.undecided:,} inputs from {max(self.state_next, self.end):,} on were decided and published (account.events, executions), but "
                "their effects are in no snapshot: their orders and trades are in the log without a state behind them"
            )


Write = Callable[[str, int, bytes], int]


class Recovery:
    """Examines one log and repairs it."""

    def __init__(self, log: Log, instruments: InstrumentTable, known: Callable[[str, int], list[Known]], owner_sets: str = "") -> None:
        """known: by (topic, partition), what groups have committed and stores have stored. owner_sets: the text of OUTCRY_OWNER_SETS_FILE."""
        self._log, self._instruments, self._known, self._owner_sets = log, instruments, known, owner_sets
        self._marks_of: dict[tuple[str, int], Marks] = {}
        self.problems: list[str] = []
        """What cannot be known or repaired."""

    def losses(self) -> list[Loss]:
        """Every partition that has lost its end. Raises StaleData for one that has gone on since: then offsets no longer identify records."""
        found, missing = [], self._missing_frames()
        for topic in TOPICS:
            for partition in range(self._log.partitions(topic)):
                bounds = self._log.bounds(topic.name, partition)
                if topic is DEAD_LETTERS or bounds is None:
                    continue
                made = self._made_next(topic, partition)
                known = [*self._states(topic, partition, bounds.high), *self._known(topic.name, partition), Known("outputs", made)]
                last = max(one.next_offset for one in known)
                frames = missing.get((topic.name, partition), [])
                if last > bounds.high or frames:
                    state_next = max((one.next_offset for one in known if one.is_state), default=0)
                    found.append(Loss(topic.name, partition, bounds.high, known, last, state_next, made, frames))
        return found

    def _states(self, topic: Topic, partition: int, end: int) -> Iterator[Known]:
        for role, table, source in STATES:
            for worker in (WorkerId(role, letter) for letter in REPLICAS) if source is topic else ():
                group = worker.group
                if self._log.bounds(changelog_topic(group, table), partition) is None:
                    continue
                newest = read_snapshots(self._log, worker, table, partition).own()
                if newest is None:
                    continue
                runner_next, last_ns = int(newest.meta["next_offset"]), int(newest.meta.get("last_ns", 0))
                if 0 < runner_next <= end and last_ns:
                    self._require_same(topic, partition, runner_next, last_ns, group)
                yield Known(f"snapshot of {group}", runner_next, is_state=True)

    def _require_same(self, topic: Topic, partition: int, next_offset: int, last_ns: int, group: str) -> None:
        record = next(iter(self._log.records(topic.name, partition, next_offset - 1, next_offset)), None)
        if record is not None and record.time_ns != last_ns and lost_state_of(record.value) is None:
            raise StaleData(
                f"{place(topic.name, partition)} has lost its end and gone on: its record {next_offset - 1:,} is not the one that {group} has applied. "
                "Records with reused offsets were applied since, so this state cannot be kept: delete the tables and changelogs of every replica "
                "of that role and set its groups to the beginning (docs/recovery.md). Then `outcry audit money` names what no longer holds"
            )

    def _made_next(self, topic: Topic, partition: int) -> int:
        """The offset after the last input of a partition that any output names."""
        source, made = place(topic.name, partition), 0
        for output in (one for one in TOPICS if one.feed is not None and one.feed.topic == topic.name):
            numbers = range(self._log.partitions(output)) if output.feed is not None and output.feed.crosses else (partition,)
            for number in numbers:
                mark = self._marks(output, number).state.get(source)
                made = max(made, mark[0] + 1 if mark is not None else 0)
        return made

    def _marks(self, topic: Topic, partition: int) -> Marks:
        """How far the sources of a partition have come, according to its records."""
        known = self._marks_of.get((topic.name, partition))
        if known is not None:
            return known
        marks, sources = self._marks_of.setdefault((topic.name, partition), Marks()), sources_of(topic, partition)
        bounds = self._log.bounds(topic.name, partition)
        for record in self._log.records(topic.name, partition, bounds.low, bounds.high) if bounds is not None else ():
            try:
                record.proof.require()
                found = identity_of(record.value)
                if found is not None and found[2] > 0 and sources.is_shard(found[1]):
                    marks.take(found[1], record.time_ns)
            except BadBytes:
                continue
        return marks

    def close(self, loss: Loss, write: Write) -> None:
        """Write fillers for what is lost, then the lost frames of shards. Raises OutcryError if somebody else writes meanwhile."""
        state_next = loss.state_next if loss.is_state_needed else 0
        for offset in range(loss.end, loss.last_known):
            detail = f"lost, and filled in by outcry recover; the snapshot that was kept ends at {state_next}"
            given = write(loss.topic, loss.partition, lost_record(loss.topic, loss.partition, offset, state_next, detail))
            if given != offset:
                raise OutcryError(
                    f"{loss.where}: somebody else writes there (got offset {given:,} instead of {offset:,}): stop every role and producer, then run this again"
                )
        for value in loss.frames:
            write(loss.topic, loss.partition, value)

    def _missing_frames(self) -> dict[tuple[str, int], list[bytes]]:
        """By (topic, partition), missing frames that shards must have written, in the order of each shard. Replays every shard."""
        missing: dict[tuple[str, int], list[bytes]] = {}
        for role in ROLES.values():
            if role.entry is WATCH_ACCOUNTS:  # alerts only: the sinks have them, and tell repeats by their ids
                continue
            counts = {one.name: self._log.partitions(one) for one in role.needs}
            role.warm()
            for shard in range(counts[role.source.name]):
                durable = max((one.next_offset for one in self._states(role.source, shard, 0)), default=0)
                runner = ShardRunner(role.make(shard, Setup(self._instruments, counts, self._owner_sets)))
                try:
                    end = min(durable, self._log.whole(role.source, shard).high)
                    for record in self._log.records(role.source.name, shard, 0, end):
                        self._note_missing(runner.feed(record), missing)
                except StaleData as error:
                    self.problems.append(f"what {role.role} {shard} has written cannot be made again: {error}")
        return missing

    def _note_missing(self, outputs: Sequence[Output], missing: dict[tuple[str, int], list[bytes]]) -> None:
        for output in outputs:
            if output.topic in (
                DEAD_LETTERS.name,
                EDGE_REPLIES.name,
                ALERTS.name,
            ):  # views come back by registering again; the sinks have alerts
                continue
            found = identity_of(output.value)
            assert found is not None, f"an output to {output.topic} has no identity"
            mark = self._marks(topic_named(output.topic), output.partition).state.get(found[1].source, (-1, -1, 0))
            if (found[1].source_offset, found[1].source_index) > mark[:2]:
                missing.setdefault((output.topic, output.partition), []).append(output.value)


# ---- what stands beside the log


def positions(settings: Settings) -> Callable[[str, int], list[Known]]:
    """What groups have committed and MySQL has stored. Raises ServiceUnavailable."""
    stored = asyncio.run(_stored(settings)) if settings.mysql_url else {}
    readers = {role: [WorkerId(role, letter).group for letter in REPLICAS] for role, _, _ in STATES}

    def known(topic: str, partition: int) -> list[Known]:
        groups = [group for role, _, source in STATES if source.name == topic for group in readers[role]]
        groups += [role for role, topics in _STORES.items() if topic in topics]
        found = [Known(f"group {group}", offset) for group in groups if (offset := _committed(settings, group, topic, partition)) > 0]
        return found + ([Known("MySQL", stored[topic, partition])] if (topic, partition) in stored else [])

    return known


async def _stored(settings: Settings) -> dict[tuple[str, int], int]:
    db = await MySql.connect(settings.mysql_url, size_max=1)
    try:
        return {where: reached.next_offset for where, reached in (await MySqlSink(db).reached()).items()}
    finally:
        await db.close()


def _committed(settings: Settings, group: str, topic: str, partition: int) -> int:
    consumer = Consumer({**native_client(settings.kafka_url), "group.id": f"outcry-{group}", "enable.auto.commit": False, "log_level": 0})
    try:
        (found,) = consumer.committed([TopicPartition(topic, partition)], timeout=ANSWER_TIMEOUT_S)
        return max(0, found.offset)
    except KafkaException as error:
        raise ServiceUnavailable(f"Kafka does not say what outcry-{group} has committed: {error}") from error
    finally:
        consumer.close()


def require_stopped(settings: Settings) -> None:
    """Raises OutcryError while a role is a member of its group: it would write or read between the fillers.

    A role that has stopped is listed until its session times out, because its membership is static: so long is waited.
    """
    deadline = time.monotonic() + 2 * settings.session_timeout_ms / 1000
    while busy := busy_groups(settings):
        if time.monotonic() > deadline:
            raise OutcryError(
                f"{', '.join(busy)} still run: stop every role and producer first (`outcry down`, then `outcry up --service kafka`)"
            )
        time.sleep(ASK_AGAIN_S)


def busy_groups(settings: Settings) -> list[str]:
    """Consumer groups of roles that have members."""
    admin = AdminClient({**native_client(settings.kafka_url), "log_level": 0})
    names = [f"outcry-{WorkerId(role, letter).group}" for role, _, _ in STATES for letter in REPLICAS] + [
        f"outcry-{role}" for role in _STORES
    ]
    busy = []
    for name, asked in admin.describe_consumer_groups(names).items():
        try:
            if asked.result(ANSWER_TIMEOUT_S).members:
                busy.append(name)
        except KafkaException:
            continue  # no such group
    return busy


def writer(settings: Settings) -> Write:
    """Writes a record in the name of whoever has written the lost one, and waits for its offset. Raises ServiceUnavailable."""
    keys = record_keys(settings, OPERATOR)
    signers = {speaker: keys.signer(speaker) for speaker in SPEAKERS}
    producer = Producer(
        {**native_client(settings.kafka_url), "enable.idempotence": True, "message.max.bytes": FRAME_BYTES_MAX, "linger.ms": 0}
    )

    def write(topic: str, partition: int, value: bytes) -> int:
        offsets: list[int | None] = []
        speaker = OPERATOR if lost_state_of(value) is not None else shards_of(topic_named(topic))
        producer.produce(
            topic, value, partition=partition, headers=signers[speaker](topic, partition, value),
            on_delivery=lambda error, message: offsets.append(None if error else message.offset()),
        )  # fmt: skip
        producer.flush(ANSWER_TIMEOUT_S)
        if not offsets or offsets[0] is None:
            raise ServiceUnavailable(f"Kafka did not acknowledge a record for {place(topic, partition)}")
        return offsets[0]

    return write


@click.command()
@click.option("--yes", is_flag=True, help="Write the fillers and the frames that can be made again; without it, only say what is lost.")
@click.option("--force", is_flag=True, help="Continue even if the effects of decided inputs are in no snapshot.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per partition.")
@click.pass_context
def recover(ctx: click.Context, yes: bool, force: bool, as_json: bool) -> None:
    """Show what a log has lost that somebody has read, and close the gap.

    Use it when a role stops with "... ends at N, but ... has come to M: the log has lost its end". Stop every role and producer; Kafka and MySQL must run.
    Snapshots are kept, because they have the effects of the lost inputs. Each lost offset is filled, so that none is used twice. Lost frames of shards
    are made again from their inputs. Exit status: 0 nothing is lost, or it is repaired; 1 something is lost, or the repair was refused.

    \b
    Examples:
      outcry recover              what is lost, and who had read it
      outcry recover --yes        repair it; then `outcry up --all` and `outcry audit money`
    """
    act_as(ADMINISTRATOR)  # it writes in the place of any sender
    settings = settings_of(ctx)
    if yes:
        require_stopped(settings)
    with Log(settings) as log:
        recovery = Recovery(log, load_instruments(settings.instruments_file), positions(settings), read_owner_sets(settings))
        losses = recovery.losses()
        undecided = [loss.where for loss in losses if loss.undecided]
        if yes and not (undecided and not force):
            write = writer(settings)
            for loss in losses:
                recovery.close(loss, write)
    for loss in losses:
        click.echo(msgspec.json.encode(asdict(loss) | {"frames": len(loss.frames)}) if as_json else "\n".join(loss.lines()))
    for problem in recovery.problems:
        click.echo(problem, err=True)
    if not losses:
        click.echo("no partition has lost its end")
    elif yes and undecided and not force:
        raise OutcryError(
            f"{', '.join(undecided)}: the effects of decided inputs are in no snapshot. Restore the log from a copy if there is one. --force continues "
            "without them: `outcry audit money` then names each order and trade that does not fit"
        )
    ctx.exit(EXIT_LOST if losses and not yes else 0)
