"""Compare the books' trades with what the account shards settled: two sides each, at the price and quantity of the trade, once. No I/O."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from schemas.codec import FRAMES, Rows
from schemas.enums import ExecKind, Side
from schemas.errors import OutcryError
from schemas.instruments import InstrumentTable
from streams.proofs.money_ledger import CASH, SIDE_DTYPE, Problem, Problems

_SAME: Final = ("account", "order_id", "instrument", "last_px", "last_qty", "cash_delta", "shares_delta")
_EXECUTION: Final = FRAMES["execution_frame"].dtype


@dataclass(frozen=True)
class Settlement:
    """How the books' trades and the accounts' postings compare."""

    trades: int
    busts: int
    """Trades that were undone on both sides."""
    busts_not_posted: int
    """Undone by the book without a posting of either side, because the parties were not named."""
    unsettled: tuple[int, ...]
    """Trades of which a side is missing; trd_match_id."""
    in_flight: dict[int, int]
    """By CASH or instrument: what one side has posted while the other is missing."""


class BookTrades:
    """The trades that the books decided, gathered frame by frame."""

    def __init__(self) -> None:
        self._trades: list[Rows] = []
        self._busts: list[Rows] = []

    def take(self, executions: Rows) -> None:
        """Note the trades of a frame of executions."""
        for kept, kind in ((self._trades, ExecKind.TRADE), (self._busts, ExecKind.TRADE_BUSTED)):
            if len(rows := executions[executions["kind"] == kind]):
                kept.append(rows)

    def trades(self) -> Rows:
        """execution_frame rows of all trades."""
        self._trades = [np.concatenate([np.zeros(0, _EXECUTION), *self._trades])]
        return self._trades[0]

    def busted(self) -> Rows:
        """trd_match_id of all busts."""
        return np.concatenate([np.zeros(0, _EXECUTION), *self._busts])["trd_match_id"]


def expected_sides(trades: Rows, instruments: InstrumentTable) -> Rows:
    """SIDE_DTYPE rows, two per trade, sorted by trade and side. Raises OutcryError for an instrument that the list does not have."""
    unknown = set(np.unique(trades["instrument"]).tolist()) - instruments.by_number.keys()
    if unknown:
        raise OutcryError(
            f"executions has trades of instrument {min(unknown)}, which OUTCRY_INSTRUMENTS_FILE does not have: it is another list"
        )
    sides = np.zeros(2 * len(trades), SIDE_DTYPE)
    first, second = sides[: len(trades)], sides[len(trades) :]
    for one, account, order in ((first, "account", "order_id"), (second, "contra_account", "contra_order_id")):
        one["trd_match_id"], one["instrument"], one["last_px"], one["last_qty"] = (
            trades[c] for c in ("trd_match_id", "instrument", "price", "qty")
        )
        one["account"], one["order_id"] = trades[account], trades[order]
    first["side"], second["side"] = trades["side"], Side.BUY + Side.SELL - trades["side"]
    sign = np.where(sides["side"] == Side.BUY, 1, -1)
    worth = instruments.rules["lot_minor_per_tick"].astype(np.int64)[sides["instrument"]]
    sides["shares_delta"] = sign * sides["last_qty"]
    sides["cash_delta"] = -sign * sides["last_px"] * sides["last_qty"] * worth
    return by_trade(sides)


def check_settlement(expected: Rows, trades: Rows, busts: Rows, busted: Rows, problems: Problems) -> Settlement:
    """Compare: `expected` of the books; `trades` and `busts` as posted; `busted`: trd_match_id of what the books undid."""
    _no_repeats(expected, "the books decided it twice", problems)
    _no_repeats(trades, "a side is settled twice", problems)
    _no_repeats(busts, "a side is undone twice", problems)
    place, known = _places(expected, trades)
    for row in trades[~known]:
        problems.add(_problem(row, "settled, but no book decided it"))
    _same_values(expected[place[known]], trades[known], _SAME, problems)
    there = np.zeros(len(expected), bool)
    there[place[known]] = True
    unsettled = np.unique(expected["trd_match_id"][~there])
    half = there & np.isin(expected["trd_match_id"], unsettled)
    half_busts = _check_busts(trades, busts, busted, problems)
    in_flight = _sums(expected[half], -1)
    for what, amount in _sums(half_busts, -1).items():
        in_flight[what] = in_flight.get(what, 0) + amount
    both = len(np.unique(busts["trd_match_id"])) - len(np.unique(half_busts["trd_match_id"]))
    not_posted = len(np.setdiff1d(busted, busts["trd_match_id"]))
    return Settlement(len(expected) // 2, both, not_posted, tuple(unsettled.tolist()), in_flight)


def _check_busts(trades: Rows, busts: Rows, busted: Rows, problems: Problems) -> Rows:
    """Check that each undone side negates the trade's, and that the book said so. Returns those whose other side is not undone (yet)."""
    place, known = _places(trades, busts)
    for row in busts[~known]:
        problems.add(_problem(row, "undone, but it was not settled"))
    negated = busts[known].copy()
    for name in ("cash_delta", "shares_delta", "fee"):
        negated[name] = -negated[name]
    _same_values(trades[place[known]], negated, ("account", "instrument", "cash_delta", "shares_delta", "fee"), problems)
    for row in busts[~np.isin(busts["trd_match_id"], busted)]:
        problems.add(_problem(row, "undone, but no book said so"))
    ids, counts = np.unique(busts["trd_match_id"], return_counts=True)
    return busts[np.isin(busts["trd_match_id"], ids[counts == 1])]


def _keys(sides: Rows) -> Rows:
    keys: Rows = sides["trd_match_id"] * np.uint64(4) + sides["side"]
    return keys


def by_trade(sides: Rows) -> Rows:
    """By trade and side; by one integer, because numpy compares records field by field."""
    return sides[np.argsort(_keys(sides), kind="stable")]


def _places(sorted_sides: Rows, wanted: Rows) -> tuple[Rows, Rows]:
    """(index in sorted_sides, whether it is there) of each wanted side."""
    if not len(sorted_sides):
        return np.zeros(len(wanted), np.intp), np.zeros(len(wanted), bool)
    keys = _keys(sorted_sides)
    place = np.minimum(np.searchsorted(keys, _keys(wanted)), len(keys) - 1)
    return place, keys[place] == _keys(wanted)


def _no_repeats(sides: Rows, what: str, problems: Problems) -> None:
    keys = _keys(sides)
    for row in sides[1:][keys[1:] == keys[:-1]]:
        problems.add(_problem(row, what))


def _same_values(expected: Rows, found: Rows, names: tuple[str, ...], problems: Problems) -> None:
    wrong = np.zeros(len(found), bool)
    for name in names:
        wrong |= expected[name] != found[name]
    for row in np.flatnonzero(wrong).tolist():
        words = [f"{name} is {found[name][row]}, not {expected[name][row]}" for name in names if found[name][row] != expected[name][row]]
        problems.add(_problem(found[row], f"{Side(int(found['side'][row])).name.lower()} side: {'; '.join(words)}"))


def _problem(row: Rows, what: str) -> Problem:
    return Problem(what, account=int(row["account"]), order_id=int(row["order_id"]), trd_match_id=int(row["trd_match_id"]))


def _sums(sides: Rows, sign: int) -> dict[int, int]:
    """What the sides post, times sign, by CASH and instrument."""
    if not len(sides):
        return {}
    found = {CASH: sign * int(sides["cash_delta"].sum())}
    for number in np.unique(sides["instrument"]).tolist():
        found[number] = sign * int(sides["shares_delta"][sides["instrument"] == number].sum())
    return found
