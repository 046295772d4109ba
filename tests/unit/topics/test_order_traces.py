"""Which orders are traced, and the ids that every hop finds by itself."""

import numpy as np
import pytest

from schemas.codec import FRAMES, Frame, Header
from schemas.limits import ORDER_ID_SHARD_SHIFT
from topics.order_traces import SPANS_PER_RECORD_MAX, Hop, OrderTraces, root_id, span_id, trace_id

HOP = Hop("match-orders", "book.commands", 1, 7, 1_000, 2_000)


def numbers(shard: int, count: int) -> np.ndarray:
    """Order numbers as an account shard gives them."""
    return (np.uint64(shard) << np.uint64(ORDER_ID_SHARD_SHIFT)) | np.arange(1, count + 1, dtype=np.uint64)


def a_frame(order_ids: np.ndarray, source: str = "account.commands/0", offset: int = 3) -> Frame:
    """Book commands for these orders."""
    rows = np.zeros(len(order_ids), FRAMES["book_command_frame"].dtype)
    rows["order_id"] = order_ids
    return Frame("book_command_frame", Header(source, offset), rows)


@pytest.mark.parametrize("share", [0.5, 0.01, 0.001])
@pytest.mark.parametrize("shard", [0, 1, 239])
def test_the_share_of_traced_orders_is_the_one_that_was_asked_for(share: float, shard: int) -> None:
    """Of orders that follow one another, on any shard; one at a time, because a record has a limit."""
    traces = OrderTraces(share)
    found = sum(len(traces.chosen([part])) for part in np.split(numbers(shard, 100_000), 10_000))
    assert found == pytest.approx(100_000 * share, rel=0.05)


def test_all_are_traced_with_a_share_of_one_and_no_order_is_number_zero() -> None:
    """Timers and phases have no order."""
    assert OrderTraces(1).chosen([np.array([0, 5, 5, 2**64 - 1], np.uint64)]) == [5, 2**64 - 1]
    assert OrderTraces(1).chosen([]) == []


def test_a_full_frame_has_a_bounded_number_of_spans() -> None:
    """However many orders are traced."""
    spans = list(OrderTraces(1).spans(HOP, a_frame(numbers(0, 15_360))))
    assert len(spans) == SPANS_PER_RECORD_MAX


def test_a_hop_is_below_the_record_that_its_frame_follows_from() -> None:
    """The frame names it: nothing about traces is in the log."""
    (span,) = OrderTraces(1).spans(HOP, a_frame(numbers(0, 1)))
    assert (span.trace_id, span.span_id) == (trace_id(1), span_id(1, "book.commands/1", 7))
    assert span.parent_id == span_id(1, "account.commands/0", 3)
    assert (span.start_ns, span.end_ns) == (1_000, 2_000)
    told = [span.attributes[f"messaging.{name}"] for name in ("destination.name", "destination.partition.id", "kafka.offset")]
    assert told == ["book.commands", "1", 7]


def test_an_order_that_its_sender_did_not_name_is_below_its_root() -> None:
    """A customer's frame follows from no record; and the resting order of a trade is not among the commands of the frame."""
    (span,) = OrderTraces(1).spans(HOP, a_frame(numbers(0, 1), "edge-0"))
    assert span.parent_id == root_id(1)
    trade = np.zeros(1, FRAMES["execution_frame"].dtype)
    trade["order_id"], trade["contra_order_id"] = 1, 2
    coming, resting = OrderTraces(1).spans(HOP, a_frame(numbers(0, 1)), [trade])
    assert (coming.parent_id, resting.parent_id) == (span_id(1, "account.commands/0", 3), root_id(2))


def test_ids_differ_between_orders_places_and_readers() -> None:
    """And are not 0, which OpenTelemetry takes for none."""
    ids = {
        span_id(order, source, offset, reader) for order in (1, 2) for source in ("a/0", "a/1") for offset in (1, 2) for reader in ("", "r")
    }
    assert len(ids | {root_id(1), root_id(2)}) == 18
    assert 0 not in ids


def test_a_clock_that_goes_back_makes_no_span_of_less_than_nothing() -> None:
    """Clocks are set; the collector would refuse it."""
    (span,) = OrderTraces(1).spans(Hop("h", "t", 0, 0, 5, 3), a_frame(numbers(0, 1)))
    assert (span.start_ns, span.end_ns) == (5, 5)
