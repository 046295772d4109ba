"""Every bound of HTTP and WebSockets, with its unit and arithmetic. Reaching one is answered with a named error, never with silence."""

from typing import Final

BODY_BYTES_MAX: Final = 64 << 10
"""An order's JSON is ~300 bytes; the rest is room."""

BODY_TIMEOUT_S: Final = 10.0
"""A client has so long to send the body it announced."""

NESTING_MAX: Final = 16
"""Objects and lists within one another in what a client sends. A bracket order has two; deeper ones come from nobody's library, and what walks
through them would end at Python's own limit of 1,000."""

SOCKET_QUEUE_MESSAGES_MAX: Final = 2_048
"""Messages that wait for one slow WebSocket: ~1 MB at 500 B each. The next one ends the connection, with a last word that says why."""

SOCKET_QUEUE_BYTES_MAX: Final = 16 << 20
"""The same in bytes: twice the largest answer, a full resume (edge.alpaca.limits.RESUMED_TRADES_MAX x ~200 B = 8 MB). Market data is shared by all who wait for it,
so the memory behind these bytes is there once."""

SOCKET_MESSAGES_BURST: Final = 200
SOCKET_MESSAGES_PER_S: Final = 20
"""What a client may send over one WebSocket, pings too: so many messages at once, then so many a second (Binance: 5). What comes faster is
not refused but read later. One costs at most ~1 ms (a subscription of SUBSCRIPTIONS_MAX names that changes), so a socket takes 2 % of
the loop at most. A program that subscribes to 500 symbols by 500 messages has done so after 15 s."""

SOCKET_REPLY_BYTES_PER_MESSAGE: Final = 16 << 10
"""Each so many bytes of an answer count as one more message: a client gets 320 KB/s of answers, and after a resume of 20,000 trades (4 MB: 250)
is read again after 2.5 s."""

FAREWELL_TIMEOUT_S: Final = 10.0
"""A client that is being let go has so long to take what is queued for it, the last word too; then the connection is cut."""

SOCKET_CLOSE_TIMEOUT_S: Final = 2.0
"""A client has so long to answer the close frame."""

SOCKET_MESSAGE_BYTES_MAX: Final = 64 << 10
"""What a client may send in one WebSocket message."""

SOCKETS_MAX: Final = 20_000
"""Open WebSockets of one edge, of all kinds; beyond it a client is told so and let go."""

AUTHENTICATION_TIMEOUT_S: Final = 10.0
"""A WebSocket has so long to authenticate; then it is told so and let go."""

HEARTBEAT_S: Final = 30.0
"""WebSocket ping; a peer that does not answer is dropped."""
