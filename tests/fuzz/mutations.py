"""Good inputs made bad: what a byte string becomes when it is cut, doubled, mixed and given absurd numbers. From a seed, so that each can be had again."""

import json
import random
import re
from collections.abc import Sequence
from typing import Final

BYTES_MAX: Final = 1 << 16
"""Of most inputs; one in LARGE_EVERY may have LARGE_BYTES_MAX."""
LARGE_EVERY: Final = 4_096
LARGE_BYTES_MAX: Final = 1 << 20
CHANGES_MAX: Final = 6
NUMBERS: Final = tuple(
    text.encode()
    for text in (
        "0", "-0", "-1", "1", "9223372036854775807", "9223372036854775808", "-9223372036854775809", "18446744073709551616", "1e308", "1e999", "-1e-999",
        "0.1", "1.7976931348623157e309", "NaN", "Infinity", "-Infinity", "0x10", "1_000", "٣", "1" * 400, "0." + "0" * 400 + "1", "1e1000000000",
    )
)  # fmt: skip
TOKENS: Final = (
    b"null", b"true", b"[]", b"{}", b'""', b"\x00", b"\xff", b"\xc3\x01", "\u2028".encode(), b"\xed\xa0\x80", b"\xf4\x90\x80\x80", "🦜".encode(), b"..",
    b"%s%n", b"' OR 1=1 --", b"<script>", b"\r\n\r\n", b"\\u0000", b"\\ud800", b'"a":1,"a":2,', b"[" * 2_000, b'{"a":' * 2_000, b"[[x]]\n", b"= ", b"#",
)  # fmt: skip
VALUES: Final = (
    None, True, False, 0, -1, 1 << 63, -(1 << 63) - 1, 10**400, 0.1, 1e308, -0.0, "", " ", "0", "-1", "1e5", "NaN", "x" * 5_000, "\x00", "\u202e", "٣", "null",
    [], {}, [[]], [None], {"": ""}, [0] * 500, {"a": {"b": {"c": []}}}, ["AAPL", "AAPL", "*"], "AAPL", "buy", "market", "9999-12-31", "0001-01-01",
)  # fmt: skip
_NUMBER: Final = re.compile(rb"-?\d+(\.\d+)?")


def mutated(draw: random.Random, good: Sequence[bytes]) -> bytes:
    """One of the good inputs after 1 to CHANGES_MAX changes."""
    most = LARGE_BYTES_MAX if draw.randrange(LARGE_EVERY) == 0 else BYTES_MAX
    data = bytearray(draw.choice(good))
    for _ in range(draw.randint(1, CHANGES_MAX)):
        draw.choice(_CHANGES)(draw, data, good)
    if most == LARGE_BYTES_MAX and data:
        data *= max(1, most // len(data))
    return bytes(data[:most])


def _at(draw: random.Random, data: bytearray) -> int:
    return draw.randint(0, len(data))


def _flip(draw: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    if data:
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)


def _set(draw: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    if data:
        data[draw.randrange(len(data))] = draw.choice((0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)))


def _insert(draw: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    at = _at(draw, data)
    data[at:at] = draw.randbytes(draw.choice((1, 2, 8, 64)))


def _delete(draw: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    at = _at(draw, data)
    del data[at : at + draw.choice((1, 2, 8, 64, 1_024))]


def _cut(draw: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    del data[_at(draw, data) :]


def _double(draw: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    begin, at = _at(draw, data), _at(draw, data)
    data[at:at] = data[begin : begin + draw.choice((1, 4, 16, 256))] * draw.choice((1, 2, 50))


def _mix(draw: random.Random, data: bytearray, good: Sequence[bytes]) -> None:
    other, at = draw.choice(good), _at(draw, data)
    begin = draw.randint(0, len(other))
    data[at:] = other[begin:]


def _token(draw: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    at = _at(draw, data)
    data[at : at + draw.choice((0, 0, 1, 4))] = draw.choice(TOKENS)


def _number(draw: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    found = list(_NUMBER.finditer(data[:4_096]))
    if found:
        one = draw.choice(found)
        data[one.start() : one.end()] = draw.choice(NUMBERS)


def _value(draw: random.Random, data: bytearray, good: Sequence[bytes]) -> None:
    """Where it is JSON it stays so: a value becomes another one, goes, or is joined by a field of another input."""
    found = _json_of(data)
    if not isinstance(found, dict) or not found:
        return
    inner = [one for one in found.values() if isinstance(one, dict) and one]
    where = draw.choice([found, *inner])
    name = draw.choice(list(where))
    what = draw.randrange(5)
    if what == 0:
        del where[name]
    elif what == 1 and isinstance(other := _json_of(draw.choice(good)), dict):
        where.update(draw.sample(list(other.items()), min(len(other), 2)))
    else:
        where[name] = draw.choice(VALUES)
    data[:] = json.dumps(found).encode()


def _json_of(data: bytes) -> object:
    if data[:1] != b"{" or len(data) > BYTES_MAX:
        return None
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


_CHANGES: Final = (_flip, _set, _insert, _delete, _cut, _double, _mix, _token, _number, *(_value,) * 9)
