"""Show the running session: a live screen on a terminal, one line every two seconds elsewhere."""

from dataclasses import dataclass, field
from decimal import Decimal
from types import TracebackType
from typing import Final, Self

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table

LINE_EVERY_S: Final = 2.0
BOOK_DEPTH: Final = 8


@dataclass(frozen=True)
class Pulse:
    """The session at one moment. Latencies (ms) are of the orders since the last pulse; None: no samples."""

    elapsed_s: float
    session_s: float
    orders_http: int
    orders_topic: int
    trades: int
    orders_per_s: float
    trades_per_s: float
    execution_p50_ms: float | None
    execution_p99_ms: float | None
    symbol: str
    bids: list[tuple[Decimal, int]] = field(default_factory=list)
    asks: list[tuple[Decimal, int]] = field(default_factory=list)
    last_trades: list[tuple[str, str, Decimal, int]] = field(default_factory=list)
    alerts: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)


class View:
    """A context manager; call it with each pulse. `line_every_s`: see LINE_EVERY_S."""

    def __init__(self, console: Console, title: str, line_every_s: float = LINE_EVERY_S) -> None:
        self._console, self._title, self._line_every_s = console, title, line_every_s
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._next_line_s = 0.0
        self._told = 0

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)

    def __call__(self, pulse: Pulse) -> None:
        """Show the pulse, or print it as a line if the last line is old enough."""
        if self._live is not None:
            self._live.update(screen(self._title, pulse), refresh=True)
            return
        for event in pulse.events[self._told :]:
            self._console.print(event, highlight=False)
        self._told = len(pulse.events)
        if pulse.elapsed_s >= self._next_line_s:
            self._next_line_s = pulse.elapsed_s + self._line_every_s
            self._console.print(line(pulse), highlight=False, soft_wrap=True)


def line(pulse: Pulse) -> str:
    """One line of progress."""
    best = f"{pulse.symbol} {_best(pulse.bids)} / {_best(pulse.asks)}"
    return (
        f"{pulse.elapsed_s:5.1f} s  {pulse.orders_http + pulse.orders_topic} orders ({pulse.orders_per_s:.0f}/s)  "
        f"{pulse.trades} trades ({pulse.trades_per_s:.0f}/s)  order to execution p50 {_ms(pulse.execution_p50_ms)} "
        f"p99 {_ms(pulse.execution_p99_ms)}  {best}  {len(pulse.alerts)} alerts"
    )


def screen(title: str, pulse: Pulse) -> RenderableType:
    """The whole picture."""
    figures = Table.grid(padding=(0, 2))
    rows: dict[str, str] = {
        "time": f"{pulse.elapsed_s:.0f} of {pulse.session_s:.0f} s",
        "orders": f"{pulse.orders_http} over HTTP, {pulse.orders_topic} to the topic, {pulse.orders_per_s:.0f}/s",
        "trades": f"{pulse.trades}, {pulse.trades_per_s:.0f}/s",
        "order to execution": f"p50 {_ms(pulse.execution_p50_ms)}, p99 {_ms(pulse.execution_p99_ms)}",
    }
    for name, text in rows.items():
        figures.add_row(f"[bold]{name}", text)
    parts = [Panel(_book(pulse), title=f"{pulse.symbol} book"), Panel(_trades(pulse), title="last trades")]
    alerts = Panel("\n".join(pulse.alerts[-4:]) or "none yet", title="alerts", border_style="red" if pulse.alerts else "dim")
    events = [Panel("\n".join(pulse.events[-4:]), title="events")] if pulse.events else []
    return Group(f"[bold]{title}", figures, Columns(parts), alerts, *events)


def _book(pulse: Pulse) -> Table:
    table = Table.grid(padding=(0, 1))
    for _ in range(4):
        table.add_column(justify="right", min_width=7)
    for row in range(BOOK_DEPTH):
        bid, ask = (side[row] if row < len(side) else None for side in (pulse.bids, pulse.asks))
        table.add_row(*((f"{bid[1]}", f"[green]{bid[0]}") if bid else ("", "")), *((f"[red]{ask[0]}", f"{ask[1]}") if ask else ("", "")))
    return table


def _trades(pulse: Pulse) -> Table:
    table = Table.grid(padding=(0, 1))
    for at, symbol, price, qty in reversed(pulse.last_trades[-BOOK_DEPTH:]):
        table.add_row(at, symbol, f"{price}", f"{qty}")
    return table


def _best(side: list[tuple[Decimal, int]]) -> str:
    return f"{side[0][0]}" if side else "-"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"
