"""Alert records as readers of the topic have them."""

from typing import Any

from schemas.codec import decode_record, encode_record


def whole(alert: dict[str, Any]) -> dict[str, Any]:
    """The record with the fields that `alert` leaves out, as the schema's defaults have them."""
    return decode_record(encode_record("alert", alert))[1]
