"""What happens to accounts, kept so that their clients may resume. No I/O.

An account's events have the sequence of its shard: it rises, and the log gives each event the same one for ever. A process that starts reads them again
from its log of replies (`take_past`), so a client resumes over its restart. What is not kept any more is answered by a snapshot.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol
from weakref import ref

from edge.gateway.accounts.view import AccountView, ReplyRow
from edge.native.channels.live import Told
from edge.native.limits import ACCOUNT_STREAMS_MAX, ORDER_EVENTS_KEPT
from edge.native.orders.told import account_change, account_object, execution, is_execution, order_object
from edge.native.wire.encodings import Message
from schemas.enums import AccountEventKind as Kind
from schemas.instruments import InstrumentTable

_STATES: Final = frozenset(map(int, (Kind.POSITION_STATE, Kind.ORDER_STATE, Kind.SESSION_REGISTERED, Kind.SESSION_REJECTED)))
"""Rows of a registration: they tell what is, and nothing that has happened."""


class Member(Protocol):
    """Who has subscribed."""

    def push(self, message: Message) -> None:
        """Take a message; never blocks."""

    def restart(self) -> None:
        """Something may have been missed."""


class PrivateChannel:
    """One channel of one account. `last`: the `seq` of what was told last."""

    def __init__(self, name: str, last: int, state: Callable[[], dict[str, Any]]) -> None:
        self.name, self.last, self._state = name, last, state
        self.members: set[Member] = set()

    def snapshot(self) -> dict[str, Any]:
        """What the channel stands at, as of `last`."""
        return {"ch": self.name, "seq": self.last, "prev": None, "snapshot": True} | self._state()

    def after(self, seq: int) -> list[Told] | None:
        """What comes behind a place, or None if it is not all there."""
        return [] if seq == self.last else None

    def push_of(self, told: Told) -> dict[str, Any]:
        """One of `after`."""
        raise AssertionError(f"nothing of {self.name} is kept: {told}")

    def tell(self, fields: Callable[[], dict[str, Any]], seq: int) -> None:
        """Tell everybody."""
        prev, self.last = self.last, seq
        if self.members:
            message = Message({"ch": self.name, "seq": seq, "prev": prev} | fields())
            for member in self.members:
                member.push(message)


class OrdersChannel(PrivateChannel):
    """Every event of an account's orders. The rows are kept, which are smaller than messages."""

    def __init__(self, last: int, state: Callable[[], dict[str, Any]], instruments: InstrumentTable) -> None:
        super().__init__("orders", last, state)
        self._instruments = instruments
        self._floor = last
        """Everything behind this place is kept."""
        self._rows: deque[tuple[ReplyRow, str, int]] = deque()
        """With the order's cl_ord_id, and `prev`."""

    def take(self, row: ReplyRow, cl_ord_id: str) -> None:
        """Tell it, and keep it."""
        self._rows.append((row, cl_ord_id, self.last))
        self.tell(lambda: execution(row, cl_ord_id, self._instruments), row.seq)

    def forget_oldest(self) -> None:
        """One event less."""
        if self._rows:
            self._floor = self._rows.popleft()[0].seq

    def after(self, seq: int) -> list[Told] | None:
        """From what is kept; only a place at which the channel has been."""
        if not self._floor <= seq <= self.last:
            return None
        found: deque[Told] = deque()
        for row, cl_ord_id, prev in reversed(self._rows):
            if row.seq <= seq:
                break
            found.appendleft(((row, cl_ord_id), prev))
        return list(found) if not found or found[0][1] == seq else None

    def push_of(self, told: Told) -> dict[str, Any]:
        """As it was told."""
        (row, cl_ord_id), prev = told
        return {"ch": self.name, "seq": row.seq, "prev": prev} | execution(row, cl_ord_id, self._instruments)


class AccountStream:
    """Of one account. `view` is set when a client subscribes; it lives as long as the gateway keeps it."""

    def __init__(self, last: int, instruments: InstrumentTable) -> None:
        self.view: Callable[[], AccountView | None] = lambda: None
        self._instruments = instruments
        self.orders = OrdersChannel(last, self._open_orders, instruments)
        self.account = PrivateChannel("account", last, self._account)

    def take(self, row: ReplyRow, cl_ord_id: str) -> bool:
        """One row, in the order of the log. True: it is kept."""
        if row.kind in _STATES or row.seq <= self.account.last:
            return False
        told = is_execution(row)
        if told:
            self.orders.take(row, cl_ord_id)
        self.account.tell(lambda: account_change(row, self._instruments), row.seq)
        return told

    @property
    def is_used(self) -> bool:
        """Whether anybody has subscribed."""
        return bool(self.orders.members or self.account.members)

    def _open_orders(self) -> dict[str, Any]:
        return {"orders": [order_object(one, self._instruments) for one in self._view().open_orders.values()]}

    def _account(self) -> dict[str, Any]:
        return account_object(self._view(), self._instruments)

    def _view(self) -> AccountView:
        view = self.view()
        assert view is not None, "a client that subscribes has just asked for it"
        return view


class AccountStreams:
    """Of one edge; follows its rows (edge.gateway.accounts.accounts.RowFollower)."""

    def __init__(self, instruments: InstrumentTable) -> None:
        self._instruments = instruments
        self._streams: dict[int, AccountStream] = {}
        self._kept: deque[int] = deque()
        """The accounts of the events that are kept, the oldest first."""

    def __len__(self) -> int:
        return len(self._streams)

    @property
    def kept(self) -> int:
        """Events of orders, of all accounts."""
        return len(self._kept)

    def stream(self, view: AccountView) -> AccountStream:
        """The stream of an account, from now on if there is none."""
        found = self._streams.get(view.account) or self._add(view.account, view.seq)
        found.view = ref(view)
        return found

    def take_row(self, row: ReplyRow, cl_ord_id: str) -> None:
        """After the account's view has taken it."""
        stream = self._streams.get(row.account)
        if stream is not None and stream.take(row, cl_ord_id):
            self._kept.append(row.account)
            if len(self._kept) > ORDER_EVENTS_KEPT:
                oldest = self._streams.get(self._kept.popleft())
                if oldest is not None:
                    oldest.orders.forget_oldest()

    def take_past(self, row: ReplyRow, cl_ord_id: str) -> None:
        """A row from before this process. Its account has been registered here, so everything behind it is in this log too."""
        if row.account in self._streams:
            self.take_row(row, cl_ord_id)
        elif row.seq > 0:
            self._add(row.account, row.seq)

    def _add(self, account: int, last: int) -> AccountStream:
        if len(self._streams) >= ACCOUNT_STREAMS_MAX:
            unused = next((number for number, one in self._streams.items() if not one.is_used), None)
            if unused is not None:
                del self._streams[unused]
        added = self._streams[account] = AccountStream(last, self._instruments)
        return added

    def forget_all(self) -> None:
        """Rows may have been missed."""
        streams, self._streams = self._streams, {}
        self._kept.clear()
        for member in {member for one in streams.values() for channel in (one.orders, one.account) for member in channel.members}:
            member.restart()
