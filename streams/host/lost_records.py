"""The fillers that `outcry recover` writes for lost records, and how readers treat them. No I/O.

An offset must never be used twice: readers identify records, and frames name their inputs, by offsets alone. So the offsets of lost records are
filled, up to the highest one that anybody has seen. A filler is a dead_letter record about itself with the reason LOST.
"""

from typing import Final

from schemas.codec import BadBytes, decode_record, encode_record, schema_of

LOST: Final = "LOST"


def lost_record(topic: str, partition: int, offset: int, state_next: int, detail: str) -> bytes:
    """The filler of one offset. state_next: the snapshot that was kept has what the lost inputs below this offset did."""
    return encode_record("dead_letter", {
        "topic": topic, "partition": partition, "offset": offset, "reason": LOST, "detail": detail, "key": b"%d" % state_next, "value": None,
        "record_time": 0,
    })  # fmt: skip


def lost_state_of(value: bytes | None) -> int | None:
    """state_next of a filler; None for any other record."""
    try:
        if value is None or schema_of(value) != "dead_letter":
            return None
        _, letter = decode_record(value)
    except BadBytes:
        return None
    key = letter["key"]
    return int(key) if letter["reason"] == LOST and key is not None and key.isdigit() and len(key) < 20 else None


def replay_is_not_whole(where: str, offset: int, state_next: int) -> str:
    """A replay that comes to the place of a lost input, whose effects are in the state that was kept."""
    return (
        f"{where} has lost its inputs {offset:,} to {state_next - 1:,}; what they did is only in the snapshot that `outcry recover` has kept, so "
        f"no replay from before leads to that state: begin with a snapshot at {state_next:,} or later (`--from snapshot`, or the table's changelog)"
    )
