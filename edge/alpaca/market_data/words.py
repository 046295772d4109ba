"""Alpaca's codes for what a market-data row says: trading statuses, their reasons, conditions of trades and quotes, LULD indicators. No I/O.

The codes are those of the UTP plan (tape C), which Alpaca passes on. UTP has none for a limit state, so that one is CTA's.
"""

from typing import Final

from edge.gateway.market.events import BandUpdate
from schemas.enums import Phase
from schemas.reject_reasons import Reason

_HALT: Final = ("H", "Trading Halt")
_QUOTES: Final = ("Q", "Quotation Resumption")

STATUS_OF_PHASE: Final[dict[Phase, tuple[str, str]]] = {
    Phase.CLOSED: _HALT,
    Phase.PRE_OPEN: _QUOTES,
    Phase.OPENING_AUCTION: _QUOTES,
    Phase.CONTINUOUS: ("T", "Trading Resumption"),
    Phase.CLOSING_AUCTION: _QUOTES,
    Phase.POST_CLOSE: _HALT,
    Phase.HALTED: _HALT,
    Phase.CANCEL_ONLY: _HALT,
    Phase.VOLATILITY_AUCTION: _QUOTES,
}
"""(status code, status message) of every phase."""

STATUS_OF_REASON: Final[dict[Reason, tuple[str, str]]] = {
    Reason.LULD_PAUSE: ("P", "Volatility Trading Pause"),
    Reason.LIMIT_STATE: ("F", "Limit Up-Limit Down"),
}
"""Where the reason says more than the phase."""

REASON_CODE: Final[dict[Reason, str]] = {Reason.REGULATORY_HALT: "H11", Reason.LULD_PAUSE: "LUDP"}
"""Others have no code: a market-wide halt has one for each level, which our reason does not tell. Our field `reason` has the name of each."""

CONDITIONS_OF_AUCTION: Final[dict[Phase, list[str]]] = {
    Phase.PRE_OPEN: ["@", "O"],
    Phase.OPENING_AUCTION: ["@", "O"],
    Phase.CLOSING_AUCTION: ["@", "6"],
    Phase.VOLATILITY_AUCTION: ["@", "5"],
}
"""Opening, closing and re-opening print."""

REGULAR_TRADE: Final = ["@"]
CROSS_TRADE: Final = ["@", "X"]
"""Of an auction of the past, of which a trade does not say which it was."""
OPENING_PHASES: Final = (Phase.PRE_OPEN, Phase.OPENING_AUCTION)
CLOSING_PHASES: Final = (Phase.CLOSING_AUCTION,)
"""Call phases that end in the day's opening and closing print."""
TRADE_CONDITIONS: Final = {
    "@": "Regular Sale", "O": "Opening Prints", "6": "Closing Prints", "5": "Re-Opening Prints", "X": "Cross Trade",
}  # fmt: skip
QUOTE_CONDITIONS: Final = {"R": "Regular, two-sided", "N": "Non-firm quote"}
"""Every code that a trade or a quote here has."""
REGULAR_QUOTE: Final = ["R"]
NON_FIRM_QUOTE: Final = ["N"]
"""Outside continuous trading: it may be crossed, and nobody trades at it."""


def status_words(phase: Phase, reason: Reason) -> tuple[str, str]:
    """(status code, status message)."""
    return STATUS_OF_REASON.get(reason) or STATUS_OF_PHASE[phase]


LULD_INDICATOR: Final = {
    BandUpdate.OPENING: "A",
    BandUpdate.INTRADAY: "B",
    BandUpdate.SUSPENDED: "D",
    BandUpdate.REOPENING: "E",
    BandUpdate.OUTSIDE_HOURS: "F",
}
"""Why bands are told."""
