"""Nanoseconds since 1970 as RFC 3339 text and back; exact, no float."""

import re
from datetime import UTC, datetime
from functools import lru_cache

_TEXT = re.compile(r"^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:?\d\d)?)?$", re.ASCII | re.IGNORECASE)


@lru_cache(maxsize=4_096)
def _second_text(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def rfc3339(time_ns: int) -> str:
    """UTC text with nine decimals, such as 2026-01-02T03:04:05.000000006Z."""
    second, rest = divmod(time_ns, 1_000_000_000)
    return f"{_second_text(second)}.{rest:09d}Z"


def rfc3339_or_none(time_ns: int) -> str | None:
    """As rfc3339; None for 0, which stands for never."""
    return rfc3339(time_ns) if time_ns else None


def parse_time_ns(text: str) -> int | None:
    """Nanoseconds of a date or an RFC 3339 time (UTC where it names no zone); None if it is neither."""
    found = _TEXT.match(text.strip())
    if not found:
        return None
    day, clock, fraction, zone = found.groups()
    zone = "+00:00" if zone in (None, "Z", "z") else zone
    try:
        moment = datetime.fromisoformat(f"{day}T{clock or '00:00:00'}{zone}")
    except ValueError:
        return None
    seconds = round((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    return seconds * 1_000_000_000 + int((fraction or "0").ljust(9, "0"))
