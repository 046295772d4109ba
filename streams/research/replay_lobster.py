"""`outcry replay --format lobster`: a LOBSTER message file through an engine, and how far its best bid and ask match the order book file."""

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from matchers.research.command_fields import BadCommand
from matchers.research.engines import BookEngine
from matchers.research.execution_lines import ExecutionLines
from matchers.research.lobster import Agreement, LobsterReplay, instrument_table, parse_levels, parse_message
from matchers.research.order_names import Asked, OrderNames
from matchers.rules.outputs import BookOutput
from schemas.instruments import InstrumentTable
from streams.research.command_files import BadFile, read_lines, writer

_ENCODER: Final = msgspec.json.Encoder()
_ROWS_NAMED: Final = 8
T = TypeVar("T")


def replay_lobster(
    messages: str, orderbook: str | None, make: Callable[[InstrumentTable], BookEngine], target: str | None, *, show_progress: bool
) -> list[str]:
    """Replay the file; a report, one fact per line. `target`: where events go, None for nowhere. Raises BadFile that names file, line and column."""
    table = instrument_table(Path(messages).name.partition("_")[0] or "LOBSTER")
    engine = make(table)
    books = _numbered(orderbook) if orderbook is not None else iter(())
    lines = ExecutionLines(table, OrderNames())
    started = time.perf_counter()
    replay = LobsterReplay(engine)
    rows = 0
    with writer(target) if target is not None else nullcontext() as out:

        def emit(number: int, made: BookOutput) -> None:
            if out is not None and len(made.executions):
                asked = [Asked(number)] * (int(made.executions["command_index"][-1]) + 1)
                out.write(_ENCODER.encode_lines(lines.events(made.executions, made.first_seq, asked, {})))

        for number, text in read_lines(messages, show_progress=show_progress):
            rows += 1
            message = _parsed(messages, number, text, parse_message)
            book_number, book = next(books, (number, None))
            levels = None if book is None else _parsed(str(orderbook), book_number, book, parse_levels)
            emit(number, replay.begin(message, levels or ()) if rows == 1 else replay.step(message, levels, number))
    if not rows:
        raise BadFile(f"{messages}: has no messages")
    seconds = time.perf_counter() - started
    return [
        f"messages    {rows:,}, {replay.commands:,} commands in {seconds:.3f} s",
        *(f"left out    {count:,}  {what}" for what, count in replay.agreement.left_out.most_common()),
        f"trades      {replay.trades:,}, volume {replay.volume:,}",
        f"state hash  {engine.state_hash().hex()}",
        *_agreement(replay.agreement),
    ]


def _agreement(found: Agreement) -> list[str]:
    if not found.rows:
        return ["agreement   not known: no order book file was given (--orderbook)"]
    share = 100 * found.agree / found.rows
    report = [
        f"agreement   {found.agree:,} of {found.rows:,} rows have the file's best bid and ask, price and size ({share:.1f} %)",
        f"            {found.prices_agree:,} have its prices",
        *(f"differ      {count:,}  {why}" for why, count in found.reasons.most_common()),
    ]
    if found.differing_rows:
        more = f" and {len(found.differing_rows) - _ROWS_NAMED:,} more" if len(found.differing_rows) > _ROWS_NAMED else ""
        report.append(f"rows        {', '.join(map(str, found.differing_rows[:_ROWS_NAMED]))}{more}")
    return report


def _numbered(name: str) -> Iterator[tuple[int, bytes | None]]:
    yield from read_lines(name, show_progress=False)


def _parsed(name: str, number: int, text: bytes, parse: Callable[[str], T]) -> T:
    try:
        return parse(text.decode())
    except (BadCommand, UnicodeDecodeError) as error:
        raise BadFile(f"{name}:{number}: {error}") from None
