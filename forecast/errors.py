"""What a forecast refuses."""

from schemas.errors import OutcryError


class BadLoad(OutcryError):
    """A measured load that cannot be: the message says which, when and why. Nothing of it was taken."""


class BadCosts(OutcryError):
    """A file of costs that cannot be read; the message says what is wrong and where."""
