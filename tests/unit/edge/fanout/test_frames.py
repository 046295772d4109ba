"""Frames: what we write another library reads, what it writes we read, and what breaks the RFC gets the code that the RFC names."""

import random
from collections.abc import Iterator

import pytest
from websockets.frames import Close, Frame, Opcode
from websockets.streams import StreamReader

from edge.fanout.frames import BINARY, CLOSE, PING, PONG, TEXT, BadFrame, ClientFrames, Heard, close_frame, ready_frame

SIZES = (0, 1, 125, 126, 127, 65_535, 65_536, 70_000)


def read_by_another_library(data: bytes) -> list[Frame]:
    """Unmasked frames, as a client of `websockets` reads them."""
    reader, frames = StreamReader(), []
    reader.feed_data(data)
    reader.feed_eof()

    def parsed() -> Iterator[None]:
        while not (yield from reader.at_eof()):
            frames.append((yield from Frame.parse(reader.read_exact, mask=False)))

    for _ in parsed():
        raise AssertionError("bytes are missing")
    return frames


def sent_by_another_library(opcode: int, data: bytes, *, fin: bool = True) -> bytes:
    """A client's frame."""
    return bytes(Frame(Opcode(opcode), data, fin).serialize(mask=True))


def heard(frames: ClientFrames) -> list[Heard]:
    """Every whole message."""
    found: list[Heard] = []
    while one := frames.take():
        found += [one] if isinstance(one, Heard) else []
    return found


@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, PONG])
def test_a_ready_frame_is_read_by_another_library_at_every_border_of_its_length(opcode: int) -> None:
    """Several in one write too."""
    payloads = [b"x" * size for size in SIZES if opcode < CLOSE or size <= 125]
    read = read_by_another_library(b"".join(ready_frame(payload, opcode) for payload in payloads))
    assert [(one.opcode, bytes(one.data), one.fin) for one in read] == [(opcode, payload, True) for payload in payloads]


def test_a_close_frame_has_its_code_and_as_much_of_its_reason_as_fits() -> None:
    """123 bytes, and no character cut in two."""
    (frame,) = read_by_another_library(close_frame(1013, "ü" * 100))
    assert Close.parse(bytes(frame.data)) == Close(1013, "ü" * 61)


def test_what_another_library_sends_is_heard_however_it_is_cut() -> None:
    """Byte by byte, in pieces, in fragments with a ping between."""
    stream = b"".join(sent_by_another_library(BINARY, b"y" * size) for size in SIZES if size <= 65_536)
    stream += sent_by_another_library(TEXT, "grü".encode()[:3], fin=False) + sent_by_another_library(PING, b"!")
    stream += sent_by_another_library(0, "grü".encode()[3:]) + sent_by_another_library(CLOSE, Close(1001, "bye").serialize())
    expected = [Heard(BINARY, b"y" * size) for size in SIZES if size <= 65_536]
    expected += [Heard(PING, b"!"), Heard(TEXT, "grü"), Heard(CLOSE, b"bye", 1001)]
    chances = random.Random(7)
    for piece in (1, 7, 4_096, 0):
        frames, at, found = ClientFrames(1 << 16), 0, []
        while at < len(stream):
            size = piece or chances.randint(1, 20_000)
            frames.feed(stream[at : at + size])
            at += size
            found += heard(frames)
        assert found == expected
        assert frames.is_empty


def masked(head: bytes, payload: bytes = b"") -> bytes:
    """A frame with a mask of zeros; `head` is the first byte and the length."""
    return head + bytes(4) + payload


BROKEN = {
    "not masked": (b"\x81\x01a", 1002),
    "reserved bits": (masked(b"\xc1\x81", b"a"), 1002),
    "unknown opcode": (masked(b"\x83\x81", b"a"), 1002),
    "long ping": (masked(b"\x89\xfe\x00\x7e", b"a" * 126), 1002),
    "ping in parts": (masked(b"\x09\x80"), 1002),
    "continuation of nothing": (masked(b"\x80\x81", b"a"), 1002),
    "message within a message": (masked(b"\x01\x81", b"a") + masked(b"\x81\x81", b"a"), 1002),
    "text that is not UTF-8": (masked(b"\x81\x82", b"\xc3\x28"), 1007),
    "frame too long": (masked(b"\x82\xff" + (1 << 40).to_bytes(8, "big")), 1009),
    "fragments too long": ((masked(b"\x02\xfe\x80\x00", b"a" * 32_768) + masked(b"\x00\xfe\x80\x01", b"a" * 32_769)), 1009),
    "close code of one byte": (masked(b"\x88\x81", b"a"), 1002),
    "close code that may not be sent": (masked(b"\x88\x82", (1005).to_bytes(2, "big")), 1002),
    "close reason that is not UTF-8": (masked(b"\x88\x84", (1000).to_bytes(2, "big") + b"\xc3\x28"), 1007),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_frame_gets_the_code_of_the_rfc(name: str) -> None:
    """Before its payload has come, where the head says enough."""
    data, code = BROKEN[name]
    frames = ClientFrames(1 << 16)
    frames.feed(data)
    with pytest.raises(BadFrame) as caught:
        heard(frames)
    assert caught.value.code == code


def test_noise_is_a_bad_frame_or_waits_for_more_and_never_anything_else() -> None:
    """Ten thousand strings of bytes."""
    chances, bad = random.Random(11), 0
    for _ in range(10_000):
        frames = ClientFrames(1_000)
        frames.feed(chances.randbytes(chances.randint(0, 60)))
        try:
            heard(frames)
        except BadFrame:
            bad += 1
    assert 5_000 < bad < 10_000
