"""Which API key and which connection an order came by, as far as this process has seen it. No I/O.

The log does not say it, so a process that starts knows nothing of older orders; `split` tells them apart rather than guess.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from edge.gateway.accounts.view import Order
from edge.native.limits import OWNED_ORDERS_MAX


@dataclass(frozen=True, slots=True)
class Owner:
    """key_id of who sent the order; `connection`: its number, 0 over HTTP; `with_connection`: it is to be canceled with it."""

    key_id: str
    connection: int = 0
    with_connection: bool = False


class Owners:
    """By order_id; beyond OWNED_ORDERS_MAX the oldest are forgotten."""

    def __init__(self) -> None:
        self._owners: OrderedDict[int, Owner] = OrderedDict()

    def note(self, order_id: int, owner: Owner) -> None:
        """It was placed so; the first word counts."""
        if order_id in self._owners:
            return
        self._owners[order_id] = owner
        if len(self._owners) > OWNED_ORDERS_MAX:
            self._owners.popitem(last=False)

    def split(self, orders: Iterable[Order], key_id: str) -> tuple[list[Order], list[Order]]:
        """(those of the key, those of which it is not known)."""
        mine, unknown = [], []
        for order in orders:
            owner = self._owners.get(order.order_id)
            if owner is None:
                unknown.append(order)
            elif owner.key_id == key_id:
                mine.append(order)
        return mine, unknown

    def of_connections(self, orders: Iterable[Order], numbers: frozenset[int]) -> list[Order]:
        """Those that are to be canceled with one of the connections."""
        found = []
        for order in orders:
            owner = self._owners.get(order.order_id)
            if owner is not None and owner.connection in numbers and owner.with_connection:
                found.append(order)
        return found
