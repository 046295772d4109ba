"""Showing who one is: by a key and its secret, or by a signature over the request (docs/native-api.md). Every function raises Problem."""

import time
from base64 import b64decode
from binascii import Error as NoBase64
from typing import Final, NoReturn, assert_never

from access.signatures import SIGNATURE_BYTES, SIGNED_HEAD
from edge.gateway.access.sessions import KEY_ID_CHARACTERS_MAX, Session, Sessions
from edge.gateway.access.signed_requests import Flaw, Flawed, Signed
from edge.gateway.gateway import Gateway
from edge.gateway.limits import SIGNED_AHEAD_MS_MAX, SIGNED_WINDOW_MS_DEFAULT, SIGNED_WINDOW_MS_MAX
from edge.http.client_data import quoted
from edge.native.wire.fields import Fields
from edge.native.wire.problems import Problem, invalid, value_of

SOCKET_PATH: Final = "/ws/v1"
TS_US_MAX: Final = (1 << 62) // 1_000
_SIGNED_FIELDS: Final = ("ts", "window_ms", "signature")


def now_us() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1_000


async def by_fields(gateway: Gateway, fields: Fields, address: str) -> Session:
    """`key` with `secret`, or with `ts`, `signature` and `window_ms`: a signature as of GET /ws/v1 without a body."""
    key = fields.need("key", KEY_ID_CHARACTERS_MAX)
    ts, window_ms = fields.whole("ts", 0, TS_US_MAX), fields.whole("window_ms", 1, SIGNED_WINDOW_MS_MAX)
    signature, secret = fields.text("signature"), fields.text("secret", 256)
    fields.done()
    given = dict(zip(_SIGNED_FIELDS, (ts, window_ms, signature), strict=True))
    if all(value is None for value in given.values()):
        return await by_secret(gateway.sessions, key, secret or _missing("secret", "or a signature"), address)
    if secret is not None:
        raise invalid("secret", "has no place beside a signature: send one of the two")
    if ts is None or signature is None:
        _missing("ts" if ts is None else "signature", "beside the other parts of a signed request")
    window_ms = SIGNED_WINDOW_MS_DEFAULT if window_ms is None else window_ms
    return await by_signature(gateway, Signed("GET", SOCKET_PATH, key, ts, window_ms, signature_in("signature", signature)), address)


def _missing(name: str, why: str) -> NoReturn:
    raise Problem("not_logged_on", f"{name} is required, {why}", field=name)


async def by_secret(sessions: Sessions, key: str, secret: str, address: str) -> Session:
    """A plain key."""
    return value_of(await sessions.authenticate(key, secret, address))


async def by_signature(gateway: Gateway, asked: Signed, address: str) -> Session:
    """A signed request."""
    found = await gateway.signed_requests.authenticate(asked, address)
    if not isinstance(found, Flawed):
        return value_of(found)
    raise _problem(asked, found)


def signature_in(name: str, text: str) -> bytes:
    """64 bytes in base64."""
    try:
        signature = b64decode(text, validate=True)
    except (NoBase64, ValueError):
        signature = b""
    if len(signature) != SIGNATURE_BYTES:
        raise invalid(name, f"must be {SIGNATURE_BYTES} bytes in base64, not {quoted(text)}")
    return signature


def _problem(asked: Signed, found: Flawed) -> Problem:
    """What is wrong, and by which clock."""
    off_ms = abs(asked.ts_us - found.now_us) // 1_000
    match found.flaw:
        case Flaw.EARLY:
            text = f"the request is {off_ms} ms ahead of the edge's clock, at most {SIGNED_AHEAD_MS_MAX} ms are taken: set your clock by GET /v1/time"
            return Problem("outside_window", text, ts=found.now_us)
        case Flaw.LATE:
            text = f"the request is {off_ms} ms old by the edge's clock, and its window is {asked.window_ms} ms"
            return Problem("outside_window", text, ts=found.now_us)
        case Flaw.WRONG:
            lines = f"{SIGNED_HEAD}, {asked.method}, {quoted(asked.path)}, {quoted(asked.key_id)}, {asked.ts_us}, {asked.window_ms}"
            text = f"no API key of this name has signed these lines and the {len(asked.body)} bytes of the body: {lines}"
            return Problem("signature_wrong", text)
        case Flaw.REPEATED:
            return Problem("request_repeated", "this signed request has come before; nothing was done for this one: sign a new one")
        case _:
            assert_never(found.flaw)
