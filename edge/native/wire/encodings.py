"""Messages in JSON and msgpack, and as WebSocket frames that are ready to write. No I/O.

A message is encoded once for each encoding, whoever reads it. Decimals are texts in both encodings, so no number is ever rounded.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgpack
import msgspec

from edge.fanout.frames import BINARY, TEXT, ready_frame
from edge.http.client_data import decode_json, decode_packed


@dataclass(frozen=True)
class Encoding:
    """One of the two."""

    name: str
    protocol: str
    """What a client asks for in Sec-WebSocket-Protocol."""
    opcode: int
    encode: Callable[[Mapping[str, Any]], bytes]
    decode: Callable[[str | bytes], Any]
    """Raises ValueError."""

    def frame(self, body: Mapping[str, Any]) -> bytes:
        """Ready to write."""
        return ready_frame(self.encode(body), self.opcode)


def _unpacked(data: str | bytes) -> Any:
    if isinstance(data, str):
        raise ValueError("this connection speaks msgpack in binary frames")  # noqa: TRY004 - one kind for all
    return decode_packed(data)


JSON: Final = Encoding("json", "outcry.v1.json", TEXT, msgspec.json.Encoder().encode, decode_json)
MSGPACK: Final = Encoding("msgpack", "outcry.v1.msgpack", BINARY, msgpack.packb, _unpacked)
ENCODINGS: Final = (JSON, MSGPACK)
BY_PROTOCOL: Final = {one.protocol: one for one in ENCODINGS}


class Message:
    """What several clients are told, and its frames once somebody wants them."""

    __slots__ = ("_frames", "body")

    def __init__(self, body: dict[str, Any]) -> None:
        self.body = body
        self._frames: dict[str, bytes] = {}

    def frame(self, encoding: Encoding) -> bytes:
        """Ready to write."""
        known = self._frames.get(encoding.name)
        if known is None:
            known = self._frames[encoding.name] = encoding.frame(self.body)
        return known
