"""Somebody who may write to every topic: forges records and snapshots without a key, and with a stolen one frames in the names of shards, to hide the true ones."""

import asyncio
import random
from typing import Final

import numpy as np
from faults import World
from processes import Process
from simulated_log import KEYS, RING
from simulated_roles import EDGES, SHARDS

from schemas.codec import FRAMES, Header, encode_frame
from schemas.enums import CommandKind
from schemas.limits import FRAMES_PER_INPUT_MAX
from streams.host.lost_records import lost_record
from streams.host.snapshot_codes import UNCODED, SnapshotCodes
from streams.host.snapshots import MANIFESTS, is_manifest, manifest_key
from topics.catalogue import ACCOUNT_COMMANDS, ACCOUNT_EVENTS, BOOK_COMMANDS, EDGE_REPLIES, EXECUTIONS, MARKET_DATA, Topic
from topics.record_codes import code_of
from topics.roles import HOLD_FUNDS, MATCH_ORDERS, changelog_topic
from topics.speakers import PRODUCER, shards_of

_FRAMES: Final = (
    (ACCOUNT_COMMANDS, "book_report_frame"), (BOOK_COMMANDS, "book_command_frame"), (EXECUTIONS, "execution_frame"),
    (ACCOUNT_EVENTS, "account_event_frame"), (EDGE_REPLIES, "account_event_frame"), (MARKET_DATA, "market_data_frame"),
)  # fmt: skip
EVERY_S: Final = 0.02
_STATES: Final = tuple((one.name, one.table) for one in (HOLD_FUNDS, MATCH_ORDERS))


