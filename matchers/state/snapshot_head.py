"""The head of every shard's snapshot: whose it is, under which rules it was made, log time and row counter."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from matchers.rules.limits import ShardLimits
from schemas.codec import Rows
from schemas.errors import StaleData
from schemas.instruments import InstrumentTable


def head_array(shard: int, shards: int, limits: ShardLimits, log_time: int, last_seq: int) -> Rows:
    """The head as an array of i64."""
    return np.array([shard, shards, *limits.as_row(), log_time, last_seq], np.int64)


def check_head(shard: int, instruments: InstrumentTable, arrays: Mapping[str, Rows]) -> tuple[int, ShardLimits]:
    """(shards, limits) of a snapshot; raises StaleData if it is of another shard or of other instruments."""
    head = [int(value) for value in arrays["head"]]
    if head[0] != shard:
        raise StaleData(f"the snapshot is of shard {head[0]}, not of shard {shard}")
    if arrays["instruments"].tobytes() != instruments.digest:
        raise StaleData("the snapshot was made with another instrument list; restore that list, or start with empty topics")
    return head[1], ShardLimits(*head[2:-2])


def head_values(arrays: Mapping[str, Rows]) -> tuple[int, int]:
    """(log_time, last_seq)."""
    return int(arrays["head"][-2]), int(arrays["head"][-1])


def check_layout(arrays: Mapping[str, Rows], dtypes: Mapping[str, np.dtype[Any]]) -> None:
    """Raises StaleData if arrays of a snapshot are not of the types that this version keeps."""
    for name, dtype in dtypes.items():
        if name not in arrays or arrays[name].dtype != dtype:
            raise StaleData(f"the snapshot's {name} is of another version; replay the log from its beginning")
