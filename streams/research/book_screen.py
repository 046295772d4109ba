"""A BookView for people and programs: a table with depth bars on a terminal, plain columns where output is piped, and JSON."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from matchers.research.book_view import BookView, LevelView, OrderView
from matchers.state.canonical_hash import Place
from schemas.enums import Side
from schemas.instruments import Instrument
from schemas.units import NANOS_PER_SECOND

BAR_CELLS: Final = 16
PLAIN_COLUMNS: Final = 160
"""Width of piped output, so that nothing is cut."""
_SIDE_STYLE: Final = {Side.BUY: "green", Side.SELL: "red"}
_WAITING: Final = {
    Place.DORMANT: "dormant stops", Place.PARKED: "parked pegs", Place.SECONDARY: "waiting secondaries", Place.CLOSING: "orders for the close",
}  # fmt: skip
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


@dataclass(frozen=True)
class Shown:
    """A view, and what else is known to whoever shows it."""

    view: BookView
    instrument: Instrument
    where: str
    """Which moment this is."""
    account: int = 0
    """Whose orders are marked; 0: nobody's."""
    entered_at: Mapping[int, int] = field(default_factory=dict)
    """order_id -> ns."""
    name_of: Callable[[int], str | None] = lambda _order_id: None
    """order_id -> cl_ord_id."""


def age_text(nanos: int) -> str:
    """A span of time in its largest unit, seconds with milliseconds."""
    seconds = nanos / NANOS_PER_SECOND
    for size, unit in _UNITS[:-1]:
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.3f} s"


def price_text(one: Instrument, ticks: int) -> str:
    """Decimal text with every decimal of the tick, so that columns line up."""
    exponent = one.tick_size.normalize().as_tuple().exponent
    assert isinstance(exponent, int), "a tick is finite"
    return f"{one.tick_size * ticks:.{max(-exponent, 0)}f}"


# ---- tables


def show_book(shown: Shown, depth: int, console: Console) -> None:
    """The head of the book and its best `depth` levels, bids on the left, asks on the right."""
    view, one = shown.view, shown.instrument
    console.print(Text(f"{one.symbol}  {view.phase.name}  {shown.where}", style="bold"))
    for line in _facts(shown):
        console.print(Text(line))
    bids, asks = (_side_rows(shown, side, depth) for side in (Side.BUY, Side.SELL))
    largest = max((level.qty for level in (*view.bids[:depth], *view.asks[:depth])), default=1) or 1
    own = bool(shown.account)
    table = _table(console)
    left = (("own", own), ("cumulative", True), ("orders", True), ("qty", True), ("", True), ("bid", True))
    right = (("ask", True), ("", True), ("qty", True), ("orders", True), ("cumulative", True), ("own", own))
    for name, wanted in left:
        if wanted:
            table.add_column(name, justify="right", no_wrap=True)
    for name, wanted in right:
        if wanted:
            table.add_column(name, justify="left" if name in ("ask", "") else "right", no_wrap=True)
    for row in range(max(len(bids), len(asks))):
        cells = _cells(bids, row, largest, Side.BUY, own=own)[::-1] + _cells(asks, row, largest, Side.SELL, own=own)
        table.add_row(*cells)
    console.print(table)
    for side in Side:
        more = len(view.levels(side)) - depth
        if more > 0:
            console.print(Text(f"{more:,} more {'bid' if side == Side.BUY else 'ask'} levels (--depth)", style="dim"))


def show_queue(shown: Shown, price: int, console: Console) -> None:
    """The orders of one price in priority, and the displayed and hidden quantity of each."""
    levels = shown.view.level(price)
    text = price_text(shown.instrument, price)
    if not levels:
        console.print(f"no order rests at {text}")
        return
    for side, level in levels:
        console.print(
            Text(f"{side.name} {text}: {len(level.orders):,} orders, {shown.instrument.qty_text(level.qty)} displayed", style="bold")
        )
        table = _table(console)
        for name in ("", "place", "order_id", "cl_ord_id", "account", "type", "leaves", "displayed", "hidden", "age"):
            table.add_column(name, justify="left" if name in ("", "cl_ord_id", "type") else "right", no_wrap=True)
        for place, order in enumerate(level.orders, 1):
            table.add_row(*_order_cells(shown, place, order), style=_SIDE_STYLE[side] if order.account == shown.account else None)
        console.print(table)


def _order_cells(shown: Shown, place: int, order: OrderView) -> list[str]:
    qty_text = shown.instrument.qty_text
    return [
        "*" if order.account == shown.account else "", str(place), str(order.order_id), shown.name_of(order.order_id) or "", str(order.account),
        f"{order.ord_type.name} {order.time_in_force.name}", qty_text(order.leaves_qty), qty_text(order.shown_qty),
        qty_text(order.leaves_qty - order.shown_qty), _age(shown, order),
    ]  # fmt: skip


def _age(shown: Shown, order: OrderView) -> str:
    entered = shown.entered_at.get(order.order_id)
    return "" if not entered else age_text(shown.view.log_time - entered)


def _table(console: Console) -> Table:
    return Table(box=SIMPLE_HEAD if console.is_terminal else None, pad_edge=False, header_style="dim" if console.is_terminal else "")