class Intruder(Process):
    """Forges something now and then while there are faults."""

    def __init__(self, world: World) -> None:
        super().__init__(world, "intruder")
        self._own_rng = random.Random(world.seed)
        self.start(self._run())

    async def _run(self) -> None:
        world, rng = self.world, self.world.rng
        while True:
            await asyncio.sleep(EVERY_S * rng.random())
            topic, schema = rng.choice(_FRAMES)
            partition = rng.randrange(EDGES if topic is EDGE_REPLIES else SHARDS)
            if world.faults.chance("forged frame", 0.5):
                what, header, rows = self._forgery(topic, partition)
                value = self._frame(schema, header, topic, partition, rows)
                offset = world.log.append(topic.name, partition, value, speaker=shards_of(topic))
                world.tell("forged frame", f"{topic.name}/{partition} offset {offset}: {what}")
            if world.faults.chance("forged record", 0.5):
                self._without_key(topic, schema, partition)
            if world.faults.on and "forged record" in world.faults.kinds and self._own_rng.random() < 0.3:
                self._forge_snapshot(*self._own_rng.choice(_STATES), self._own_rng.randrange(SHARDS))

    def _frame(self, schema: str, header: Header, topic: Topic, partition: int, rows: int) -> bytes:
        made = np.zeros(rows, FRAMES[schema].dtype)
        made["kind"] = 1
        if topic is ACCOUNT_COMMANDS:
            made["account"] = partition + SHARDS
        return encode_frame(schema, header, made)

    def _forgery(self, topic: Topic, partition: int) -> tuple[str, Header, int]:
        """What a stolen key could say, to hide the true frames of a shard."""
        rng = self.world.rng
        source, near = self._near(topic, partition)
        assert topic.feed is not None
        far = rng.choice((1 << 62, 1 << 40, -1, -(1 << 62)))
        return rng.choice((
            ("no rows, far", Header(source, far), 0), ("no rows, near", Header(source, near), 0), ("far", Header(source, far), 1),
            ("no such index", Header(source, near, FRAMES_PER_INPUT_MAX), 1),
            ("no such shard", Header(f"{topic.feed.topic}/{rng.choice((SHARDS, 9999, '00'))}", near), 1),
        ))  # fmt: skip

    def _near(self, topic: Topic, partition: int) -> tuple[str, int]:
        """A shard that writes there, and an offset of its input that it has not read yet, or only just."""
        rng = self.world.rng
        assert topic.feed is not None
        source = f"{topic.feed.topic}/{rng.randrange(SHARDS) if topic.feed.crosses else partition}"
        return source, self.world.log.end((topic.feed.topic, int(source.rpartition("/")[2]))) + rng.randint(0, 40)

    def _without_key(self, topic: Topic, schema: str, partition: int) -> None:
        """What somebody can write who has no key, the key of a producer, or only what others have written."""
        world, rng = self.world, self.world.rng
        source, near = self._near(topic, partition)
        believable = self._frame(schema, Header(source, near), topic, partition, 1)
        deposit = np.zeros(1, FRAMES["order_command_frame"].dtype)
        deposit["kind"], deposit["account"], deposit["cash"] = CommandKind.ACCOUNT_UPDATE, partition + SHARDS, 1_000_000
        deposit["transact_time"] = deposit["request_id"] = world.loop.now_ns()
        paid = encode_frame("order_command_frame", Header("operator", created_at=world.loop.now_ns()), deposit)
        kinds = {
            "a shard's frame, no code": (topic, partition, believable, None),
            "a shard's frame, a producer's key": (topic, partition, believable, self._code(PRODUCER, topic, partition, believable)),
            "a deposit, no code": (ACCOUNT_COMMANDS, partition % SHARDS, paid, None),
            "a deposit, a producer's key": (
                ACCOUNT_COMMANDS, partition % SHARDS, paid, self._code(PRODUCER, ACCOUNT_COMMANDS, partition % SHARDS, paid)
            ),
            "a filler for a lost record, no code": (topic, partition, lost_record(topic.name, partition, 0, 1 << 40, "forged"), None),
        }  # fmt: skip
        signed = [
            one for one in world.log.parts[topic.name, partition][-20:] if one.code is not None and one.proof.refusal is None and one.value
        ]
        if signed:
            true = rng.choice(signed)
            value = true.value or b""
            kinds |= {
                "a true record, altered": (topic, partition, value[:-1] + bytes([value[-1] ^ 1]), true.code),
                "a true record, cut": (topic, partition, value[: len(value) // 2], true.code),
                "a true record of another partition": (topic, 1 - partition, value, true.code),
            }
        what = rng.choice(list(kinds))
        place, number, value, code = kinds[what]
        offset = world.log.append(place.name, number, value, code=code)
        world.forged.append((place.name, number, offset))
        world.tell("forged record", f"{place.name}/{number} offset {offset}: {what}")

    def _forge_snapshot(self, role: str, table: str, partition: int) -> None:
        """A state that leaves inputs out: true but for its offset, in a place of its own. Whoever believed it would begin there. Or noise.

        Also where the shard has no true one yet: then it begins at the log, and must not stop.
        """
        topic, rng = changelog_topic(role, table), self._own_rng
        true = [
            (number, one.value)
            for number in range(SHARDS)
            for one in self.world.log.parts.get((topic, number), ())
            if one.key is not None and is_manifest(one.key) and one.value is not None
        ]
        states = [(number, found) for number, value in true if (found := UNCODED.unpacked(value))["meta"] is not None]
        if not states:
            return  # there is nothing to make one of
        number, manifest = rng.choice(states)
        manifest["meta"]["next_offset"] += rng.randint(1, 3)
        what = rng.choice(("no code", "a producer's key", "the code of another", "noise"))
        writer = {"no code": UNCODED, "a producer's key": SnapshotCodes(KEYS, PRODUCER, topic, partition)}.get(
            what, SnapshotCodes(KEYS, role, topic, 1 - partition)
        )
        key = manifest_key(rng.randrange(MANIFESTS))
        if any(one.key == key for one in self.world.log.parts[topic, partition]):
            return  # to take the true one away stops the shard: nobody can help that but a person
        value = writer.packed(manifest)
        self.world.log.append(topic, partition, rng.randbytes(len(value)) if what == "noise" else value, key)
        alone = partition not in {one for one, _ in states}
        self.world.counts["forged snapshots alone"] += alone
        self.world.tell("forged snapshot", f"{topic}/{partition}, made of one of {number}: {what}{', the only one' if alone else ''}")

    def _code(self, speaker: str, topic: Topic, partition: int, value: bytes) -> bytes | None:
        return code_of(RING.of(speaker)[0].headers(topic.name, partition, value))
