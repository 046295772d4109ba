"""Writes the generated tables of docs/wire.md and docs/alpaca.md between their markers: python tests/tidy/document_tables.py (`make tables`).

A table stands between `<!-- table: NAME -->` and `<!-- end -->`. A test fails while the page is behind the code.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from textwrap import fill
from typing import Any, Final

from edge.alpaca.operations import MARKET_DATA, TRADING, Answer, Operation
from schemas.instruments import load_instruments
from topics.description import describe

PAGE: Final = Path(__file__).parents[2] / "docs" / "wire.md"
ALPACA_PAGE: Final = PAGE.with_name("alpaca.md")
_MARKED: Final = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_DAY_MS: Final = 86_400_000


def with_tables(page: str) -> str:
    """The page with every table as the code has it. Raises KeyError for a marker that names none."""
    wire = describe(load_instruments(None))
    return _MARKED.sub(lambda found: f"{found[1]}\n{TABLES[found[2]](wire)}\n\n{found[3]}", page)


def _table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    lines = [list(head)]
    lines.append(["---"] * len(lines[0]))
    lines += [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _topics(wire: dict[str, Any]) -> str:
    return _table(
        ("topic", "records", "partition", "written by", "kept", "carries"),
        (
            (f"`{name}`", ", ".join(f"`{one}`" for one in topic["schemas"]), topic["partition_is"], topic["written_by"],
             "for ever" if topic["retention_ms"] < 0 else f"{topic['retention_ms'] // _DAY_MS} d", topic["purpose"])
            for name, topic in wire["topics"].items()
        ),
    )  # fmt: skip


def _prefixes(wire: dict[str, Any]) -> str:
    rows = wire["schemas"].items()
    return _table(
        ("record", "first ten bytes", "frame"), ((f"`{name}`", f"`{one['prefix']}`", "yes" if one["frame"] else "no") for name, one in rows)
    )


def _enums(wire: dict[str, Any]) -> str:
    parts = []
    for name, one in wire["enums"].items():
        if name != "Reason" and (columns := _columns_of(wire, name)):
            said = f"{one['doc']}{' Bits: add them up.' if one['bits'] else ''} In: {', '.join(columns)}."
            parts.append(f"### {name}\n\n{fill(said, 118, break_on_hyphens=False)}\n\n{_numbers(one, 'meaning')}")
    return "\n\n".join(parts)


def _columns_of(wire: dict[str, Any], enum: str) -> list[str]:
    """`frame.column` wherever its numbers are; `column` where every frame that has such a column means this enumeration."""
    found: dict[str, list[str]] = {}
    others = set()
    for schema, one in wire["schemas"].items():
        for field in one["schema"]["fields"]:
            if enum in field.get("codes", ()):
                found.setdefault(field["name"], []).append(schema)
            elif "dtype" in field:
                others.add(field["name"])
    return [
        f"`{column}`" if column not in others else ", ".join(f"`{one}.{column}`" for one in schemas) for column, schemas in found.items()
    ]


def _numbers(one: dict[str, Any], meaning: str) -> str:
    return _table(
        ("number", "name", meaning), ((number, f"`{name}`", one["docs"].get(name, "")) for name, number in one["numbers"].items())
    )


def _reasons(wire: dict[str, Any]) -> str:
    return _numbers(wire["enums"]["Reason"], "sentence")


def _instruments(wire: dict[str, Any]) -> str:
    fields = ("number", "tick_size", "lot_size", "lot_minor_per_tick", "min_order_qty", "max_order_qty")
    return _table(("symbol", *fields), ((f"`{symbol}`", *(one[field] for field in fields)) for symbol, one in wire["instruments"].items()))


def _operations(table: tuple[Operation, ...]) -> str:
    """A row a path, with the methods that are answered in the same way."""
    rows: dict[tuple[str, str], list[str]] = {}
    for one in sorted(table, key=lambda one: one.path):
        answer = {Answer.SERVED: "served", Answer.EMPTY: f"empty: {one.why}", Answer.REFUSED: f"403: {one.why}"}[one.answer]
        rows.setdefault((one.path, answer), []).append(one.method)
    return _table(("path", "methods", "answer"), ((f"`{path}`", ", ".join(methods), answer) for (path, answer), methods in rows.items()))


TABLES: Final[dict[str, Callable[[dict[str, Any]], str]]] = {
    "topics": _topics, "prefixes": _prefixes, "enums": _enums, "reasons": _reasons, "instruments": _instruments,
    "trading_operations": lambda _: _operations(TRADING), "market_data_operations": lambda _: _operations(MARKET_DATA),
}  # fmt: skip


if __name__ == "__main__":
    for page in (PAGE, ALPACA_PAGE):
        page.write_text(with_tables(page.read_text()))
