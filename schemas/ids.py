"""Identifiers: how integers of the core appear as UUIDs outside, and the digest under which a cl_ord_id is indexed."""

import uuid
from typing import Final

EXCHANGE_ACCOUNT: Final = 0
"""The account of the exchange itself, which the fees go to; no customer has it."""

_ORDER: Final = 0x0DE4
_ACCOUNT: Final = 0xACC0
_ASSET: Final = 0xA55E
_EXECUTION: Final = 0xE4EC
_POSTING: Final = 0x9057

_MASK64: Final = (1 << 64) - 1


def _to_uuid(space: int, number: int, extra: int = 0) -> uuid.UUID:
    """A version-8 UUID (RFC 9562: free-form) that holds a name space, 16 extra bits and a 62-bit number."""
    high = (space << 48) | (extra << 32) | (0x8 << 12)
    return uuid.UUID(int=(high << 64) | (0b10 << 62) | number)


def _from_uuid(space: int, text: str, extra: int = 0) -> int | None:
    try:
        value = uuid.UUID(text).int
    except ValueError:
        return None
    number = value & ((1 << 62) - 1)
    return number if _to_uuid(space, number, extra).int == value else None


def order_uuid(order_id: int) -> str:
    """An order_id (0 <= order_id < 2^62) as the UUID text that clients see."""
    return str(_to_uuid(_ORDER, order_id))


def order_id_of(text: str) -> int | None:
    """The order_id of a UUID text; None if it is not one of ours."""
    return _from_uuid(_ORDER, text)


def account_uuid(account: int) -> str:
    """An account number as UUID text."""
    return str(_to_uuid(_ACCOUNT, account))


def asset_uuid(instrument: int) -> str:
    """An instrument number as UUID text."""
    return str(_to_uuid(_ASSET, instrument))


def instrument_of(text: str) -> int | None:
    """The instrument number of an asset's UUID text; None if it is not one of ours."""
    return _from_uuid(_ASSET, text)


def execution_uuid(trd_match_id: int, side: int) -> str:
    """An execution (one side of a trade) as UUID text."""
    return str(_to_uuid(_EXECUTION, trd_match_id, side))


def posting_uuid(shard: int, seq: int, leg: int) -> str:
    """A posting of the ledger: `leg` (below 8) of event `seq` of an account shard, as UUID text."""
    return str(_to_uuid(_POSTING, seq, shard << 3 | leg))


def posting_of(text: str) -> tuple[int, int, int] | None:
    """(shard, seq, leg) of a posting's UUID text; None if it is not one of ours."""
    try:
        extra = uuid.UUID(text).int >> 96 & 0xFFFF
    except ValueError:
        return None
    seq = _from_uuid(_POSTING, text, extra)
    return None if seq is None else (extra >> 3, seq, extra & 7)


def mix(lane: int) -> int:
    """Finaliser of splitmix64: every input bit changes about half of the output bits."""
    lane = ((lane ^ (lane >> 30)) * 0xBF58476D1CE4E5B9) & _MASK64
    lane = ((lane ^ (lane >> 27)) * 0x94D049BB133111EB) & _MASK64
    return lane ^ (lane >> 31)


def cl_ord_id_digest(cl_ord_id: bytes) -> tuple[int, int]:
    """128 bits (two u64) under which an account's cl_ord_id is indexed.

    The text, padded with zero bytes to whole 8-byte little-endian words; each word goes through two lanes with different seeds;
    trailing zero words add nothing, so the padding's length does not matter. Defined here in plain integers, and once more as a kernel
    (a test holds the two equal). Not cryptographic: a collision could only hit two ids of the same account.
    """
    low, high = 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F
    text = cl_ord_id.rstrip(b"\0")
    for start in range(0, len(text), 8):
        word = int.from_bytes(text[start : start + 8], "little")
        low = mix(low ^ word)
        high = mix((high + word) & _MASK64)
    return low, high
