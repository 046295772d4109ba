"""A few seconds of tests/soak/soak_fanout.py; `make soak` runs half an hour."""

import pytest
from soak_fanout import soak


@pytest.mark.slow
async def test_clients_that_come_resume_and_go_miss_no_trade_and_have_the_edges_books() -> None:
    """With slow ones among them."""
    found = await soak(3.0, 12, seed=5, rows_per_s=600)
    print(found)
    assert (found["faults"], found["wrong_books"]) == ([], 0)
    assert found["connections"] >= 2 * 8, "each of eight readers, and once more at the end"
    assert found["native trades"] > 100
    assert min(found[kind] for kind in ("t", "q", "o")) > 100
