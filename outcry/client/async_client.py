"""The asynchronous client."""

import uuid
from collections.abc import AsyncIterator
from typing import Any, Self, Unpack

from outcry.client.channels import Push
from outcry.client.errors import NO_CONNECTION, ApiError, OutcomeUnknown
from outcry.client.link import Link
from outcry.client.signing import Signer
from outcry.client.words import Changes, Filter, NewOrder, Order, Which


class AsyncClient:
    """`url`: of the edge, such as http://127.0.0.1:8080. Without a key only prices. `signer`: instead of a secret.

    Every method waits for a connection first, and raises ApiError (Rejected, OutcomeUnknown), or ConnectionEnded once there will be no other.
    """

    def __init__(self, url: str, key: str = "", secret: str = "", *, signer: Signer | None = None) -> None:
        self._link = Link(url, key, secret, signer)

    async def __aenter__(self) -> Self:
        try:
            await self._link.open()
        except BaseException:
            await self._link.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection."""
        await self._link.close()

    @property
    def reconnects(self) -> int:
        """How often a connection was lost, or could not be had."""
        return self._link.reconnects

    @property
    def resubscribed(self) -> int:
        """How often a push did not fit, and the channel was asked for a snapshot."""
        return self._link.resubscribed

    async def request(self, op: str, **fields: Any) -> dict[str, Any]:
        """Any operation of docs/native-api.md that the socket has; its answer."""
        await self._link.until_connected()
        return await self._link.ask(op, fields)

    # ---- orders

    async def place(self, **order: Unpack[NewOrder]) -> Order:
        """Place an order, or with `legs` a list; the (first) order as it is then."""
        order.setdefault("cl_ord_id", uuid.uuid4().hex)
        try:
            told: Order = (await self.request("order.place", order=order))["order"]
        except OutcomeUnknown as error:
            error.cl_ord_id = order["cl_ord_id"]
            raise
        return told

    async def check(self, **order: Unpack[NewOrder]) -> dict[str, Any]:
        """Would it be taken? `worst_px` and `hold`; nothing is sent. Raises Rejected with the reason for which it would not."""
        return await self.request("order.place", order=order, validate=True)

    async def amend(self, **changes: Unpack[Changes]) -> Order:
        """Change an order, named by order_id or cl_ord_id; the order as it is then."""
        told: Order = (await self.request("order.amend", **changes))["order"]
        return told

    async def cancel(self, **which: Unpack[Which]) -> dict[str, Any]:
        """Ask the book to cancel an order; the channel `orders` tells what became of it."""
        return await self.request("order.cancel", **which)

    async def cancel_all(self, **which: Unpack[Filter]) -> list[dict[str, Any]]:
        """Each open order that matches, with its own outcome."""
        return list((await self.request("order.cancel_all", **which))["orders"])

    async def batch(self, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Up to 50 of order.place, order.cancel and order.amend, each with its `op`; an answer for each, good or bad."""
        return list((await self.request("order.batch", requests=requests))["answers"])

    async def status(self, **which: Unpack[Which]) -> Order:
        """An order as it is now; what to ask after OutcomeUnknown."""
        told: Order = (await self.request("order.status", **which))["order"]
        return told

    async def open_orders(self) -> list[Order]:
        """As they are now."""
        return list((await self.request("order.open"))["orders"])

    async def account(self) -> dict[str, Any]:
        """Cash and positions."""
        return await self.request("account.get")

    # ---- orders that end with their sender

    async def cancel_on_disconnect(self, enabled: bool = True, *, grace_ms: int = 0) -> None:
        """Orders that are sent from now on are canceled with the connection, unless this client is back within the grace time. Holds for later connections too."""
        fields = {"enabled": enabled, "grace_ms": grace_ms}
        await self.request("session.cancel_on_disconnect", **fields)
        self._link.session["session.cancel_on_disconnect"] = fields

    async def cancel_after(self, timeout_ms: int) -> None:
        """Dead man's switch: all open orders are canceled unless this is called again in time; 0 ends it."""
        await self.request("session.cancel_after", timeout_ms=timeout_ms)

    # ---- channels

    async def subscribe(self, *channels: str) -> None:
        """From now on their pushes come, also after a reconnect. Each begins with a snapshot."""
        await self._link.until_connected()
        known, new = self._link.channels, [name for name in channels if name not in self._link.channels]
        known.add(channels)
        try:
            known.note((await self._link.ask("subscribe", {"channels": list(channels)}))["channels"])
        except ApiError as error:
            if error.code in NO_CONNECTION:  # the next one begins with them
                return
            known.remove(new)
            raise

    async def unsubscribe(self, *channels: str) -> None:
        """No more of them."""
        self._link.channels.remove(channels)
        await self.request("unsubscribe", channels=list(channels))

    async def __aiter__(self) -> AsyncIterator[Push]:
        """Pushes of all channels in their order, until the client is closed. Raises ConnectionEnded, or ApiError where the key is not taken any more."""
        while (push := await self._link.pushes.get()) is not None:
            yield push
        self._link.pushes.put_nowait(None)  # for who else reads
        if self._link.ended is not None and not self._link.is_closed:
            raise self._link.ended
