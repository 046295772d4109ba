"""The engines over the workloads of the bench: deep books, many symbols, long sweeps and full auctions, where random tapes have few orders."""

import numpy as np
import pytest
from compare_engines import assert_same, restored
from tapes.tape import frames
from tapes.workloads import WORKLOADS, make

from matchers.books import shard as book_shard
from matchers.books.reference import shard as reference_book_shard
from schemas.codec import Rows

SMALL = 800
"""Orders. Run with more now and then: with 12,000 all but `auction`, whose every indicative price costs the reference a walk over the book, take ten minutes."""
FRAME_ROWS = 512


@pytest.mark.slow
@pytest.mark.parametrize("workload", WORKLOADS)
def test_engines_agree_on_a_workload(workload: str) -> None:
    """The same rows frame by frame, the same state at the end, also when the kernel was restored in the middle."""
    tape = make(workload, SMALL, seed=5)
    slow, fast = (machine.BookShard(0, tape.instruments, 1) for machine in (reference_book_shard, book_shard))
    whole: Rows = np.concatenate([part for part in (tape.setup, tape.rows, tape.finish) if len(part)])
    parts = list(frames(whole, FRAME_ROWS))
    for number, frame in enumerate(parts):
        assert_same(slow.apply(frame).executions, fast.apply(frame).executions, frame, f"{workload}, frame {number}")
        if number == len(parts) // 2:
            fast = restored(fast)
    assert slow.state_hash() == fast.state_hash()
