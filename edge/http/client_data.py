"""What clients send, decoded: JSON and msgpack whose nesting is bounded. No I/O.

Every byte that a client sends as JSON or msgpack passes here, so that what cannot be decoded is one kind of exception, ValueError, whatever the
library raises. Walking through a value that was decoded here (for instance by `str`) never meets Python's limit of recursion.
"""

from decimal import Decimal
from typing import Any, Final

import msgpack
import msgspec

from edge.http.limits import NESTING_MAX

_EXACT: Final = msgspec.json.Decoder(float_hook=Decimal)
_DEEP: Final = f"more than {NESTING_MAX} objects or lists within one another"


def quoted(value: Any) -> str:
    """A client's value in an error message, shortened."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = str(value)
    return f'"{text if len(text) <= 40 else text[:40] + "..."}"'


def decode_json(data: str | bytes) -> Any:
    """The value, numbers with a decimal point as Decimal. Strict: no NaN, no half of a surrogate pair. Raises ValueError."""
    try:
        value = _EXACT.decode(data)
    except RecursionError:
        raise ValueError(_DEEP) from None
    except ArithmeticError as error:
        raise ValueError(str(error)) from None
    return _shallow(value)


def decode_packed(data: bytes) -> Any:
    """The value of one msgpack object. Raises ValueError."""
    try:
        value = msgpack.unpackb(data)
    except RecursionError:
        raise ValueError(_DEEP) from None
    except (msgpack.UnpackException, TypeError, ArithmeticError) as error:  # TypeError: a map in the place of a key
        raise ValueError(str(error)) from None
    return _shallow(value)


def _shallow(value: Any) -> Any:
    """The value, unless it is too deep."""
    level = [value]
    for _ in range(NESTING_MAX):
        inner = [child for one in level for child in (one.values() if isinstance(one, dict) else one if isinstance(one, list) else ())]
        level = [child for child in inner if isinstance(child, dict | list)]
        if not level:
            return value
    raise ValueError(_DEEP)
