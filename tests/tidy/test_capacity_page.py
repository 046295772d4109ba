"""docs/capacity.md says what its constants and its simulation give."""

import pytest
from capacity_page import PAGE, PARTS, with_figures

from streams.research.scaling.market_open import Open, simulate


def test_the_page_is_what_the_script_writes():
    """`make capacity` was run after the last change of a constant."""
    page = PAGE.read_text()
    assert with_figures(page) == page
    assert all(f"<!-- capacity: {name} -->" in page for name in PARTS)


def test_a_queue_with_random_arrivals_waits_as_theory_has_it():
    """M/D/1 at half use: the mean wait is half a service time, and use is what was asked for."""
    one = Open(500.0, 1.0, 60.0, 60, 1, 1_000, 0.0001, edge_us=1_000.0, hold_us=1.0, match_us=1.0, report_us=1.0)
    edge = simulate(one)[0]
    assert edge.orders == pytest.approx(30_000, rel=0.03)
    assert 0.5 < edge.use_max < 0.65
    assert 1.0 <= edge.p50_ms < 1.6 and 2.5 < edge.p99_ms < 6


def test_a_place_that_gets_more_than_it_can_do_falls_behind():
    """The simulation can say no."""
    one = Open(2_000.0, 1.0, 60.0, 10, 1, 1_000, 0.0001, edge_us=1_000.0, hold_us=1.0, match_us=1.0, report_us=1.0)
    assert simulate(one)[0].max_ms > 5_000
