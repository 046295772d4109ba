"""A small client of the native API (docs/native-api.md): orders, channels, and a connection that resumes by itself.

    async with AsyncClient("http://127.0.0.1:8080", "KEY", "SECRET") as client:
        await client.subscribe("book.AAPL.10.50ms", "orders")
        order = await client.place(symbol="AAPL", side="buy", ord_type="limit", time_in_force="day", order_qty="10", price="180.05")
        async for push in client:
            ...

`Client` is the same without `async`.
"""

from outcry.client.async_client import AsyncClient
from outcry.client.books import Book
from outcry.client.channels import Push
from outcry.client.errors import ApiError, ConnectionEnded, OutcomeUnknown, Rejected
from outcry.client.signing import Signer
from outcry.client.sync import Client
from outcry.client.words import NewOrder, Order

__all__ = [
    "ApiError",
    "AsyncClient",
    "Book",
    "Client",
    "ConnectionEnded",
    "NewOrder",
    "Order",
    "OutcomeUnknown",
    "Push",
    "Rejected",
    "Signer",
]
