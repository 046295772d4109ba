"""Every bound of HTTP and WebSockets, with its unit and arithmetic. Reaching one is answered with a named error, never with silence."""

from typing import Final

BODY_BYTES_MAX: Final = 64 << 10
"""An order's JSON is ~300 bytes; the rest is room."""

BODY_TIMEOUT_S: Final = 10.0
"""A client has so long to send the body it announced."""

IDLE_S: Final = 75.0
"""A connection without a whole request: longer than the 60 s that proxies keep theirs, so that they end first."""

UNTAKEN_MS_MAX: Final = 20_000
"""TCP_USER_TIMEOUT: a client that takes nothing of what waits for it is gone after so long. Otherwise it holds its answers and a descriptor for
as long as it likes, without a key: the largest file of the pages has 180 kB."""

NESTING_MAX: Final = 16
"""Objects and lists within one another in what a client sends. A bracket order has two; deeper ones come from nobody's library, and what walks
through them would end at Python's own limit of 1,000."""

SOCKETS_MAX: Final = 20_000
"""Open WebSockets of one edge, of all kinds; beyond it a client is told so and let go."""

AUTHENTICATION_TIMEOUT_S: Final = 10.0
"""A WebSocket has so long to authenticate; then it is told so and let go."""
