"""Who made an output, by the output itself: of frames their header, of other records that shards number the same three fields. No I/O."""

from typing import Final

from schemas.codec import Header, decode_header, decode_record, schema_of

NUMBERED_RECORDS: Final = frozenset({"book_sums"})
"""Schemas of records with source, source_offset and source_index that are no frames."""


def identity_of(value: bytes | None) -> tuple[str, Header, int] | None:
    """(schema, header, number of rows) of what a shard has made; None for any other record. Raises BadBytes."""
    if schema_of(value) not in NUMBERED_RECORDS:
        return decode_header(value)
    name, record = decode_record(value or b"")
    return name, Header(record["source"], record["source_offset"], record["source_index"]), 1
