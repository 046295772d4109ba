"""The same client for programs without asyncio: a loop in a thread of its own."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from typing import Any, Self, TypeVar, Unpack

from outcry.client.async_client import AsyncClient
from outcry.client.channels import Push
from outcry.client.errors import ConnectionEnded
from outcry.client.signing import Signer
from outcry.client.words import Changes, Filter, NewOrder, Order, Which

T = TypeVar("T")


class Client:
    """Every method of AsyncClient, waiting. `for push in client` reads the channels; `next_push` waits a bounded time."""

    def __init__(self, url: str, key: str = "", secret: str = "", *, signer: Signer | None = None) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="outcry-client", daemon=True)
        self._thread.start()
        self._client = AsyncClient(url, key, secret, signer=signer)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def __enter__(self) -> Self:
        try:
            self._run(self._client.__aenter__())
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection and the thread."""
        if self._thread.is_alive():
            self._run(self._client.close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    @property
    def reconnects(self) -> int:
        """How often a connection was lost, or could not be had."""
        return self._client.reconnects

    def request(self, op: str, **fields: Any) -> dict[str, Any]:
        """Any operation that the socket has."""
        return self._run(self._client.request(op, **fields))

    def place(self, **order: Unpack[NewOrder]) -> Order:
        """Place an order."""
        return self._run(self._client.place(**order))

    def check(self, **order: Unpack[NewOrder]) -> dict[str, Any]:
        """Would it be taken?"""
        return self._run(self._client.check(**order))

    def amend(self, **changes: Unpack[Changes]) -> Order:
        """Change an order."""
        return self._run(self._client.amend(**changes))

    def cancel(self, **which: Unpack[Which]) -> dict[str, Any]:
        """Ask the book to cancel an order."""
        return self._run(self._client.cancel(**which))

    def cancel_all(self, **which: Unpack[Filter]) -> list[dict[str, Any]]:
        """Each open order that matches."""
        return self._run(self._client.cancel_all(**which))

    def batch(self, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Several requests, an answer for each."""
        return self._run(self._client.batch(requests))

    def status(self, **which: Unpack[Which]) -> Order:
        """An order as it is now."""
        return self._run(self._client.status(**which))

    def open_orders(self) -> list[Order]:
        """As they are now."""
        return self._run(self._client.open_orders())

    def account(self) -> dict[str, Any]:
        """Cash and positions."""
        return self._run(self._client.account())

    def cancel_on_disconnect(self, enabled: bool = True, *, grace_ms: int = 0) -> None:
        """Orders that are sent from now on are canceled with the connection."""
        self._run(self._client.cancel_on_disconnect(enabled, grace_ms=grace_ms))

    def cancel_after(self, timeout_ms: int) -> None:
        """Dead man's switch."""
        self._run(self._client.cancel_after(timeout_ms))

    def subscribe(self, *channels: str) -> None:
        """From now on their pushes come."""
        self._run(self._client.subscribe(*channels))

    def unsubscribe(self, *channels: str) -> None:
        """No more of them."""
        self._run(self._client.unsubscribe(*channels))

    def next_push(self, timeout_s: float | None = None) -> Push:
        """The next push of any channel. Raises TimeoutError, or what has ended the client."""
        push = self._run(_next(self._client, timeout_s))
        if push is None:
            raise ConnectionEnded("the client was closed")
        return push

    def __iter__(self) -> Iterator[Push]:
        while (push := self._run(_next(self._client, None))) is not None:
            yield push


async def _next(client: AsyncClient, timeout_s: float | None) -> Push | None:
    async with asyncio.timeout(timeout_s):
        async for push in client:
            return push
    return None
