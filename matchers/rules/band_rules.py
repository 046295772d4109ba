"""The numbers of Limit Up-Limit Down: docs/rules.md, section 6, has their source; books.reference.bands says what is done with them."""

from typing import Final

from schemas.units import MINOR_PER_UNIT, NANOS_PER_SECOND

WINDOW_SECONDS: Final = 300
"""Whole seconds of log time whose trades make the reference price, the present one included."""
MOVE_EVERY_NS: Final = 30 * NANOS_PER_SECOND
LIMIT_STATE_NS: Final = 15 * NANOS_PER_SECOND
PAUSE_NS: Final = 300 * NANOS_PER_SECOND
DOUBLED_NS: Final = 25 * 60 * NANOS_PER_SECOND
"""Before the close, bands are doubled for Tier 1, and for Tier 2 at or below THREE_UNITS."""

THREE_UNITS: Final = 3 * MINOR_PER_UNIT
LOW_PRICED: Final = MINOR_PER_UNIT * 3 // 4
LOW_PRICED_WIDTH: Final = MINOR_PER_UNIT * 15 // 100
