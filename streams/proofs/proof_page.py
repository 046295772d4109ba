"""A page for people about what was proven: the rows, their records, their places, the checkpoint and who has signed it. No I/O."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

from audit.notes import Checkpoint
from streams.proofs.find_records import FoundRecord

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}code,td{font:13px ui-monospace,monospace}"
    "td{padding:0 1rem 0 0;vertical-align:top;overflow-wrap:anywhere}section{border-top:1px solid #ccc;margin-top:1rem}"
)


@dataclass(frozen=True)
class Proven:
    """One record with its proof. cosigners: names of witnesses and their times (s)."""

    found: FoundRecord
    name: str
    """Of its files, without what follows the dot."""
    index: int
    entry: bytes
    checkpoint: Checkpoint
    cosigners: dict[str, int]


def page_of(title: str, proven: Sequence[Proven]) -> str:
    """HTML without scripts; it claims nothing that the files beside it do not prove."""
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title><style>{_STYLE}</style><h1>{escape(title)}</h1>",
        "<p>Each record below is in the audit log of its partition. This page is for reading; the proofs are the files beside it. "
        "Check them with a policy that you did not get from the same place:</p>",
        "<pre>"
        + escape("\n".join(f"python verifier.py proof {one.name}.tlog-proof --record {one.name}.record --policy policy" for one in proven)),
        "</pre>",
    ]
    parts += [_section(one) for one in proven]
    return "\n".join(parts) + "\n"


def _section(one: Proven) -> str:
    record = one.found.record
    appended = _time(record.time_ns / 1e9)
    facts = {
        "record": f"{one.found.where}, {len(record.value or b''):,} bytes, appended {appended}",
        "entry": f"{one.index:,} of {one.checkpoint.size:,} in {one.checkpoint.origin}",
        "commits to": one.entry.decode(),
        "root": one.checkpoint.root.hex(),
        "cosigned by": ", ".join(f"{name} at {_time(at)}" for name, at in one.cosigners.items()) or "nobody yet",
        "files": f"{one.name}.tlog-proof, {one.name}.record",
    }
    rows = "".join(f"<tr><td>{escape(name)}<td>{escape(text)}" for name, text in facts.items())
    parts = [f"<section><h2>{escape(one.found.where)}</h2><table>{rows}</table>"]
    for number, fields in one.found.rows.items():
        cells = "".join(f"<tr><td>{escape(name)}<td>{escape(text)}" for name, text in fields.items())
        parts.append(f"<h3>row {number}</h3><table>{cells}</table>")
    return "".join(parts) + "</section>"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
