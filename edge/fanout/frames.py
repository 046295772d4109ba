"""WebSocket frames (RFC 6455): ready ones to send, and those that a client sends. No I/O.

A ready frame is header and payload as they go on the wire. A server's frames are not masked and, without compression, the same for every client:
so they are made once and shared. What is read is checked as the RFC asks; a violation is a BadFrame with the close code that it names.
"""

from typing import Final, NamedTuple

TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA
_CONTINUATION: Final = 0x0
_KNOWN: Final = frozenset({_CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG})
_FINAL, _MASKED = 0x80, 0x80
_CONTROL_BYTES_MAX: Final = 125

PROTOCOL_ERROR: Final = 1002
NOT_TEXT: Final = 1007
TOO_BIG: Final = 1009
_NO_CODE: Final = 1005
_CODES_OF_THE_RFC: Final = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})
"""Those that may be on the wire; 3000 to 4999 belong to libraries and programs."""


def ready_frame(payload: bytes, opcode: int) -> bytes:
    """One whole message as the bytes of one frame."""
    size = len(payload)
    if size <= _CONTROL_BYTES_MAX:
        head = bytes((_FINAL | opcode, size))
    elif size < 1 << 16:
        head = bytes((_FINAL | opcode, 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((_FINAL | opcode, 127)) + size.to_bytes(8, "big")
    return head + payload


PING_FRAME: Final = ready_frame(b"", PING)


def close_frame(code: int, reason: str = "") -> bytes:
    """A close frame; the reason is cut to the bytes that fit."""
    text = reason.encode()[: _CONTROL_BYTES_MAX - 2].decode(errors="ignore").encode()
    return ready_frame(code.to_bytes(2, "big") + text, CLOSE)


class BadFrame(Exception):
    """The client broke the protocol. `code` is the close code for it."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Heard(NamedTuple):
    """A whole message of a client, or a control frame: str for TEXT, otherwise bytes. For CLOSE: the code, 1005 where there is none, in `code`."""

    opcode: int
    data: str | bytes
    code: int = 0


class ClientFrames:
    """What one client sends, bytes in, messages out. Holds at most one message that is not whole; drop it when `is_empty`."""

    __slots__ = ("_buffer", "_bytes_max", "_first", "_parts", "_parts_bytes")

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._buffer = bytearray()
        self._first = 0
        """Opcode of the message of which `_parts` have come; 0: none has begun."""
        self._parts: list[bytes] = []
        self._parts_bytes = 0

    def feed(self, data: bytes) -> None:
        """More of the stream."""
        self._buffer += data

    @property
    def is_empty(self) -> bool:
        """Nothing has begun."""
        return not self._buffer and not self._first

    @property
    def waiting_bytes(self) -> int:
        """Bytes that have been fed and not taken."""
        return len(self._buffer)

    def take(self) -> Heard | bool:
        """The next message; True: a part of one was taken; False: more bytes are needed. Raises BadFrame."""
        frame = self._next_frame()
        if frame is None:
            return False
        is_final, opcode, payload = frame
        if opcode >= CLOSE:
            return _control(opcode, payload)
        if (opcode == _CONTINUATION) != bool(self._first):
            raise BadFrame(PROTOCOL_ERROR, "a continuation without a beginning, or a beginning within a message")
        self._first = self._first or opcode
        self._parts_bytes += len(payload)
        if self._parts_bytes > self._bytes_max:
            raise BadFrame(TOO_BIG, f"a message of more than {self._bytes_max} bytes")
        self._parts.append(payload)
        return self._whole() if is_final else True

    def _whole(self) -> Heard:
        opcode, data = self._first, b"".join(self._parts)
        self._first, self._parts_bytes = 0, 0
        self._parts.clear()
        return Heard(opcode, _text(data) if opcode == TEXT else data)

    def _next_frame(self) -> tuple[bool, int, bytes] | None:
        """(whether it is the last of its message, opcode, payload), taken from the buffer; None where it is not there yet."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        is_final, opcode, size = bool(buffer[0] & _FINAL), buffer[0] & 0x0F, buffer[1] & 0x7F
        if buffer[0] & 0x70 or opcode not in _KNOWN:
            raise BadFrame(PROTOCOL_ERROR, "reserved bits or an unknown opcode")
        if not buffer[1] & _MASKED:
            raise BadFrame(PROTOCOL_ERROR, "a client's frame must be masked")
        if opcode >= CLOSE and (size > _CONTROL_BYTES_MAX or not is_final):
            raise BadFrame(PROTOCOL_ERROR, "a control frame in parts or of more than 125 bytes")
        at = 2
        if size > _CONTROL_BYTES_MAX:
            at += 2 if size == 126 else 8
            if len(buffer) < at:
                return None
            size = int.from_bytes(buffer[2:at], "big")
        if size > self._bytes_max:
            raise BadFrame(TOO_BIG, f"a frame of more than {self._bytes_max} bytes")
        end = at + 4 + size
        if len(buffer) < end:
            return None
        payload = _unmasked(bytes(buffer[at + 4 : end]), bytes(buffer[at : at + 4]))
        del buffer[:end]
        return is_final, opcode, payload


def _unmasked(data: bytes, mask: bytes) -> bytes:
    size = len(data)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise BadFrame(NOT_TEXT, "a text that is not UTF-8") from None


def _control(opcode: int, payload: bytes) -> Heard:
    if opcode != CLOSE:
        return Heard(opcode, payload)
    if not payload:
        return Heard(CLOSE, b"", _NO_CODE)
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not (code in _CODES_OF_THE_RFC or 3_000 <= code < 5_000):
        raise BadFrame(PROTOCOL_ERROR, "a close frame without a close code that may be sent")
    _text(payload[2:])
    return Heard(CLOSE, payload[2:], code)
