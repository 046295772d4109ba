"""`outcry replay`: a file of commands through a book engine, its events as lines of JSON; docs/replay.md describes both.

In:     NDJSON commands, or a LOBSTER message file with its order book file
Out:    NDJSON events; a summary on standard error
On failure: a line that is not understood stops the replay before it is applied, or is reported and skipped (--keep-going).
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import BinaryIO, Final, Self, TypeVar

import click
import msgspec

from matchers.research.command_fields import BadCommand
from matchers.research.engines import ENGINE_NAMES, BookEngine, make_engine
from matchers.research.replay import FRAME_ROWS, Replay, Totals
from matchers.rules.outputs import BOOK_COMMAND_DTYPE, BookOutput, rows_of
from schemas.codec import Rows
from schemas.instruments import InstrumentTable, load_instruments
from streams.__main__ import settings_of
from streams.research.command_files import BadLine, decode_line, read_lines, writer
from streams.research.replay_lobster import replay_lobster

EXIT_BAD_LINES: Final = 1
EXIT_STOPPED: Final = 2
EXIT_INTERRUPTED: Final = 130
EXIT_PIPE: Final = 141
"""What a shell shows for a program whose output is no longer read."""
EVENTS_PER_WRITE: Final = 2_000

T = TypeVar("T")

_ENCODER: Final = msgspec.json.Encoder()


class TimedEngine:
    """An engine that measures its own time."""

    def __init__(self, engine: BookEngine) -> None:
        self._engine = engine
        self.seconds = 0.0

    @property
    def log_time(self) -> int:
        """See BookEngine."""
        return self._engine.log_time

    @property
    def last_seq(self) -> int:
        """See BookEngine."""
        return self._engine.last_seq

    def apply(self, rows: Rows) -> BookOutput:
        """See BookEngine."""
        started = time.perf_counter()
        try:
            return self._engine.apply(rows)
        finally:
            self.seconds += time.perf_counter() - started

    def state_hash(self) -> bytes:
        """See BookEngine."""
        return self._engine.state_hash()

    def snapshot(self) -> dict[str, Rows]:
        """See BookEngine."""
        return self._engine.snapshot()


@dataclass
class Run:
    """One call of the command: its options and its results."""

    name: str
    keep_going: bool
    quiet: bool
    bad_lines: int = 0
    stopped: bool = False
    interrupted: bool = False

    @property
    def exit_status(self) -> int:
        """0, or the first problem that applies."""
        if self.interrupted:
            return EXIT_INTERRUPTED
        if self.stopped:
            return EXIT_STOPPED
        return EXIT_BAD_LINES if self.bad_lines else 0


def prepared_engine(name: str, instruments: InstrumentTable, *, levels: bool = True) -> TimedEngine:
    """A compiled engine, so that the first command does not include the compilation."""
    if name == "kernel":
        make_engine(name, instruments, levels=levels).apply(rows_of(BOOK_COMMAND_DTYPE, []))
    return TimedEngine(make_engine(name, instruments, levels=levels))


class Interrupts:
    """Ctrl-C raises KeyboardInterrupt at once while a replay reads. While the engine works it waits: half a frame must not be applied."""

    def __init__(self) -> None:
        self._reading = self._asked = False

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._interrupted)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _interrupted(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True
        if self._reading:
            raise KeyboardInterrupt

    def next_of(self, lines: Iterator[T]) -> T | None:
        """The next line, None after the last. Raises KeyboardInterrupt."""
        self._reading = True
        try:
            if self._asked:
                raise KeyboardInterrupt
            return next(lines, None)
        finally:
            self._reading = False


def replay_commands(run: Run, replay: Replay, out: BinaryIO | None) -> None:
    """Feed every line of the file and write events as they come. Raises BadFile; BrokenPipeError if nobody reads the events."""
    lines = read_lines(run.name, show_progress=not run.quiet)
    with Interrupts() as interrupts:
        try:
            while (found := interrupts.next_of(lines)) is not None and not run.stopped:
                _take(run, replay, *found)
                if replay.events_waiting >= EVENTS_PER_WRITE:
                    _write(out, replay)
        except KeyboardInterrupt:
            run.interrupted = True
        finally:
            lines.close()
        replay.flush()
        _write(out, replay)


def _take(run: Run, replay: Replay, line: int, text: bytes) -> None:
    try:
        replay.add(line, decode_line(text))
    except (BadCommand, BadLine) as error:
        run.bad_lines += 1
        run.stopped = not run.keep_going
        click.echo(f"{run.name}:{line}: {error}", err=True)


def _write(out: BinaryIO | None, replay: Replay) -> None:
    events = replay.take_events()
    if out is not None and events:
        out.write(_ENCODER.encode_lines(events))


def summary(totals: Totals, instruments: InstrumentTable, engine: TimedEngine, engine_name: str, seconds: float) -> list[str]:
    """The summary of a replay, one fact per line."""
    volume = ", ".join(
        f"{instruments.by_number[number].symbol} {instruments.by_number[number].qty_text(lots)}"
        for number, lots in sorted(totals.lots.items())
    )
    return [
        f"engine      {engine_name}",
        f"commands    {totals.commands:,} in {totals.lines:,} lines",
        f"events      {totals.events:,}",
        f"rejects     {totals.rejects:,}",
        f"trades      {totals.trades:,}",
        f"volume      {volume or 0}",
        f"state hash  {engine.state_hash().hex()}",
        f"seconds     {seconds:.3f}, {engine.seconds:.3f} of them in the engine",
        f"messages/s  {totals.commands / max(seconds, 1e-9):,.0f}, {totals.commands / max(engine.seconds, 1e-9):,.0f} of the engine alone",
    ]


def leave(ctx: click.Context, status: int) -> None:
    """End with this exit status."""
    if status:
        ctx.exit(status)


def reader_has_gone(ctx: click.Context) -> None:
    """End silently, without Python's message about the closed pipe when it flushes standard output."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    ctx.exit(EXIT_PIPE)


