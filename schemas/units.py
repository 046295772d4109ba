"""Units, and exact conversion between decimal text and integers. No float anywhere.

Every price, quantity, amount and time is a plain integer whose name or docstring says its unit:

* ticks: a price (`price`, `*_px`), as a number of the instrument's ticks;
* lots: a quantity (`qty`, `*_qty`, `position`), as a number of the instrument's lots;
* minor units: an amount of cash (`cash`, `*_minor`), in 1/10,000 of the currency;
* ns: a point in time (`*_ns`, `*_time`, `*_at`), nanoseconds since 1970-01-01T00:00Z.
"""

from decimal import Decimal, InvalidOperation

MINOR_PER_UNIT = 10_000
NANOS_PER_SECOND = 1_000_000_000
BASIS_POINTS = 10_000
"""That make the whole."""


class NotANumber(ValueError):
    """The text is not a finite decimal number."""


class NotAMultiple(ValueError):
    """The number is not a whole multiple of the step (tick, lot or minor unit)."""


class OutOfRange(NotAMultiple):
    """The number is beyond 64 bits of steps."""


def to_decimal(text: str | int | Decimal) -> Decimal:
    """The exact finite decimal in the text. Raises NotANumber for anything else (NaN and Infinity too)."""
    try:
        number = Decimal(text)
    except (InvalidOperation, TypeError, ValueError):
        raise NotANumber(f"{text!r} is not a decimal number") from None
    if not number.is_finite():
        raise NotANumber(f"{text!r} is not a finite number")
    return number


def to_steps(number: Decimal, step: Decimal) -> int:
    """`number` as an exact count of `step`. Raises NotAMultiple if it is not whole, OutOfRange if it needs more than 64 bits."""
    if abs(number.adjusted()) > 30:  # keeps the division exact within decimal's precision; far beyond every limit
        raise OutOfRange(f"{number} is out of range")
    steps = number / step
    if steps != steps.to_integral_value() or steps * step != number:  # the quotient of a longer number is rounded, perhaps to a whole one
        raise NotAMultiple(f"{number} is not a multiple of {step}")
    if abs(steps) >= 1 << 62:
        raise OutOfRange(f"{number} is out of range")
    return int(steps)


def from_steps(steps: int, step: Decimal) -> str:
    """Decimal text of `steps` x `step`, without exponent or trailing zeros, at least as precise as a cent where the step is finer than 1."""
    value = step * steps
    text = f"{value:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text


def minor_to_text(amount: int) -> str:
    """Decimal text of an amount of cash, two decimals or as many as it needs."""
    sign, amount = ("-", -amount) if amount < 0 else ("", amount)
    whole, part = divmod(amount, MINOR_PER_UNIT)
    digits = f"{part:04d}"
    return f"{sign}{whole}.{digits[:2]}{digits[2:].rstrip('0')}"
