"""Accounts around an alert: who traded with whom (MySQL), who has one owner (OUTCRY_OWNER_SETS_FILE), who signed in from one address (access.events).

One question at a time, each bounded; the log is read with clients of its own, which live as long as one question.
"""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from access.events import Act
from edge.gateway.limits import LINKS_TIMEOUT_S, LINKS_WAITING_MAX, SIGN_INS_LOOK_BACK_NS, SIGN_INS_READ_MAX
from edge.gateway.outcomes import Accepted, Cause, Unavailable
from edge.gateway.stored.history import Stores
from schemas.codec import BadBytes, decode_record
from schemas.errors import OutcryError, ServiceUnavailable
from schemas.settings import Settings
from sinks.mysql import linked_trades
from surveillance.linked_accounts import Graph, SignIn, TradedPair, linked
from surveillance.owners import Owners
from topics.catalogue import ACCESS_EVENTS
from topics.kafka_clients import native_client
from topics.key_files import NO_KEYS, RecordKeys
from topics.offsets import Offsets, Place
from topics.reader import LogReader

_PLACE: Final[Place] = (ACCESS_EVENTS.name, 0)
_READ_S: Final = 0.5
_PREFIX: Final = "account "
_WHERE: Final = "the trading page"


@dataclass(frozen=True)
class LinkedAccounts:
    """What was found. Times ns."""

    graph: Graph
    trades: list[TradedPair]
    """Among the accounts of the graph, most lots first."""
    begin: int
    end: int
    trades_since: int
    """Trades before this time were too many to look at; 0: all of the span were."""
    owners_known: bool
    """Whether this edge has been given owner sets."""
    sign_ins_since: int
    """From when on sign-ins were looked at."""


class AccountLinks:
    """Reads what links accounts."""

    def __init__(self, settings: Settings, stores: Stores) -> None:
        self._settings, self._stores = settings, stores
        self._client = native_client(settings.kafka_url) | {"client.id": "edge-links"}
        self.keys: RecordKeys = NO_KEYS
        """By which the senders of access.events are known."""
        self._one = asyncio.Semaphore(1)
        self._waiting = 0

    async def around(self, alert: dict[str, Any], span_ns: int, accounts_max: int) -> Accepted[LinkedAccounts] | Unavailable:
        """Around an alert (a record of alert.avsc), from span_ns before it until span_ns behind it."""
        if self._waiting >= LINKS_WAITING_MAX:
            return Unavailable(Cause.QUEUE_FULL, "others are looking for linked accounts: try again in a moment")
        self._waiting += 1
        try:
            async with self._one, asyncio.timeout(LINKS_TIMEOUT_S):
                return Accepted(await self._found(alert, span_ns, accounts_max))
        except (ServiceUnavailable, TimeoutError):
            return Unavailable(Cause.STORE_AWAY, "linked accounts cannot be read in time: try again")
        except (OutcryError, OSError, UnicodeDecodeError) as error:
            return Unavailable(Cause.STORE_AWAY, f"OUTCRY_OWNER_SETS_FILE cannot be read: {error}")
        finally:
            self._waiting -= 1

    async def _found(self, alert: dict[str, Any], span_ns: int, accounts_max: int) -> LinkedAccounts:
        begin, end = max(alert["window_start"] - span_ns, 0), alert["window_end"] + span_ns + 1
        subjects = sorted(alert["accounts"] or [alert["account"]])
        groups = await asyncio.to_thread(self._groups, subjects, end)
        signed_in, since = await self.sign_ins(begin, end)
        instrument = alert["instrument"]
        span = await self._stores.ask(linked_trades.trade_span, instrument, begin, end)
        partners = await self._pairs(instrument, begin, end, span, subjects, both=False)
        graph = linked(subjects, partners, groups or (), signed_in, accounts_max)
        trades = await self._pairs(instrument, begin, end, span, graph.accounts, both=True)
        return LinkedAccounts(graph, trades, begin, end, span.since if span else 0, groups is not None, since)

    async def _pairs(
        self, instrument: int, begin: int, end: int, span: linked_trades.TradeSpan | None, accounts: Any, *, both: bool
    ) -> list[TradedPair]:
        if span is None:
            return []
        rows = await self._stores.ask(linked_trades.traded_pairs, instrument, begin, end, span, accounts, both=both)
        return [TradedPair(*row) for row in rows]

    def _groups(self, subjects: list[int], now: int) -> list[tuple[int, ...]] | None:
        """The accounts of the owners of these; None where no owner sets are known."""
        path = self._settings.owner_sets_file
        if path is None:
            return None
        owners = Owners.of_toml(path.read_text("utf-8"))
        owners.advance(now)
        return [owners.accounts_of(owners.owner_of(one)) for one in subjects]

    async def sign_ins(self, begin: int, end: int) -> tuple[list[SignIn], int]:
        """Of customers on the trading page, from SIGN_INS_LOOK_BACK_NS before `begin` until `end`; and from when on they were looked at, ns."""
        since = max(begin - SIGN_INS_LOOK_BACK_NS, 0)
        offsets, reader = Offsets(self._client, LINKS_TIMEOUT_S), LogReader(self._client)
        try:
            high = (await offsets.ends([_PLACE]))[_PLACE]
            first = (await offsets.at([_PLACE], since // 1_000_000))[_PLACE]
            behind = (await offsets.at([_PLACE], end // 1_000_000 + 1))[_PLACE]
        finally:
            await offsets.close()
        last = high if behind is None else behind
        if first is None or first >= last:
            return [], since
        await reader.start()
        try:
            return await self._read(reader, max(first, last - SIGN_INS_READ_MAX), last, since if last - first <= SIGN_INS_READ_MAX else 0)
        finally:
            await reader.stop()

    async def _read(self, reader: LogReader, begin: int, end: int, since: int) -> tuple[list[SignIn], int]:
        reader.go_to({_PLACE: begin})
        found: list[SignIn] = []
        offset = begin - 1
        while offset + 1 < end:
            for record in (await reader.records(_READ_S)).get(_PLACE, ()):
                offset = record.offset() or 0
                since = since or record.timestamp()[1] * 1_000_000
                one = _sign_in(record.value() or b"") if self.keys.proof_of(record).refusal is None else None
                if one is not None and offset < end:
                    found.append(one)
        return found, since


def _sign_in(value: bytes) -> SignIn | None:
    """None for any other event."""
    try:
        name, event = decode_record(value)
    except BadBytes:
        return None
    account = event.get("person", "").removeprefix(_PREFIX)
    if name != "access_event" or event["act"] != Act.SIGNED_IN or event["what"] != _WHERE or not account.isdigit():
        return None
    return SignIn(int(account), event["address"], event["at_ns"])
