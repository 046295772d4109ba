"""What became of a request, as values. Every protocol of the edge says each of these in its own words. No I/O.

Accepted, Refused and OutcomeUnknown are what a command can come to once it was sent; Unavailable says that it was not sent.
`Outcome` and `Access` are closed: a protocol matches on them and ends with `assert_never`, so mypy finds the one that it forgot.

Inside the gateway, exceptions remain where several levels must be left at once (a full queue, a time-out, a store that is away).
They end here: nothing that a protocol calls raises for what a customer did or for a service that is away.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Generic, TypeVar

from schemas.enums import CommandKind, OrdStatus
from schemas.instruments import Instrument
from schemas.reject_reasons import Reason

T_co = TypeVar("T_co", covariant=True)


class Cause(Enum):
    """Why something is unavailable."""

    LOG_AWAY = auto()
    """Kafka has not been reached."""
    QUEUE_FULL = auto()
    """Too many commands wait for the shard, or it does not answer."""
    SHARD_SILENT = auto()
    """The account's shard did not answer a registration."""
    REGISTERED_TOO_OFTEN = auto()
    STORE_BEHIND = auto()
    """The system of record is too far behind the log for new orders."""
    STORE_AWAY = auto()
    """The system of record cannot be asked."""
    SEARCHES_BUSY = auto()
    """As many searches run as may."""
    MARKET_DATA_BEHIND = auto()
    """Prices of the past are still being read from the log."""
    TOO_MANY_GUESSES = auto()
    """Too many wrong secrets; the one that came now was not looked at."""
    TOO_MANY_REQUESTS = auto()
    """The key's own limit."""


@dataclass(frozen=True, slots=True)
class ShortOfCash:
    """What the account could have spent, in minor units."""

    available: int


@dataclass(frozen=True, slots=True)
class ShortOfShares:
    """What was to be sold and what the account could have sold, in lots."""

    instrument: Instrument
    requested: int
    available: int


@dataclass(frozen=True, slots=True)
class AlreadyDone:
    """The order's status: nothing can change it any more."""

    status: OrdStatus


@dataclass(frozen=True, slots=True)
class Accepted(Generic[T_co]):
    """Done, or passed on to the book. `value` is what was asked for."""

    value: T_co


@dataclass(frozen=True, slots=True)
class Refused:
    """The exchange decided against it: nothing was done. The reason's sentence is in schemas.reject_reasons."""

    reason: Reason
    what: ShortOfCash | ShortOfShares | AlreadyDone | None = None
    """The facts behind the reason, where it has some."""
    where: int = 0
    """Which order of the request, from 0: the one for which all of its list was refused."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Not now: nothing was sent and nothing was done. The same request may succeed in `retry_after_s` seconds."""

    cause: Cause
    text: str
    """A sentence for a person."""
    retry_after_s: float = 1.0


@dataclass(frozen=True, slots=True)
class OutcomeUnknown:
    """A command of this kind was sent and its decision did not come in time, so it may have been done or not.

    A new order may be sent again with the same cl_ord_id: it returns the first decision and never makes a second order.
    """

    kind: CommandKind


@dataclass(frozen=True, slots=True)
class Denied:
    """It is not known who asks: the API key is unknown or its secret is wrong (which of the two is not told)."""

    text: str = ""
    """What else is in the way, for somebody who knows the secret."""


Outcome = Accepted[T_co] | Refused | Unavailable | OutcomeUnknown
"""Of a command; what is only read has some of these."""
Access = Accepted[T_co] | Denied | Unavailable
"""Of showing who one is."""
