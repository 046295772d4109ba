"""`outcry move-shard`: from some offset of a shard's input on, another replica writes its outputs.

The replicas are compared first: a record in the input makes each hash its state at the same offset. Then a second record names the new writer. It
says which epoch it ends, so of two moves at once one is refused, by the shard itself. See docs/scaling.md.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import click
from confluent_kafka import Consumer, KafkaError, Message, Producer

from schemas.errors import ServiceUnavailable
from schemas.settings import Settings
from streams.__main__ import settings_of
from streams.host.access_record import record_command
from streams.host.placement import Placement, compare_record, move_record
from streams.operate.ask_shards import NotConfirmed
from streams.operate.shard_places import Compared, MoveRefused, Seen, ask_all, ask_worker, workers_here
from streams.process.record_keys import record_keys
from streams.transport.cluster import partition_counts, watermarks
from topics.catalogue import Topic
from topics.kafka_clients import native_client
from topics.roles import ROLES, RoleEntry
from topics.speakers import OPERATOR

EVERY: Final = "all"
LOOK_AGAIN_S: Final = 0.02
"""Each look costs the worker a millisecond that its orders wait for."""
BEHIND_MAX: Final = 1_000
"""Records. What the new writer has not applied yet is silence."""
MOVABLE: Final = tuple(sorted(role.name for role in ROLES.values() if role.moves))


@dataclass(frozen=True)
class Moved:
    """What a move has done. at: offset of the record from which the new writers write. compared: replicas whose states were equal."""

    epoch: int
    at: int
    compared: tuple[str, ...]
    state_hash: str


class ShardInput:
    """The input of one shard, to write to as an operator."""

    def __init__(self, settings: Settings, topic: Topic, shard: int) -> None:
        self._settings, self._topic, self.shard = settings, topic, shard
        self._sign = record_keys(settings, OPERATOR).signer(OPERATOR)
        self._producer = Producer({**native_client(settings.kafka_url), "enable.idempotence": True, "linger.ms": 0, "log_level": 0})

    def end(self) -> int:
        """The offset that the next record will have. Raises ServiceUnavailable."""
        consumer = Consumer({**native_client(self._settings.kafka_url), "group.id": "outcry-operate", "log_level": 0})
        try:
            return watermarks(consumer, self._topic.name, self.shard, 10)[1]
        finally:
            consumer.close()

    def append(self, value: bytes, timeout_s: float) -> int:
        """The offset of the record, once it is in the log. Raises ServiceUnavailable."""
        placed: list[int] = []
        problems: list[str] = []

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                problems.append(error.str())
            else:
                placed.append(message.offset() or 0)

        headers = self._sign(self._topic.name, self.shard, value)
        self._producer.produce(self._topic.name, value, partition=self.shard, headers=headers, on_delivery=delivered)
        self._producer.flush(timeout_s)
        if not placed:
            raise ServiceUnavailable(f"Kafka did not take the record for {self._topic.name}/{self.shard}: {problems or 'no answer'}")
        return placed[0]


class Move:
    """One move of one shard. addresses: of every worker of the role."""

    def __init__(
        self, log: ShardInput, role: RoleEntry, addresses: Mapping[str, str], timeout_s: float, tell: Callable[[str], None] = click.echo
    ) -> None:
        self._log, self._role, self._addresses, self._timeout_s, self._tell = log, role, addresses, timeout_s, tell

    def to(self, worker: str) -> Moved | None:
        """Give the shard to a worker, or to EVERY one; None if it has it already. Raises MoveRefused, NotConfirmed, ServiceUnavailable."""
        targets = self._targets(worker)
        now = Placement(targets[0].epoch, targets[0].writers, targets[0].since)
        writers = "" if worker == EVERY else targets[0].replica
        if writers == now.writers:
            return None
        self._require_caught_up(targets)
        others = [
            seen for seen in ask_all(self._addresses, self._log.shard) if seen.writes and seen.worker not in {one.worker for one in targets}
        ]
        compared = self._compare(now, targets, others)
        written_to = next(iter(compared.values())).offset if any(one.written for one in compared.values()) else 0
        at = self._log.append(move_record(now, writers, written_to, f"outcry move-shard --to {worker}"), self._timeout_s)
        self._wait_moved(targets[0], now.epoch + 1, at)
        return Moved(now.epoch + 1, at, tuple(sorted(compared)), next(iter(compared.values())).state_hash)

    def _targets(self, worker: str) -> list[Seen]:
        shard = self._log.shard
        if worker == EVERY:
            found = ask_all(self._addresses, shard)
            if not found:
                raise MoveRefused(f"no worker of {self._role.name} answers and holds shard {shard}; nothing was moved")
            return sorted(found, key=lambda seen: -seen.epoch)
        if worker not in self._addresses:
            known = ", ".join(sorted(self._addresses)) or "none"
            raise MoveRefused(
                f"there is no worker {worker} of {self._role.name}, only {known}; a shard moves between replicas: "
                f"`outcry up --replicas {self._role.name}=2` starts a second one"
            )
        return [ask_worker(worker, self._addresses[worker], shard)]

    def _require_caught_up(self, targets: Sequence[Seen]) -> None:
        end = self._log.end()
        for one in targets:
            if end - one.next_offset > BEHIND_MAX:
                raise MoveRefused(
                    f"{one.worker} is {end - one.next_offset:,} records behind, more than {BEHIND_MAX:,}: it has not caught up; nothing was moved"
                )

    def _compare(self, now: Placement, targets: Sequence[Seen], others: Sequence[Seen]) -> dict[str, Compared]:
        """By worker. Raises MoveRefused when they differ, or one of them does not answer."""
        asked = self._log.append(compare_record(now, "outcry move-shard"), self._timeout_s)
        wanted = {one.worker: self._addresses[one.worker] for one in (*targets, *others)}
        deadline, found = time.monotonic() + self._timeout_s, dict[str, Compared]()
        while not self._is_compared(found, wanted, others):
            if time.monotonic() > deadline:
                late = ", ".join(sorted({*wanted} - {*found})) or "a writer whose outputs are not in the log yet"
                raise MoveRefused(f"not compared at offset {asked:,} within {self._timeout_s:g} s: {late}; nothing was moved")
            time.sleep(LOOK_AGAIN_S)
            for seen in ask_all(wanted, self._log.shard):
                if seen.epoch != now.epoch:
                    raise MoveRefused(
                        f"another move came first: shard {self._log.shard} is in epoch {seen.epoch}, written by {seen.writers or EVERY}"
                    )
                if seen.compared is not None and seen.compared.offset == asked:
                    found[seen.worker] = seen.compared
        self._require_equal(asked, found)
        self._tell(f"compared at offset {asked:,}: {', '.join(sorted(found))} have the state {next(iter(found.values())).state_hash}")
        return found

    @staticmethod
    def _is_compared(found: Mapping[str, Compared], wanted: Mapping[str, str], others: Sequence[Seen]) -> bool:
        """Every one, and, of writers that live, one whose outputs are in the log."""
        return {*found} == {*wanted} and (not others or any(one.written for one in found.values()))

    @staticmethod
    def _require_equal(asked: int, found: Mapping[str, Compared]) -> None:
        if len({one.state_hash for one in found.values()}) > 1:
            told = ", ".join(f"{worker} {one.state_hash}" for worker, one in sorted(found.items()))
            raise MoveRefused(
                f"the states at offset {asked:,} differ: {told}; nothing was moved. Run `outcry verify` to see which one is wrong"
            )

    def _wait_moved(self, target: Seen, epoch: int, at: int) -> None:
        deadline = time.monotonic() + self._timeout_s
        while True:
            for seen in ask_all({target.worker: self._addresses[target.worker]}, self._log.shard):
                if seen.epoch == epoch and seen.since == at:
                    return
                if seen.next_offset > at:
                    raise MoveRefused(
                        f"another move came first: shard {self._log.shard} is in epoch {seen.epoch}, written by {seen.writers or EVERY}"
                    )
            if time.monotonic() > deadline:
                raise NotConfirmed(
                    f"{target.worker} did not come to offset {at:,} within {self._timeout_s:g} s; the move is in the log and takes effect when it does. "
                    f"If it is dead, another replica takes the shard over"
                )
            time.sleep(LOOK_AGAIN_S)


def move_shard_to(
    settings: Settings, role: RoleEntry, shard: int, worker: str, addresses: Mapping[str, str], timeout_s: float,
    tell: Callable[[str], None] = click.echo,
) -> Moved | None:  # fmt: skip
    """See Move.to. Raises MoveRefused for a shard that does not exist, too."""
    topic = role.reads[0]
    shards = partition_counts(settings, topic)[topic.name]
    if shard >= shards:
        raise MoveRefused(f"{role.name} has no shard {shard}: they are 0 to {shards - 1}")
    return Move(ShardInput(settings, topic, shard), role, addresses, timeout_s, tell).to(worker)


def _address(text: str) -> tuple[str, str]:
    name, sign, address = text.partition("=")
    if not sign or not name or not address.startswith(("http://", "https://")):
        raise click.BadParameter(f"{text!r} is not WORKER=http://HOST:PORT", param_hint="--at")
    return name, address.rstrip("/")


@click.command("move-shard")
@click.argument("role", type=click.Choice(MOVABLE))
@click.argument("shard", type=click.IntRange(0))
@click.option("--to", "worker", required=True, metavar="WORKER", help="A worker of another replica, as `outcry status` names it, or all.")
@click.option("--at", "at", multiple=True, metavar="WORKER=URL", help="Where a worker on another machine answers; may be repeated.")
@click.option("--timeout", "timeout_s", default=10.0, show_default=True, type=click.FloatRange(0.1), help="Seconds to wait for each step.")
@click.pass_context
def move_shard(ctx: click.Context, role: str, shard: int, worker: str, at: tuple[str, ...], timeout_s: float) -> None:
    """Let WORKER alone write the outputs of SHARD of ROLE from now on.

    The worker must hold a warm copy (`outcry up --replicas ROLE=2`). Its state is compared with the writer's first. The replicas that do not
    write follow, and take over if the writer dies. With --to all every replica writes again.

    \b
    Examples:
      outcry move-shard match-orders 0 --to match-orders-b
      outcry move-shard match-orders 0 --to all
    """
    settings, entry, began = settings_of(ctx), ROLES[role], time.monotonic()
    addresses = workers_here(settings.run_dir, entry) | dict(map(_address, at))
    record_command(ctx)
    moved = move_shard_to(settings, entry, shard, worker, addresses, timeout_s)
    if moved is None:
        click.echo(f"{worker} writes shard {shard} of {role} already; nothing was moved")
        return
    click.echo(
        f"moved: from offset {moved.at:,} on {worker} writes shard {shard} of {role} (epoch {moved.epoch}, {time.monotonic() - began:.2f} s)"
    )