def _facts(shown: Shown) -> list[str]:
    view, one = shown.view, shown.instrument
    last = price_text(one, view.last_px) if view.last_px else "none today"
    prices = [f"last {last}", f"reference {price_text(one, view.reference_px)}"]
    if view.band_low or view.band_high:
        prices.append(f"bands {price_text(one, view.band_low)} to {price_text(one, view.band_high)}")
    if view.limit_side is not None:
        prices.append(f"limit state on the {view.limit_side.name} side")
    found = ["  ".join(prices)]
    if view.indicative.price or view.indicative.imbalance:
        found.append(_indicative(shown))
    if view.market_orders:
        lots = {side: sum(order.leaves_qty for order in view.market_orders if order.side == side) for side in Side}
        found.append(f"market orders wait: {one.qty_text(lots[Side.BUY])} to buy, {one.qty_text(lots[Side.SELL])} to sell")
    waiting = [f"{view.count(place):,} {what}" for place, what in _WAITING.items() if view.count(place)]
    return [*found, ", ".join(waiting)] if waiting else found


def _indicative(shown: Shown) -> str:
    indicative, one = shown.view.indicative, shown.instrument
    where = f"at {price_text(one, indicative.price)}, volume {one.qty_text(indicative.volume)}" if indicative.price else "nowhere"
    side = indicative.imbalance_side
    return f"would uncross {where}" + (f", {one.qty_text(indicative.imbalance)} left to {side.name.lower()}" if side is not None else "")


@dataclass(frozen=True)
class _Row:
    level: LevelView
    price: str
    qty: str
    cumulative: str
    own: str


def _side_rows(shown: Shown, side: Side, depth: int) -> list[_Row]:
    one, total, rows = shown.instrument, 0, []
    for level in shown.view.levels(side)[:depth]:
        total += level.qty
        mine = level.qty_of(shown.account) if shown.account else 0
        rows.append(
            _Row(
                level, price_text(one, level.price), one.qty_text(level.qty), one.qty_text(total), f"{one.qty_text(mine)} *" if mine else ""
            )
        )
    return rows


def _cells(rows: list[_Row], row: int, largest: int, side: Side, *, own: bool) -> list[Text | str]:
    """From the middle of the table outwards."""
    if row >= len(rows):
        return [""] * (6 if own else 5)
    one = rows[row]
    bar = "█" * max(round(BAR_CELLS * one.level.qty / largest), 1 if one.level.qty else 0)
    cells: list[Text | str] = [
        Text(one.price, style=f"bold {_SIDE_STYLE[side]}"),
        Text(bar, style=_SIDE_STYLE[side]),
        one.qty,
        f"{one.level.order_count:,}",
        one.cumulative,
    ]
    return [*cells, one.own] if own else cells


# ---- JSON


def book_json(shown: Shown, depth: int, queue: int | None) -> dict[str, Any]:
    """The same as an object: names, decimal text, times in ns. `queue`: the price (ticks) whose orders are listed."""
    view, one = shown.view, shown.instrument
    found: dict[str, Any] = {
        "symbol": one.symbol, "at": shown.where, "phase": view.phase.name, "phase_end": view.phase_end, "log_time": view.log_time, "seq": view.seq,
        "last_px": _price(one, view.last_px), "reference_px": _price(one, view.reference_px), "band_low": _price(one, view.band_low),
        "band_high": _price(one, view.band_high), "limit_side": None if view.limit_side is None else view.limit_side.name,
        "indicative": {
            "price": _price(one, view.indicative.price), "volume": one.qty_text(view.indicative.volume),
            "imbalance_side": None if view.indicative.imbalance_side is None else view.indicative.imbalance_side.name,
            "imbalance": one.qty_text(view.indicative.imbalance),
        },
        "dormant_stops": view.count(Place.DORMANT), "parked_pegs": view.count(Place.PARKED), "secondaries": view.count(Place.SECONDARY),
        "for_the_close": view.count(Place.CLOSING), "market_orders": [_order_json(shown, order) for order in view.market_orders],
        "bids": _levels_json(shown, Side.BUY, depth), "asks": _levels_json(shown, Side.SELL, depth),
    }  # fmt: skip
    if queue is not None:
        found["queue"] = [_order_json(shown, order) for _, level in view.level(queue) for order in level.orders]
    return found


def _price(one: Instrument, ticks: int) -> str | None:
    return one.price_text(ticks) if ticks else None


def _levels_json(shown: Shown, side: Side, depth: int) -> list[dict[str, Any]]:
    one, total, found = shown.instrument, 0, []
    for level in shown.view.levels(side)[:depth]:
        total += level.qty
        entry = {
            "price": one.price_text(level.price), "qty": one.qty_text(level.qty), "order_count": level.order_count, "cumulative": one.qty_text(total),
            "reserve_qty": one.qty_text(level.reserve_qty),
        }  # fmt: skip
        found.append(entry | ({"own_qty": one.qty_text(level.qty_of(shown.account))} if shown.account else {}))
    return found


def _order_json(shown: Shown, order: OrderView) -> dict[str, Any]:
    one = shown.instrument
    return {
        "order_id": order.order_id, "cl_ord_id": shown.name_of(order.order_id), "account": order.account, "side": order.side.name,
        "ord_type": order.ord_type.name, "time_in_force": order.time_in_force.name, "price": _price(one, order.price),
        "leaves_qty": one.qty_text(order.leaves_qty), "displayed_qty": one.qty_text(order.shown_qty), "entry": order.entry,
        "entered_at": shown.entered_at.get(order.order_id),
    }  # fmt: skip
