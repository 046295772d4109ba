"""What happens to a batch: invoke, retry, cut in two, give up. As AWS Lambda's event source mapping does it. No I/O of its own.

A poison record costs about twice the logarithm of the batch in invocations, and is then named; all others are handled, in their order. The state that a
handler leaves counts only if the invocation counts. Alerts carry the place of the row that caused them, which must be in the batch.
"""

import hashlib
import json
import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from streams.functions.deployed import Function
from streams.functions.events import EventRecord
from streams.functions.process import FunctionFailed

ALERTS_MAX: Final = 1_000
"""Of one invocation."""
DATA_BYTES_MAX: Final = 8_192
_RULE: Final = re.compile(r"[a-z][a-z0-9_.-]{0,63}")

Invoke = Callable[[Sequence[EventRecord], dict[str, Any]], tuple[Any, dict[str, Any]]]
"""Of records and state: the handler's result and its new state. Raises FunctionFailed."""


@dataclass(frozen=True)
class Alert:
    """One, before it has a number. alert_id: the same whenever and in whichever batch the row is handled by this version."""

    alert_id: str
    rule: str
    symbol: str
    message: str
    data: dict[str, Any]
    cause: str
    """topic/partition@offset+row."""
    at_ns: int
    """Append time of the record."""
    version: str


@dataclass
class Handled:
    """What became of a batch."""

    state: dict[str, Any]
    alerts: list[Alert] = field(default_factory=list)
    given_up: list[tuple[EventRecord, str]] = field(default_factory=list)
    """With the reason."""
    invocations: int = 0


def handle(function: Function, records: Sequence[EventRecord], state: dict[str, Any], invoke: Invoke, now_ns: int) -> Handled:
    """The whole batch, one way or the other."""
    settings, done = function.settings, Handled(state)
    parts: deque[tuple[list[EventRecord], int]] = deque([(list(records), 0)])
    while parts:
        part, attempt = parts.popleft()
        if settings.maximum_record_age_s >= 0:
            oldest_ns = now_ns - settings.maximum_record_age_s * 1_000_000_000
            done.given_up += [(one, "older than maximum_record_age_s") for one in part if one.time_ns < oldest_ns]
            part = [one for one in part if one.time_ns >= oldest_ns]
        if not part:
            continue
        done.invocations += 1
        try:
            result, after = invoke(part, done.state)
            left, alerts = judge(function, part, result)
        except FunctionFailed as error:
            if len(part) > 1 and settings.bisect_on_error:
                middle = len(part) // 2
                parts.extendleft([(part[middle:], 0), (part[:middle], 0)])
            elif attempt < settings.maximum_retry_attempts:
                parts.appendleft((part, attempt + 1))
            else:
                done.given_up += [(one, str(error)) for one in part]
            continue
        done.state = after
        done.alerts += alerts
        if left and attempt >= settings.maximum_retry_attempts:
            done.given_up.append((left[0], "the function reports it as failed"))
            left, attempt = left[1:], -1
        if left:
            parts.appendleft((left, attempt + 1))
    return done


def judge(function: Function, part: Sequence[EventRecord], result: Any) -> tuple[list[EventRecord], list[Alert]]:
    """The records that a result leaves to be tried again, and its alerts about the others. Raises FunctionFailed for a result that cannot be."""
    if result is None:
        return [], []
    if not isinstance(result, dict):
        raise FunctionFailed(f"it returned {type(result).__name__}, not an object")
    first_failed: dict[str, int] = {}
    places = {(one.place, one.offset) for one in part}
    for failure in _list_of(result, "batchItemFailures"):
        item = failure.get("itemIdentifier") if isinstance(failure, dict) else None
        place, offset = (item.get("partition"), item.get("offset")) if isinstance(item, dict) else (None, None)
        if not isinstance(place, str) or not isinstance(offset, int) or (place, offset) not in places:
            raise FunctionFailed(f"batchItemFailures names {item!r}, which is not a record of the batch"[:500])
        first_failed[place] = min(offset, first_failed.get(place, offset))
    left = [one for one in part if one.place in first_failed and one.offset >= first_failed[one.place]]
    done = {(one.topic, one.partition, one.offset): one for one in part if one not in left}
    listed = _list_of(result, "alerts")
    if len(listed) > ALERTS_MAX:
        raise FunctionFailed(f"{len(listed):,} alerts of one invocation, more than {ALERTS_MAX:,}")
    alerts = [_alert(function, one, done, part) for one in listed]
    return left, [one for one in alerts if one is not None]


def _list_of(result: dict[str, Any], name: str) -> list[Any]:
    found = result.get(name)
    if found is None:
        return []
    if not isinstance(found, list):
        raise FunctionFailed(f"{name} is not a list")
    return found


def _alert(function: Function, given: Any, done: dict[tuple[str, int, int], EventRecord], part: Sequence[EventRecord]) -> Alert | None:
    """None for an alert about a record that is tried again."""
    cause = given.get("cause") if isinstance(given, dict) else None
    if not isinstance(cause, dict):
        raise FunctionFailed("an alert has no cause: topic, partition, offset and row of what it is about")
    topic, partition, offset, row = (cause.get(name) for name in ("topic", "partition", "offset", "row"))
    key = (str(topic), partition if isinstance(partition, int) else -1, offset if isinstance(offset, int) else -1)
    if key not in done:
        if any((one.topic, one.partition, one.offset) == key for one in part):
            return None
        raise FunctionFailed(f"an alert's cause {key[0][:80]}/{key[1]}@{key[2]} is not in the batch")
    if not isinstance(row, int) or not 0 <= row < done[key].rows:
        raise FunctionFailed(f"an alert's cause has no row {row!r}"[:200])
    rule, symbol, message, data = (
        given.get(name, default) for name, default in (("rule", ""), ("symbol", ""), ("message", ""), ("data", {}))
    )
    if not isinstance(rule, str) or not _RULE.fullmatch(rule):
        raise FunctionFailed(f"an alert's rule is {rule!r}: small letters, digits, _ . and -"[:200])
    if (
        not isinstance(symbol, str)
        or len(symbol) > 32
        or not isinstance(message, str)
        or len(message) > 1_000
        or not isinstance(data, dict)
    ):
        raise FunctionFailed("an alert has a symbol (32 characters), a message (1,000 characters) and data (an object)")
    if len(json.dumps(data)) > DATA_BYTES_MAX:
        raise FunctionFailed(f"an alert's data have more than {DATA_BYTES_MAX:,} bytes")
    place = f"{key[0]}/{key[1]}@{key[2]}+{row}"
    identity = json.dumps([function.name, function.version, rule, symbol, place])
    alert_id = hashlib.blake2b(identity.encode(), digest_size=16).hexdigest()
    return Alert(alert_id, rule, symbol, message, data, place, done[key].time_ns, function.version)
