"""The entries of an audit log. An entry commits to a record of the log; it is not the record. No I/O.

An entry is one line of JSON. It says where the record is and what its header claims, and has the SHA-256 of the record's value as it is stored.
Entry n of a log is the record n behind the first one of its partition: nothing is left out, whatever it is. A record that no reader takes is a
fact of the log too, and so is the second copy of a frame that another replica wrote.
"""

import json
from hashlib import sha256
from typing import Final

from audit.findings import Wrong
from schemas.codec import BadBytes, decode_header, schema_of

VERSION: Final = 1
_ENCODE: Final = json.JSONEncoder(separators=(",", ":")).encode
"""json.dumps would make an encoder for each entry."""
TEXT_MAX: Final = 128
"""Characters of a source's name; longer ones are no program's of ours."""


def digest_of(value: bytes | None) -> str:
    """SHA-256 of a record's value."""
    return sha256(value or b"").hexdigest()


def entry_of(topic: str, partition: int, offset: int, time_ms: int, value: bytes | None, digest: str = "") -> bytes:
    """The entry of a record. time_ms: when it was appended. digest: of the value, where it is known.

    Never fails: of a value that cannot be read there is no more to say than its digest.
    """
    fields = {"v": VERSION, "topic": topic, "partition": partition, "offset": offset, "time_ms": time_ms} | _claims(value)
    fields["sha256"] = digest or digest_of(value)
    return _ENCODE(fields).encode()


def offset_of(entry: bytes, place: str) -> int:
    """The offset of the record that an entry commits to. Raises Wrong."""
    try:
        return int(json.loads(entry)["offset"])
    except (ValueError, KeyError, TypeError):
        raise Wrong(place, "it says of no record where it is") from None


def _claims(value: bytes | None) -> dict[str, object]:
    """What the record says that it is."""
    try:
        found = decode_header(value)
        if found is None:
            return {"schema": schema_of(value)}
    except BadBytes as error:
        return {"unreadable": error.reason}
    schema, header, count = found
    return {
        "schema": schema, "source": header.source[:TEXT_MAX], "source_offset": header.source_offset, "source_index": header.source_index,
        "first_seq": header.first_seq, "count": count,
    }  # fmt: skip
