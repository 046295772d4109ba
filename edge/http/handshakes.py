"""A WebSocket handshake as nearly all clients send it: read strictly, answered from ready bytes. No I/O.

Whatever is unusual in a request is not for this module: `read_handshake` answers None, and aiohttp's parser is the judge. So nothing is taken here that
aiohttp would refuse, and no request is read in two ways: it must be whole, without a body, without a header that comes twice.
"""

import random
import re
from base64 import b64encode
from collections.abc import Mapping
from email.utils import formatdate
from hashlib import sha1
from http import HTTPStatus
from typing import Final, NamedTuple

import msgspec

from edge.http.errors import HttpError

HEAD_BYTES_MAX: Final = 4 << 10
"""A browser's has ~600 bytes, with its cookies 1 kB."""
_HEAD: Final = re.compile(rb"GET (/[A-Za-z0-9/_.-]*) HTTP/1\.1\r\n((?:[A-Za-z0-9-]+: ?[\x21-\x7e][\x20-\x7e]*\r\n)+)\r\n")
_KEY: Final = re.compile(r"[A-Za-z0-9+/]{22}==")
_ACCEPT_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455, 1.3."""
_CONNECTIONS: Final = frozenset({"upgrade", "keep-alive, upgrade"})
_NOT_OURS: Final = frozenset({"content-length", "transfer-encoding", "expect", "te", "trailer"})
"""Headers with which a request might have a body, or wants an answer before the answer."""


class Handshake(NamedTuple):
    """What a client asks for. headers: names in lower case."""

    path: str
    headers: Mapping[str, str]


def read_handshake(data: bytes) -> Handshake | None:
    """A whole and usual handshake; None: somebody else must look at it."""
    head = _HEAD.fullmatch(data) if len(data) <= HEAD_BYTES_MAX else None
    if head is None:
        return None
    headers: dict[str, str] = {}
    lines = head[2].decode("ascii").split("\r\n")
    for line in lines[:-1]:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip(" ")
    if len(headers) != len(lines) - 1 or not _NOT_OURS.isdisjoint(headers):
        return None
    return Handshake(head[1].decode("ascii"), headers) if _is_upgrade(headers) else None


def _is_upgrade(headers: Mapping[str, str]) -> bool:
    return (
        headers.get("upgrade", "").lower() == "websocket"
        and headers.get("connection", "").lower() in _CONNECTIONS
        and headers.get("sec-websocket-version") == "13"
        and _KEY.fullmatch(headers.get("sec-websocket-key", "")) is not None
        and "host" in headers
    )


class Answers:
    """The answers to handshakes. common: what every answer of this server has."""

    def __init__(self, common: Mapping[str, str]) -> None:
        self._common = "".join(f"{name}: {value}\r\n" for name, value in common.items()).encode()

    def switched(self, key: str, protocol: str = "") -> bytes:
        """101. key: Sec-WebSocket-Key; protocol: the one chosen of Sec-WebSocket-Protocol."""
        accept = b64encode(sha1(key.encode() + _ACCEPT_GUID, usedforsecurity=False).digest())
        named = b"Sec-WebSocket-Protocol: %b\r\n" % protocol.encode() if protocol else b""
        head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: %b\r\n%b%b%b\r\n"
        return head % (accept, named, self._common, _request_id())

    def refused(self, error: HttpError) -> bytes:
        """An error; the connection is closed behind it."""
        body = msgspec.json.encode(error.body())
        own = {**error.headers, "Content-Type": "application/json", "Content-Length": str(len(body))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in own.items())
        head = f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\nDate: {formatdate(usegmt=True)}\r\nConnection: close\r\n{lines}".encode()
        return head + self._common + _request_id() + b"\r\n" + body


def _request_id() -> bytes:
    return b"X-Request-ID: %032x\r\n" % random.getrandbits(128)
