"""cl_ord_id and order_id of a replay: what account shards do for a book, without their money.

An order gets the next order_id unless its command names one. A cl_ord_id belongs to one order of its account for good, unless the book refused that order;
a replace that names a cl_ord_id gives the order that name once the book has accepted it. Either name finds the order later; reports carry the newest.
Nothing is ever forgotten: about 370 bytes an order that has a cl_ord_id (tracemalloc, 200,000 orders).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from schemas.codec import Rows
from schemas.enums import BookCommandKind, ExecKind, Side


class Unsettled(Exception):
    """The name belongs to a command that the book has not decided yet: apply what waits, then ask again."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asked for a row of a frame of commands, and under which name."""

    line: int
    kind: int = 0
    account: int = 0
    order_id: int = 0
    cl_ord_id: str | None = None
    orig_cl_ord_id: str | None = None


class OrderNames:
    """The names of all orders of a replay."""

    def __init__(self) -> None:
        self._ids: dict[tuple[int, str], int] = {}
        self._waiting: set[tuple[int, str]] = set()
        self._homes: dict[int, int] = {}
        """order_id -> instrument << 2 | side."""
        self._newest: dict[int, str] = {}
        self._given: set[int] = set()
        """order_ids that commands named."""
        self._last_id = 0

    # -- what a parser asks

    def order_id_of(self, account: int, cl_ord_id: str) -> int:
        """0 if the account has no such order. Raises Unsettled."""
        if (account, cl_ord_id) in self._waiting:
            raise Unsettled
        return self._ids.get((account, cl_ord_id), 0)

    def is_free(self, account: int, cl_ord_id: str) -> bool:
        """Whether a new order may have this name. Raises Unsettled."""
        if (account, cl_ord_id) in self._waiting:
            raise Unsettled
        return (account, cl_ord_id) not in self._ids

    def is_numbered_by_us(self, order_id: int) -> bool:
        """Whether this number was given to an order that named none."""
        return order_id <= self._last_id and order_id in self._homes and order_id not in self._given

    def home(self, order_id: int) -> tuple[int, Side] | None:
        """(instrument, side) of an order that was asked for."""
        packed = self._homes.get(order_id)
        return None if packed is None or packed & 3 not in (1, 2) else (packed >> 2, Side(packed & 3))

    # -- what happens

    def new_order(self, order_id: int, instrument: int, side: int) -> int:
        """Note a new order; its order_id, given to it here if it has none (0)."""
        if order_id:
            self._given.add(order_id)
        else:
            self._last_id += 1
            while self._last_id in self._given:
                self._last_id += 1
            order_id = self._last_id
        self._homes.setdefault(order_id, instrument << 2 | side & 3)
        return order_id

    def wait(self, asked: Asked) -> None:
        """The command waits for the book; its name is taken until the book refuses it."""
        if asked.cl_ord_id is not None and asked.kind in (BookCommandKind.NEW_ORDER, BookCommandKind.REPLACE):
            key = (asked.account, asked.cl_ord_id)
            self._ids[key] = asked.order_id
            self._waiting.add(key)

    def settle(self, asked: Sequence[Asked], executions: Rows) -> dict[int, str]:
        """The book has decided a frame: names of refused commands are free again. command_index -> new name of that command's order."""
        rows = executions[(executions["kind"] == ExecKind.REJECTED) | (executions["kind"] == ExecKind.CANCEL_REJECTED)]
        # with the order_id (0: it had none to be known by): a command may also end orders that an earlier one made dormant
        refused = set(zip(rows["command_index"].tolist(), rows["order_id"].tolist(), strict=True))
        renamed = {}
        for index, one in enumerate(asked):
            if one.cl_ord_id is None or one.kind not in (BookCommandKind.NEW_ORDER, BookCommandKind.REPLACE):
                continue
            if (index, one.order_id) in refused or (index, 0) in refused:
                del self._ids[one.account, one.cl_ord_id]
            else:
                renamed[index] = one.cl_ord_id
        self._waiting.clear()
        return renamed

    def rename(self, order_id: int, cl_ord_id: str) -> None:
        """From now on reports about the order carry this name."""
        self._newest[order_id] = cl_ord_id

    def newest(self, order_ids: Iterable[int]) -> list[str | None]:
        """The name of each order now; None for one without a name."""
        return [self._newest.get(order_id) for order_id in order_ids]

    def newest_of(self, order_id: int) -> str | None:
        """The name of the order now; None if it has none."""
        return self._newest.get(order_id)
