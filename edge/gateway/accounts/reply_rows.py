"""Frames of edge.replies as Python rows. No I/O."""

from collections.abc import Iterator

from edge.gateway.accounts.view import ReplyRow
from schemas.codec import Frame


def reply_rows(frame: Frame) -> Iterator[tuple[ReplyRow, str]]:
    """Each row with the cl_ord_id beside it."""
    assert frame.cl_ord_id is not None, "account_event_frame has text"
    texts = frame.cl_ord_id.tolist()
    for values, text in zip(frame.rows.tolist(), texts, strict=True):
        yield ReplyRow._make(values), text.decode("ascii", "replace")
