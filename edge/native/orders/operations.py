"""What a client can ask for, whether over the socket or HTTP: the same names, fields and answers.

An operation gets its fields and who asks, and returns the fields of its answer. It raises Problem.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final

from access.api_keys import Scope
from edge.gateway.access.sessions import Session
from edge.gateway.accounts.view import AccountView, Order
from edge.gateway.gateway import Gateway
from edge.native.limits import BATCH_MAX
from edge.native.orders import dry_run
from edge.native.orders.owners import Owner, Owners
from edge.native.orders.requests import SIDES, amendment, instrument_in, new_order
from edge.native.orders.told import account_object, order_object
from edge.native.wire.fields import Fields
from edge.native.wire.problems import Problem, invalid, value_of
from schemas.enums import TimeInForce
from schemas.reject_reasons import Reason

_STAYING: Final = (TimeInForce.GTC, TimeInForce.GTD)


@dataclass(slots=True)
class Asked:
    """A request. connection: its number, 0 over HTTP; `goes_with_it`: its orders are canceled with it unless they say otherwise."""

    gateway: Gateway
    owners: Owners
    session: Session
    fields: Fields
    connection: int = 0
    goes_with_it: bool = False

    @property
    def account(self) -> int:
        """Whose."""
        return self.session.account

    async def view(self) -> AccountView:
        """As it is now."""
        return value_of(await self.gateway.accounts.view(self.account))


async def place(asked: Asked) -> dict[str, Any]:
    """`order`; `validate`: only say whether it would be taken; `cancel_on_disconnect`: cancel it, or not, when the connection is lost."""
    given = asked.fields.inner("order")
    if given is None:
        raise asked.fields.missing("order")
    only_validate, goes = asked.fields.flag("validate"), asked.fields.raw("cancel_on_disconnect")
    if goes is not None and not isinstance(goes, bool):
        raise invalid("cancel_on_disconnect", "must be true or false")
    if goes and not asked.connection:
        raise invalid("cancel_on_disconnect", "is for orders that are sent over a socket")
    asked.fields.done()
    order = new_order(given, asked.gateway.instruments)
    if only_validate:
        return dry_run.check(asked.gateway, await asked.view(), order)
    placed = value_of(await asked.gateway.orders.place(asked.account, order))
    with_connection = goes if goes is not None else asked.goes_with_it and order.time_in_force not in _STAYING
    owner = Owner(asked.session.key_id, asked.connection, with_connection)
    for one in (placed.order, *placed.legs):
        asked.owners.note(one.order_id, owner)
    told: dict[str, Any] = {"order": order_object(placed.order, asked.gateway.instruments)}
    if placed.legs:
        told["legs"] = [order_object(one, asked.gateway.instruments) for one in placed.legs]
    return told | {"awaits_book": True} if placed.awaits_book else told


async def _named(asked: Asked) -> Order:
    """The order that the request names by order_id or cl_ord_id."""
    order_id, cl_ord_id = asked.fields.text("order_id", 20), asked.fields.cl_ord_id()
    if (order_id is None) == (cl_ord_id is None):
        raise invalid("order_id", "or cl_ord_id is required, and not both")
    view = await asked.view()
    if cl_ord_id is not None:
        found = value_of(await asked.gateway.orders.find_by_cl_ord_id(view, cl_ord_id.decode()))
    else:
        assert order_id is not None
        if not order_id.isascii() or not order_id.isdigit() or int(order_id) >= 1 << 62:
            raise invalid("order_id", "must be the digits that order.place has answered")
        found = value_of(await asked.gateway.orders.find(view, int(order_id)))
    if found is None:
        raise Problem("not_found", "the account has no such order", reason=Reason.UNKNOWN_ORDER.name)
    return found


async def cancel(asked: Asked) -> dict[str, Any]:
    """One order, by order_id or cl_ord_id: accepted once its shard has passed the wish on; the channel `orders` tells what became of it."""
    order = await _named(asked)
    asked.fields.done()
    value_of(await asked.gateway.orders.cancel(asked.account, order.order_id))
    return {"order_id": str(order.order_id), "cl_ord_id": order.cl_ord_id}


async def amend(asked: Asked) -> dict[str, Any]:
    """Change an order; it keeps its id, and its place in the queue where only the quantity becomes less."""
    order = await _named(asked)
    changes = amendment(asked.fields, order, asked.gateway.instruments)
    now = value_of(await asked.gateway.orders.replace(asked.account, order, changes))
    return {"order": order_object(now, asked.gateway.instruments)}


async def status(asked: Asked) -> dict[str, Any]:
    """One order as it is now, by order_id or cl_ord_id; what to ask after an unknown outcome."""
    order = await _named(asked)
    asked.fields.done()
    return {"order": order_object(order, asked.gateway.instruments)}


async def cancel_all(asked: Asked) -> dict[str, Any]:
    """Every open order, or those of a `symbol`, a `side`, of this API key (`key`: true)."""
    symbol = instrument_in(asked.fields, asked.gateway.instruments) if asked.fields.raw("symbol") is not None else None
    side, of_key = asked.fields.word("side", SIDES), asked.fields.flag("key")
    asked.fields.done()
    view = await asked.view()
    orders = [
        one
        for one in view.open_orders.values()
        if (symbol is None or one.instrument == symbol.number) and (side is None or one.side == side)
    ]
    unknown: list[Order] = []
    if of_key:
        orders, unknown = asked.owners.split(orders, asked.session.key_id)
    told = await cancel_each(asked.gateway, asked.account, orders)
    return {"orders": told} | ({"not_known": [str(one.order_id) for one in unknown]} if of_key else {})


async def cancel_each(gateway: Gateway, account: int, orders: list[Order]) -> list[dict[str, Any]]:
    """Each with its own outcome."""

    async def one(order: Order) -> dict[str, Any]:
        told: dict[str, Any] = {"order_id": str(order.order_id), "cl_ord_id": order.cl_ord_id}
        try:
            value_of(await gateway.orders.cancel(account, order.order_id))
        except Problem as problem:
            return told | {"ok": False, "outcome": problem.outcome, "problem": problem.document("")}
        return told | {"ok": True, "outcome": "accepted"}

    return list(await asyncio.gather(*map(one, sorted(orders, key=lambda order: order.order_id))))


async def batch(asked: Asked) -> dict[str, Any]:
    """`requests`: of order.place, order.cancel and order.amend, sent in their order; an answer for each."""
    requests = asked.fields.objects("requests", BATCH_MAX)
    asked.fields.done()
    if not requests:
        raise invalid("requests", "must have at least one")

    async def one(fields: Fields) -> dict[str, Any]:
        try:
            operation = fields.word("op", _IN_BATCH)
            if operation is None:
                raise fields.missing("op")
            too_many = asked.gateway.sessions.admit(asked.session)  # each counts; the batch itself was counted before
            if too_many is not None:
                value_of(too_many)
            told = await operation(Asked(asked.gateway, asked.owners, asked.session, fields, asked.connection, asked.goes_with_it))
        except Problem as problem:
            return {"ok": False, "outcome": problem.outcome, "problem": problem.document("")}
        return {"ok": True, "outcome": "accepted"} | told

    return {"answers": list(await asyncio.gather(*map(one, requests)))}


async def account_get(asked: Asked) -> dict[str, Any]:
    """Cash and positions."""
    asked.fields.done()
    return account_object(await asked.view(), asked.gateway.instruments)


async def open_orders(asked: Asked) -> dict[str, Any]:
    """The orders that are open."""
    asked.fields.done()
    return {"orders": [order_object(one, asked.gateway.instruments) for one in (await asked.view()).open_orders.values()]}


_IN_BATCH: Final[Mapping[str, Callable[[Asked], Coroutine[Any, Any, dict[str, Any]]]]] = {
    "order.place": place,
    "order.cancel": cancel,
    "order.amend": amend,
}


@dataclass(frozen=True, slots=True)
class Operation:
    """What it does, and what a key must be good for."""

    run: Callable[[Asked], Coroutine[Any, Any, dict[str, Any]]]
    scope: Scope


OPERATIONS: Final[Mapping[str, Operation]] = {
    **{name: Operation(run, Scope.TRADE) for name, run in _IN_BATCH.items()},
    "order.cancel_all": Operation(cancel_all, Scope.TRADE),
    "order.batch": Operation(batch, Scope.TRADE),
    "order.status": Operation(status, Scope.READ),
    "order.open": Operation(open_orders, Scope.READ),
    "account.get": Operation(account_get, Scope.READ),
}


def require(session: Session, scope: Scope) -> None:
    """Raises Problem where the key is not good for it."""
    if scope not in session.scopes:
        raise Problem("wrong_scope", f"this API key may not {scope}", scope=str(scope))
