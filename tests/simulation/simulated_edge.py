"""The edge in a simulated process: its own producer, accounts, views and reply consumer, and people who order through it and ask again."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from customers import ACCOUNTS, Commands
from faults import World
from processes import Process
from simulated_log import KEYS, Stored
from simulated_roles import SHARDS

from edge.gateway.accounts.accounts import Accounts
from edge.gateway.accounts.command_producer import CommandProducer
from edge.gateway.accounts.pending_requests import Answer, PendingRequests
from edge.gateway.accounts.reply_consumer import ReplyConsumer
from edge.gateway.outcomes import Accepted
from schemas.enums import CommandKind, OrdType, Side, TimeInForce
from topics.catalogue import EDGE_REPLIES
from topics.offsets import Place
from topics.record_codes import HEADER

TIMEOUT_MS: Final = 150


@dataclass(frozen=True)
class Reply:
    """The parts of a record of librdkafka that ReplyConsumer uses."""

    record: Stored

    def topic(self) -> str:
        """Its topic."""
        return self.record.topic

    def partition(self) -> int:
        """Its partition."""
        return self.record.partition

    def headers(self) -> list[tuple[str, bytes]]:
        """Its code, if it has one."""
        return [] if self.record.code is None else [(HEADER, self.record.code)]

    def value(self) -> bytes | None:
        """Its bytes."""
        return self.record.value

    def offset(self) -> int:
        """Its place."""
        return self.record.offset

    def timestamp(self) -> tuple[int, int]:
        """Kind and time in ms."""
        return 1, self.record.time_ns // 1_000_000


@dataclass
class Replies:
    """The parts of LogReader and Offsets that ReplyConsumer uses."""

    process: Process

    def go_to(self, starts: Mapping[Place, int]) -> None:
        """One partition."""
        ((self.place, self.next),) = starts.items()
        self.woken = asyncio.Event()
        self.process.world.log.listen(EDGE_REPLIES.name, self.woken.set)

    async def ends(self, places: Sequence[Place]) -> dict[Place, int]:
        """As it says."""
        return {place: self.process.world.log.end(place) for place in places}

    async def records(self, _timeout_s: float) -> dict[Place, list[Reply]]:
        """What there is, once there is something."""
        log = self.process.world.log
        while log.end(self.place) == self.next:
            self.woken.clear()
            await self.woken.wait()
        await asyncio.sleep(self.process.world.faults.fetch_s(self.process))
        records = [Reply(one) for one in log.parts[self.place][self.next :]]
        self.next += len(records)
        return {self.place: records}


class EdgeProcess(Process):
    """One edge instance."""

    def __init__(self, world: World, name: str, instance: int, commands: Commands, orders: int) -> None:
        super().__init__(world, name, "edge")
        self.producer.idempotent = True
        self.instance, self._commands, self._orders = instance, commands, orders
        self.pending = PendingRequests(TIMEOUT_MS, world.loop.now_ns)
        self.accounts = Accounts(self.pending, world.loop.now_ns)
        self.replies = Replies(self)
        self.done = False
        self.start(self._run())

    async def _run(self) -> None:
        world = self.world
        both = cast("Any", self.replies)
        reader = ReplyConsumer(both, both, self.instance, self.accounts, SHARDS, lambda _rows: None, lambda _delay_s: None, KEYS)
        await reader.start()
        self.start(reader.run())
        self.accounts.producer = CommandProducer(
            cast("Any", self.producer), SHARDS, self.name, self.instance, world.loop.now_ns, self.pending.give_up
        )
        self.start(self._expire())
        people = [asyncio.create_task(self._person(account)) for account in ACCOUNTS if world.rng.random() < 0.7]
        for person in people:
            await person
        self.done = True

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(0.05)
            self.pending.expire()

    async def _person(self, account: int) -> None:
        rng = self.world.rng
        for _ in range(rng.randint(0, self._orders)):
            await asyncio.sleep(rng.random() * 0.05)
            fields: dict[str, Any] = {"cl_ord_id": self._commands.text(account)}
            kind = CommandKind.NEW_ORDER
            if rng.random() < 0.3:
                kind, fields["cl_ord_id"] = CommandKind.CANCEL, rng.choice(self._commands.texts[account])
            else:
                fields |= {
                    "side": rng.choice(list(Side)), "ord_type": OrdType.LIMIT, "time_in_force": TimeInForce.DAY, "instrument": rng.randint(1, 3),
                    "order_qty": rng.randint(1, 30), "price": rng.randint(97, 103),
                }  # fmt: skip
            await self.ask(kind, account, fields)

    async def ask(self, kind: CommandKind, account: int, fields: dict[str, Any]) -> None:
        """Until it is answered: who hears nothing asks again, with the same cl_ord_id."""
        for _ in range(4):
            seen = await self.accounts.view(account)
            if isinstance(seen, Accepted) and isinstance(await self.accounts.decide(kind, account, **fields), Answer):
                return
            self.world.counts["asked again"] += 1
            await asyncio.sleep(0.01 * self.world.rng.random())

    def on_crash(self) -> None:
        """Nobody reads its partition until it is back."""
