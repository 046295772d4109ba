"""Showing who one is: by a key and its secret."""

import time

from edge.gateway.access.sessions import KEY_ID_CHARACTERS_MAX, Session, Sessions
from edge.native.wire.fields import Fields
from edge.native.wire.problems import value_of


def now_us() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1_000


async def by_key(sessions: Sessions, fields: Fields, address: str) -> Session:
    """`key` and `secret`. Raises Problem."""
    key, secret = fields.need("key", KEY_ID_CHARACTERS_MAX), fields.need("secret", 256)
    fields.done()
    return value_of(await sessions.authenticate(key, secret, address))
