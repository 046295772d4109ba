"""Somebody who may write to every topic, and forges frames in the names of shards, to hide the true ones behind their marks."""

import asyncio
from typing import Final

import numpy as np
from faults import World
from processes import Process
from simulated_roles import EDGES, SHARDS

from schemas.codec import FRAMES, Header, encode_frame
from schemas.limits import FRAMES_PER_INPUT_MAX
from topics.catalogue import ACCOUNT_COMMANDS, ACCOUNT_EVENTS, BOOK_COMMANDS, EDGE_REPLIES, EXECUTIONS, MARKET_DATA, Topic

_FRAMES: Final = (
    (ACCOUNT_COMMANDS, "book_report_frame"), (BOOK_COMMANDS, "book_command_frame"), (EXECUTIONS, "execution_frame"),
    (ACCOUNT_EVENTS, "account_event_frame"), (EDGE_REPLIES, "account_event_frame"), (MARKET_DATA, "market_data_frame"),
)  # fmt: skip
EVERY_S: Final = 0.02


class Intruder(Process):
    """Forges a frame now and then while there are faults."""

    def __init__(self, world: World) -> None:
        super().__init__(world, "intruder")
        self.start(self._run())

    async def _run(self) -> None:
        world, rng = self.world, self.world.rng
        while True:
            await asyncio.sleep(EVERY_S * rng.random())
            if world.faults.chance("forged frame", 0.5):
                topic, schema = rng.choice(_FRAMES)
                partition = rng.randrange(EDGES if topic is EDGE_REPLIES else SHARDS)
                what, header, rows = self._forgery(topic, partition)
                made = np.zeros(rows, FRAMES[schema].dtype)
                made["kind"] = 1
                if topic is ACCOUNT_COMMANDS:
                    made["account"] = partition + SHARDS
                offset = world.log.append(topic.name, partition, encode_frame(schema, header, made))
                world.tell("forged frame", f"{topic.name}/{partition} offset {offset}: {what}")

    def _forgery(self, topic: Topic, partition: int) -> tuple[str, Header, int]:
        rng = self.world.rng
        assert topic.feed is not None
        source = f"{topic.feed.topic}/{rng.randrange(SHARDS) if topic.feed.crosses else partition}"
        near = self.world.log.end((topic.feed.topic, int(source.rpartition("/")[2]))) + rng.randint(0, 40)
        far = rng.choice((1 << 62, 1 << 40, -1, -(1 << 62)))
        return rng.choice((
            ("no rows, far", Header(source, far), 0), ("no rows, near", Header(source, near), 0), ("far", Header(source, far), 1),
            ("no such index", Header(source, near, FRAMES_PER_INPUT_MAX), 1),
            ("no such shard", Header(f"{topic.feed.topic}/{rng.choice((SHARDS, 9999, '00'))}", near), 1),
        ))  # fmt: skip
