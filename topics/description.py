"""The wire format as one JSON document, for clients that do not use our Python: `outcry topics describe`, explained in docs/wire.md."""

import ast
import inspect
from enum import IntEnum, IntFlag
from itertools import pairwise
from typing import Any, Final

from schemas import enums, limits
from schemas.codec import FRAME_NAMES, RECORD_NAMES, prefix_of, raw_schema
from schemas.instruments import Instrument, InstrumentTable
from schemas.reject_reasons import SENTENCES, Reason
from schemas.units import MINOR_PER_UNIT, from_steps
from topics.catalogue import TOPICS
from topics.speakers import written_by

Words = type[IntEnum] | type[IntFlag]

ENUMS: Final[dict[str, Words]] = {
    one.__name__: one
    for one in (*vars(enums).values(), Reason)
    if inspect.isclass(one) and issubclass(one, IntEnum | IntFlag) and list(one)
}
"""Every enumeration whose numbers can be in a column, by name."""


def describe(instruments: InstrumentTable) -> dict[str, Any]:
    """Topics, schemas with their prefixes, the numbers of every enumeration, instruments and limits, as JSON objects.

    Not in it: the number of partitions of a topic, which only the broker knows.
    """
    return {
        "topics": {
            topic.name: {
                "schemas": list(topic.schemas), "partition_is": topic.partition_of, "retention_ms": topic.retention_ms,
                "written_by": written_by(topic), "purpose": topic.purpose,
            }
            for topic in TOPICS
        },
        "schemas": {
            name: {"prefix": prefix_of(name).hex(), "frame": name in FRAME_NAMES, "schema": raw_schema(name)}
            for name in FRAME_NAMES + RECORD_NAMES
        },
        "enums": {name: _describe_enum(words) for name, words in ENUMS.items()},
        "instruments": {one.symbol: _describe_instrument(one, instruments) for one in instruments},
        "constants": {
            "TIME_IN_FORCE_UNCHANGED": enums.TIME_IN_FORCE_UNCHANGED, "MINOR_PER_UNIT": MINOR_PER_UNIT,
            "FRAME_ROWS_MAX": limits.FRAME_ROWS_MAX, "FRAME_BYTES_MAX": limits.FRAME_BYTES_MAX,
            "CL_ORD_ID_MAX_BYTES": limits.CL_ORD_ID_MAX_BYTES, "ORDER_ID_SHARD_SHIFT": limits.ORDER_ID_SHARD_SHIFT,
        },
    }  # fmt: skip


def member_docs(words: Words) -> dict[str, str]:
    """What each member means, where it says more than its name: the sentence of a Reason, or the string behind the member in the source."""
    if words is Reason:
        return {reason.name: sentence for reason, sentence in SENTENCES.items() if sentence}
    definition = ast.parse(inspect.getsource(words)).body[0]
    assert isinstance(definition, ast.ClassDef)
    docs = {}
    for member, behind in pairwise(definition.body):
        if isinstance(member, ast.Assign) and isinstance(behind, ast.Expr) and isinstance(behind.value, ast.Constant):
            target = member.targets[0]
            assert isinstance(target, ast.Name)
            docs[target.id] = " ".join(str(behind.value.value).split())
    return docs


def _describe_enum(words: Words) -> dict[str, Any]:
    return {
        "doc": inspect.getdoc(words),
        "bits": issubclass(words, IntFlag),
        "numbers": {member.name: int(member) for member in words},
        "docs": member_docs(words),
    }


def _describe_instrument(one: Instrument, instruments: InstrumentTable) -> dict[str, Any]:
    rules = instruments.rules[one.number]
    return {
        "number": one.number, "name": one.name, "tick_size": str(one.tick_size), "lot_size": str(one.lot_size),
        "lot_minor_per_tick": int(rules["lot_minor_per_tick"]),
        "min_order_qty": from_steps(int(rules["order_qty_min"]), one.lot_size), "max_order_qty": str(one.max_order_qty),
    }  # fmt: skip
