"""State of nested lists of integers as an array of bytes, and back: exact for integers of any size."""

import json
from typing import Any

import numpy as np
import orjson

from schemas.codec import Rows


def pack(state: Any) -> Rows:
    """The state as JSON in UTF-8."""
    try:
        data = orjson.dumps(state)
    except TypeError:  # an integer beyond 64 bits: sums of forged rows
        data = json.dumps(state, separators=(",", ":")).encode()
    return np.frombuffer(data, np.uint8)


def unpack(array: Rows) -> Any:
    """What pack was given; tuples are lists."""
    return json.loads(array.tobytes())
