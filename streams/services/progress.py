"""Show how a set comes up or goes down: a live table on a terminal, one line per change elsewhere."""

import time
from types import TracebackType
from typing import Self

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from streams.services.state import ChildStatus, SetStatus, State

COLOURS = {
    State.WAITING: "dim",
    State.PREPARING: "cyan",
    State.STARTING: "cyan",
    State.READY: "green",
    State.SILENT: "bold yellow",
    State.BACKING_OFF: "yellow",
    State.FAILED: "bold red",
    State.STOPPING: "cyan",
    State.STOPPED: "dim",
}
TABLE_EVERY_S = 0.1
LINE_AGAIN_S = 10.0  # without a terminal: say again what a child is doing that has not changed for so long
NOTE_CHARACTERS_MAX = 400
WIDE = 160  # columns from which on every fact has a column of its own
SETTLED = (State.READY, State.STOPPED, State.FAILED, State.WAITING)
"""States in which nothing changes that could be reported."""


class Progress:
    """A context manager; call it with each status."""

    def __init__(self, title: str) -> None:
        """title: what is being done."""
        self._title = title
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=True) if self._console.is_terminal else None
        self._started_s = time.monotonic()
        self._shown: dict[str, tuple[State, float]] = {}
        self._drawn_s = 0.0

    def __enter__(self) -> Self:
        """Begin to draw."""
        if self._live is not None:
            self._live.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Leave the terminal as it was."""
        if self._live is not None:
            self._live.__exit__(kind, error, trace)

    def __call__(self, status: SetStatus) -> None:
        """Show this status."""
        if self._live is None:
            self._lines(status)
        elif time.monotonic() - self._drawn_s > TABLE_EVERY_S:
            self._drawn_s = time.monotonic()
            self._live.update(self._table(status), refresh=True)

    def _table(self, status: SetStatus) -> Table:
        return status_table(status.children, title=f"{self._title} ({self._elapsed():.0f} s)", width=self._console.width)

    def _elapsed(self) -> float:
        return time.monotonic() - self._started_s

    def _lines(self, status: SetStatus) -> None:
        for child in status.children:
            state, shown_s = self._shown.get(child.name, (None, 0.0))
            lingers = self._elapsed() - shown_s > LINE_AGAIN_S and child.state not in SETTLED
            if child.state != state or lingers:
                self._shown[child.name] = (child.state, self._elapsed())
                why = child.last_exit if child.state is State.BACKING_OFF else child.message
                click.echo(f"{self._elapsed():6.1f} s  {child.name:<22} {child.state:<12} {why or child.address}".rstrip(), err=True)


def status_table(
    children: tuple[ChildStatus, ...], title: str | None = None, answers: dict[str, str] | None = None, width: int = WIDE
) -> Table:
    """One row per child. answers: what a live probe said, by name. An answer that begins with "no" is shown as a failure.

    width: columns of the terminal. On a narrow one pid and restarts join the state, and address, answer and note share a column; nothing is cut.
    """
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    if width < WIDE:
        for heading in ("name", "state"):
            table.add_column(heading, no_wrap=True)
        table.add_column("address, answer, note", overflow="fold")
        for child in children:
            table.add_row(child.name, _state(child, narrow=True), _what(child, answers))
        return table
    for heading in ("name", "kind", "state", "pid", "restarts", "since", "address", *(("answers",) if answers is not None else ())):
        table.add_column(heading, justify="right" if heading in ("pid", "restarts") else "left", no_wrap=True)
    table.add_column("note", overflow="fold")  # the one column that gives way
    for child in children:
        said = [] if answers is None else [_answer(answers.get(child.name, ""))]
        table.add_row(
            child.name,
            child.kind,
            _state(child, narrow=False),
            str(child.pid or ""),
            str(child.restarts or ""),
            child.since[11:19],
            child.address,
            *said,
            _note(child),
        )
    return table


def _state(child: ChildStatus, *, narrow: bool) -> Text:
    text = Text(child.state, style=COLOURS[child.state])
    if narrow:
        text.append(f" {child.pid}" if child.pid else "", style="dim")
        text.append(f"\n{child.restarts} restart{'s' if child.restarts > 1 else ''}" if child.restarts else "", style="dim")
    return text


def _what(child: ChildStatus, answers: dict[str, str] | None) -> Text:
    parts = [Text(child.address), _answer((answers or {}).get(child.name, "")), Text(_note(child))]
    return Text("\n").join(part for part in parts if part)


def _note(child: ChildStatus) -> str:
    return (child.message or (f"last exit: {child.last_exit}" if child.last_exit else ""))[:NOTE_CHARACTERS_MAX]


def _answer(text: str) -> Text:
    return Text(text, style="red" if text.startswith("no") else "green")
