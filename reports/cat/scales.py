"""Prices and quantities of an instrument as the numbers of a report. No I/O."""

from decimal import Decimal

import orjson

from schemas.instruments import Instrument


class Scale:
    """Prices and quantities of one instrument as numbers whose shortest text is the exact decimal."""

    def __init__(self, instrument: Instrument) -> None:
        self.symbol = instrument.symbol
        self._price_texts: dict[int, str] = {}
        self._qty_texts: dict[int, str] = {}
        (self._tick, self._ticks_to), (self._lot, self._lots_to) = (_ratio(step) for step in (instrument.tick_size, instrument.lot_size))

    def price(self, ticks: int) -> float:
        """Of ticks. Both parts are below 2^53, so the quotient is the double nearest to the decimal."""
        return ticks * self._tick / self._ticks_to

    def qty(self, lots: int) -> int | float:
        """Of lots."""
        return lots * self._lot if self._lots_to == 1 else lots * self._lot / self._lots_to

    def price_text(self, ticks: int) -> str:
        """As JSON has it. A day has few prices and quantities, so their texts are kept."""
        found = self._price_texts.get(ticks)
        if found is None:
            found = self._price_texts[ticks] = orjson.dumps(self.price(ticks)).decode()
        return found

    def qty_text(self, lots: int) -> str:
        """As JSON has it."""
        found = self._qty_texts.get(lots)
        if found is None:
            found = self._qty_texts[lots] = orjson.dumps(self.qty(lots)).decode()
        return found


def _ratio(step: Decimal) -> tuple[int, int]:
    return step.as_integer_ratio() if step == step.to_integral_value() else _tenths(step)


def _tenths(step: Decimal) -> tuple[int, int]:
    """As a whole number over a power of ten."""
    exponent = step.normalize().as_tuple().exponent
    assert isinstance(exponent, int), "a step is finite"
    return int(step.scaleb(-exponent)), 10**-exponent
