"""A socket of the native API that costs a load generator little: frames written ready, messages searched, not parsed."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, cast

_HANDSHAKE = (
    "GET /ws/v1 HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
_MASKED, _SHORT, _LONG, _PING = 0x80, 126, 127, 0x9


class NativeSocket(asyncio.Protocol):
    """`answered(cl_ord_id, status)`: 200, or what HTTP would have said; `filled(cl_ord_id)`. A request's id is its order's."""

    def __init__(self, host: str, answered: Callable[[bytes, int], None], filled: Callable[[bytes], None]) -> None:
        self._host, self._answered, self._filled = host, answered, filled
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._upgraded = asyncio.Event()
        """Until then the exchange takes nothing."""
        self.heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        """Answers to what was asked by `ask`."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Shake hands."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(_HANDSHAKE.format(host=self._host).encode())

    def send(self, payload: bytes, opcode: int = 0x1) -> None:
        """A whole message; its mask is zero, which leaves it as it is."""
        assert self._transport is not None
        size = len(payload)
        head = (
            bytes((0x80 | opcode, _MASKED | size)) if size < _SHORT else bytes((0x80 | opcode, _MASKED | _SHORT)) + size.to_bytes(2, "big")
        )
        self._transport.write(head + bytes(4) + payload)

    async def ask(self, **fields: Any) -> None:
        """A request that must go well."""
        await asyncio.wait_for(self._upgraded.wait(), 60)
        self.send(json.dumps({"id": 0, **fields}).encode())
        told = await asyncio.wait_for(self.heard.get(), 60)
        assert told["ok"], told

    def data_received(self, data: bytes) -> None:
        """Frames, or a part of one."""
        buffer = self._buffer
        buffer += data
        if not self._upgraded.is_set():
            head, found, rest = bytes(buffer).partition(b"\r\n\r\n")
            if not found:
                return
            assert head.startswith(b"HTTP/1.1 101"), head
            self._upgraded.set()
            buffer[:] = rest
        while (end := self._whole(buffer)) is not None:
            start, opcode = self._start(buffer), buffer[0] & 0x0F
            self._take(bytes(buffer[start:end]), opcode)
            del buffer[:end]

    @staticmethod
    def _start(buffer: bytearray) -> int:
        return 2 + {_SHORT: 2, _LONG: 8}.get(buffer[1], 0)

    def _whole(self, buffer: bytearray) -> int | None:
        """Where the first frame ends; None: it is not all here."""
        if len(buffer) < 2 or len(buffer) < (start := self._start(buffer)):
            return None
        size = buffer[1] if buffer[1] < _SHORT else int.from_bytes(buffer[2:start], "big")
        return start + size if len(buffer) >= start + size else None

    def _take(self, message: bytes, opcode: int) -> None:
        if opcode == _PING:
            self.send(message, 0xA)
        elif b'"exec_type":"trade"' in message:
            self._filled(message.partition(b'"cl_ord_id":"')[2].partition(b'"')[0])
        elif message.startswith(b'{"id":"'):
            status = 200 if b'"ok":true' in message else json.loads(message)["problem"]["status"]
            self._answered(message[7:].partition(b'"')[0], status)
        elif message.startswith(b'{"id":0'):
            self.heard.put_nowait(json.loads(message))

    def close(self) -> None:
        """Cut it."""
        if self._transport is not None:
            self._transport.abort()
