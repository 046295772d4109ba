"""From where accounts are opened, told to surveillance: each address of an account once while it is remembered. Nobody waits for it.

In:     accounts that have shown who they are, at whatever door, with the address
Out:    party.facts: `sign_in`, with a keyed digest in the place of the address
On failure: what could not be told is forgotten, so the next request from there tells it; `untold` counts. Trading goes on.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from edge.gateway.access.rate_limits import Buckets
from edge.gateway.limits import ORIGINS_BURST, ORIGINS_KEPT, ORIGINS_PER_S, ORIGINS_UNDER_WAY_MAX
from schemas.codec import encode_record
from schemas.errors import ServiceUnavailable
from schemas.settings import Settings
from sinks.edge_secret import edge_secret
from topics.catalogue import PARTY_FACTS
from topics.sender import LogSender

PLACE_BYTES: Final = 12
Known = tuple[int, str]
"""Account, address."""


class Origins:
    """clock_ns: ns since 1970."""

    def __init__(self, settings: Settings, clock_ns: Callable[[], int]) -> None:
        self._settings, self._clock_ns = settings, clock_ns
        self.sender: LogSender | None = None
        """None until Kafka has been reached."""
        self.untold = 0
        """Given up, for the moment."""
        self._told: OrderedDict[Known, None] = OrderedDict()
        self._newly = Buckets(ORIGINS_BURST, ORIGINS_PER_S, ORIGINS_KEPT)
        self._under_way: set[asyncio.Task[None]] = set()

    def note(self, account: int, address: str, door: str) -> None:
        """The account was opened from there. Costs a look-up if that is known."""
        known = (account, address)
        if known in self._told:
            return
        now_ns = self._clock_ns()
        if self.sender is None or len(self._under_way) >= ORIGINS_UNDER_WAY_MAX or self._newly.seconds_until_one(account, now_ns / 1e9):
            self.untold += 1
            return
        self._newly.take(account, now_ns / 1e9)
        self._told[known] = None
        if len(self._told) > ORIGINS_KEPT:
            self._told.popitem(last=False)
        fact = {
            "source": f"edge-{self._settings.edge_instance}", "at": now_ns, "account": account, "place": self.place(address), "door": door,
        }  # fmt: skip
        task = asyncio.create_task(self._tell(self.sender, known, encode_record("sign_in", fact)), name="origin")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    def place(self, address: str) -> str:
        """The same for the same address at every edge; the address cannot be tried out without the key."""
        key = edge_secret(self._settings.mysql_url, b"outcry-origins", hashlib.blake2b.MAX_KEY_SIZE)
        return hashlib.blake2b(address.encode(), digest_size=PLACE_BYTES, key=key).hexdigest()

    async def _tell(self, sender: LogSender, known: Known, value: bytes) -> None:
        try:
            await (await sender.send(PARTY_FACTS.name, 0, value))
        except ServiceUnavailable:
            self.untold += 1
            self._told.pop(known, None)
