"""Every bound of the native API, with its unit and arithmetic. GET /v1/limits tells them all; reaching one is answered with a named problem."""

from typing import Any, Final

from edge.fanout.limits import (
    BEHIND_BYTES_MAX,
    BEHIND_S_MAX,
    MESSAGE_BYTES_MAX,
    MESSAGES_BURST,
    MESSAGES_PER_S,
    PING_EVERY_S,
    WRITE_BUFFER_HIGH_BYTES,
)
from edge.gateway.limits import (
    API_KEYS_OF_ACCOUNT_MAX,
    RATE_LIMIT_PER_MINUTE,
    SEARCHES_MAX,
    SEARCHES_OF_ASKER_MAX,
    SIGNED_AHEAD_MS_MAX,
    SIGNED_WINDOW_MS_DEFAULT,
    SIGNED_WINDOW_MS_MAX,
    TRADES_KEPT_PER_SYMBOL,
    WRONG_SECRETS_BURST,
    WRONG_SECRETS_PER_S,
)
from edge.http.limits import (
    AUTHENTICATION_TIMEOUT_S,
    BODY_BYTES_MAX,
    NESTING_MAX,
    SOCKETS_MAX,
)
from schemas.field_rules import LIST_ROWS_MAX
from schemas.limits import CL_ORD_ID_MAX_BYTES
from sinks.elastic.search_words import PAGE_MAX

NUMBER_DIGITS_MAX: Final = 24
"""Digits of a decimal number, and its exponent: prices and quantities have at most 19."""

ID_CHARACTERS_MAX: Final = 64
"""A request's own id, as text."""

SUBSCRIPTIONS_MAX: Final = 1_000
"""Channels of one connection: a set of references, ~100 B each."""

CHANNELS_PER_MESSAGE_MAX: Final = 500
"""Named in one message: 500 whole books of 100 levels are 4 MB of answer."""

IN_FLIGHT_MAX: Final = 256
"""Requests of one connection that wait for their decision; ~3 KB each. At 30 ms a decision that is 8,000 orders/s."""

BATCH_MAX: Final = 50
"""Requests in one order.batch."""

ORDER_EVENTS_KEPT: Final = 100_000
"""Newest events of orders, of all accounts of the edge together, from which clients may resume; ~1 KB each."""

ACCOUNT_STREAMS_MAX: Final = 50_000
"""Accounts whose events are kept, as many as there are account views; beyond it one without a subscriber is forgotten."""

CADENCES: Final[dict[str, int]] = {"raw": 0, "50ms": 50, "250ms": 250, "1s": 1_000}
"""How often a channel of prices speaks at most, ms."""

DEPTHS: Final[dict[str, int]] = {"1": 1, "10": 10, "25": 25, "100": 100, "full": 1 << 30}
"""Levels a side."""

HEARTBEAT_S: Final = 5.0
"""Every connection is told the time so often, so that a mute connection is not taken for a quiet market."""

REPLAY_CHUNK: Final = 64
"""Messages of a resume that are made at once, ~16 KB."""

PUSH_BYTES: Final = 256
"""About what a push is long: by this a resume is counted before it is made."""

RETRY_MS_MAX: Final = 2_000
"""A client is told to come back after a random time up to this."""

GRACE_MS_MAX: Final = 60_000
"""Of session.cancel_on_disconnect."""

CANCEL_AFTER_MS_MIN: Final = 100
CANCEL_AFTER_MS_MAX: Final = 24 * 3_600_000
"""Of session.cancel_after."""

OWNED_ORDERS_MAX: Final = 200_000
"""Open orders of which the edge remembers which key sent them."""

LABEL_CHARACTERS_MAX: Final = 64
"""Of an API key."""

PUBLIC_KEY_CHARACTERS_MAX: Final = 256
"""Of an Ed25519 public key in PEM, which has 113."""

ROTATION_OVERLAP_S_MAX: Final = 7 * 86_400
"""A key that was rotated may go on working so long."""


def told() -> dict[str, Any]:
    """What GET /v1/limits answers."""
    return {
        "requests": {
            "per_minute_of_a_key": RATE_LIMIT_PER_MINUTE, "in_flight_of_a_connection": IN_FLIGHT_MAX, "batch": BATCH_MAX,
            "orders_of_a_list": LIST_ROWS_MAX, "body_bytes": BODY_BYTES_MAX, "nesting": NESTING_MAX, "number_digits": NUMBER_DIGITS_MAX,
            "cl_ord_id_characters": CL_ORD_ID_MAX_BYTES, "id_characters": ID_CHARACTERS_MAX,
            "wrong_secrets": {"burst": WRONG_SECRETS_BURST, "per_s": WRONG_SECRETS_PER_S},
            "signed": {"window_ms": SIGNED_WINDOW_MS_DEFAULT, "window_ms_max": SIGNED_WINDOW_MS_MAX, "ahead_ms": SIGNED_AHEAD_MS_MAX},
        },
        "connections": {
            "of_an_edge": SOCKETS_MAX, "message_bytes": MESSAGE_BYTES_MAX, "logon_timeout_s": AUTHENTICATION_TIMEOUT_S,
            "ping_every_s": PING_EVERY_S, "heartbeat_every_s": HEARTBEAT_S, "messages": {"burst": MESSAGES_BURST, "per_s": MESSAGES_PER_S},
            "unsent_bytes": WRITE_BUFFER_HIGH_BYTES, "behind_bytes": BEHIND_BYTES_MAX, "slow_s": BEHIND_S_MAX,
        },
        "channels": {
            "of_a_connection": SUBSCRIPTIONS_MAX, "of_a_message": CHANNELS_PER_MESSAGE_MAX, "depths": list(DEPTHS), "cadences": list(CADENCES),
            "trades_kept": TRADES_KEPT_PER_SYMBOL, "order_events_kept": ORDER_EVENTS_KEPT,
        },
        "session": {
            "cancel_on_disconnect_grace_ms": GRACE_MS_MAX, "cancel_after_ms": {"least": CANCEL_AFTER_MS_MIN, "most": CANCEL_AFTER_MS_MAX},
        },
        "searches": {"at_once_of_an_edge": SEARCHES_MAX, "at_once_of_an_account": SEARCHES_OF_ASKER_MAX, "events_of_a_page": PAGE_MAX},
        "keys": {"of_an_account": API_KEYS_OF_ACCOUNT_MAX, "label_characters": LABEL_CHARACTERS_MAX, "overlap_s": ROTATION_OVERLAP_S_MAX},
    }  # fmt: skip
