"""Parts of an edge for its tests: a row of a reply, a queue that keeps commands, a store with one key."""

import asyncio
from hashlib import sha256

from edge.gateway.access.sessions import KeyRecord
from edge.gateway.accounts.command_frames import Command
from edge.gateway.accounts.view import ReplyRow
from schemas.enums import AccountEventKind as Kind
from schemas.errors import ServiceUnavailable

NOTHING = dict.fromkeys(ReplyRow._fields, 0)


def reply(kind: Kind, **values: int) -> ReplyRow:
    """A row of account 1 about order 5 of 10 AAPL at 100.00."""
    order = {"order_id": 5, "instrument": 1, "side": 1, "ord_type": 2, "order_qty": 10, "price": 10_000, "leaves_qty": 10, "submitted_at": 50,
             "transact_time": 100, "account": 1, "cash": 1_000, "cash_held": 400}  # fmt: skip
    return ReplyRow(**{**NOTHING, **order, "kind": int(kind), **values})


class OneQueue:
    """What the command producer is to Accounts: it keeps the commands."""

    def __init__(self) -> None:
        self.commands: list[Command] = []

    def enqueue_nowait(self, command: Command) -> None:
        """Keep it."""
        self.commands.append(command)

    def answered(self, account: int) -> None:
        """Nobody waits."""


class FakeStore:
    """One key, and a switch."""

    def __init__(self) -> None:
        self.asked = 0
        self.away = False
        self.key = KeyRecord(sha256(b"s").digest(), 9)
        self.cached: KeyRecord | None = None
        """What a cache has of it, which may be old."""

    async def find_key(self, key_id: str, version_min: int) -> KeyRecord | None:
        """The key `k` with the secret `s`."""
        self.asked += 1
        key = self.cached if self.cached is not None and self.cached.version >= version_min else self.key
        await asyncio.sleep(0)
        if self.away:
            raise ServiceUnavailable("away")
        return key if key_id == "k" else None