@click.command()
@click.argument("commands", metavar="COMMANDS")
@click.option("--engine", type=click.Choice(ENGINE_NAMES), default="kernel", show_default=True, help="The book engine.")
@click.option(
    "--events", metavar="OUT", help="Where events go: a file (.gz: compressed), or - for standard output, the default for NDJSON."
)
@click.option("--no-events", is_flag=True, help="Write only the summary, no events: several times as fast.")
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="TOML list of instruments (default: OUTCRY_INSTRUMENTS_FILE, or the built-in list).",
)
@click.option(
    "--format", "file_format", type=click.Choice(["ndjson", "lobster"]), default="ndjson", show_default=True, help="What COMMANDS is."
)
@click.option(
    "--orderbook",
    metavar="BOOK.csv",
    help="lobster: begin with the first row of this order book file, and compare best bid and ask with each.",
)
@click.option(
    "--levels/--no-levels",
    default=True,
    show_default=True,
    help="Whether there are LEVEL and TOP events; without them seq and rpt_seq differ.",
)
@click.option("--keep-going", is_flag=True, help="Report lines that are not understood and skip them (exit status 1 at the end).")
@click.option(
    "--frame-rows",
    type=click.IntRange(1, 1_000_000),
    default=FRAME_ROWS,
    show_default=True,
    help="Commands per call of the engine.",
)
@click.option("--quiet", is_flag=True, help="No progress bar and no summary.")
@click.pass_context
def replay(
    ctx: click.Context,
    commands: str,
    engine: str,
    events: str | None,
    no_events: bool,
    config: Path | None,
    file_format: str,
    orderbook: str | None,
    levels: bool,
    keep_going: bool,
    frame_rows: int,
    quiet: bool,
) -> None:
    """Replay the commands of a file through a matching engine, without Kafka or accounts.

    COMMANDS has one JSON object per line ("-": standard input; .gz is unpacked), with the fields of docs/replay.md. Events are written in the same form,
    and a summary with the state hash to standard error. Exit status: 0 done, 1 done except for the lines reported, 2 stopped at a line that is not
    understood, 130 interrupted.

    \b
    Examples:
      outcry replay orders.ndjson                                       events to the terminal
      outcry replay orders.ndjson.gz --events events.ndjson.gz          from file to file
      outcry replay orders.ndjson --no-events --engine reference        the summary alone, by the readable engine
      zcat day.gz | outcry replay - --config stocks.toml | grep TRADE   as a filter
      outcry replay --format lobster AAPL_message_10.csv --orderbook AAPL_orderbook_10.csv

    \b
    The first lines of a file:
      {"command":"TradingSessionChange","phase":"CONTINUOUS"}
      {"command":"NewOrderSingle","account":1,"cl_ord_id":"a1","symbol":"AAPL","side":"BUY","ord_type":"LIMIT","order_qty":"10","price":"180.05"}
      {"command":"OrderCancelRequest","account":1,"orig_cl_ord_id":"a1"}
    """
    if no_events and events is not None:
        raise click.UsageError("--events and --no-events contradict each other")
    if orderbook is not None and file_format != "lobster":
        raise click.UsageError("--orderbook needs --format lobster")
    if config is not None and file_format == "lobster":
        raise click.UsageError("--config cannot be used with --format lobster: such a file has one instrument with LOBSTER's tick")
    target = None if no_events else events or ("-" if file_format == "ndjson" else None)
    run = Run(commands, keep_going, quiet)
    try:
        if file_format == "lobster":
            _run_lobster(run, engine, orderbook, target, levels=levels)
        else:
            instruments = load_instruments(config or settings_of(ctx).instruments_file)
            _run_ndjson(run, engine, instruments, target, frame_rows, levels=levels)
    except BrokenPipeError:
        reader_has_gone(ctx)
    leave(ctx, run.exit_status)


def _run_ndjson(run: Run, engine_name: str, instruments: InstrumentTable, target: str | None, frame_rows: int, *, levels: bool) -> None:
    engine = prepared_engine(engine_name, instruments, levels=levels)
    started = time.perf_counter()
    replay = Replay(engine, instruments, frame_rows=frame_rows, want_events=target is not None)
    if target is None:
        replay_commands(run, replay, None)
    else:
        with writer(target) as out:
            replay_commands(run, replay, out)
    if not run.quiet:
        for line in summary(replay.totals, instruments, engine, engine_name, time.perf_counter() - started):
            click.echo(line, err=True)
        if run.interrupted or run.stopped or run.bad_lines:
            click.echo(_trouble(run), err=True)


def _trouble(run: Run) -> str:
    if run.interrupted:
        return "interrupted  every line read so far is applied"
    return (
        "stopped     at the line above; those before it are applied" if run.stopped else f"not applied {run.bad_lines:,} lines, see above"
    )


def _run_lobster(run: Run, engine_name: str, orderbook: str | None, target: str | None, *, levels: bool) -> None:
    if orderbook is not None and not levels:
        raise click.UsageError("--no-levels leaves nothing to compare with --orderbook")
    try:
        report = replay_lobster(
            run.name, orderbook, lambda table: prepared_engine(engine_name, table, levels=levels), target, show_progress=not run.quiet
        )
    except KeyboardInterrupt:
        run.interrupted = True
        return
    for line in report:
        click.echo(line)
