"""The two book engines by name, behind one interface: the readable reference and the numba kernel."""

from collections.abc import Callable
from typing import Any, Final, Protocol

from matchers.rules.outputs import BookOutput
from schemas.codec import Rows
from schemas.instruments import InstrumentTable


class BookEngine(Protocol):
    """What both book shards can do; books.reference.shard has the rules."""

    @property
    def log_time(self) -> int:
        """ns; the latest transact_time seen."""
        ...

    @property
    def last_seq(self) -> int:
        """Number of the latest execution row."""
        ...

    def apply(self, rows: Rows) -> BookOutput:
        """Apply book_command_frame rows."""
        ...

    def state_hash(self) -> bytes:
        """16 bytes over the canonical state."""
        ...

    def snapshot(self) -> dict[str, Rows]:
        """The whole state as named arrays."""
        ...


def _reference() -> Any:
    from matchers.books.reference.shard import BookShard

    return BookShard


def _kernel() -> Any:
    from matchers.books.shard import BookShard  # numba takes a second to import; who asks for the reference does not wait for it

    return BookShard


_ENGINES: Final[dict[str, Callable[[], Any]]] = {"reference": _reference, "kernel": _kernel}
ENGINE_NAMES: Final = tuple(_ENGINES)


def make_engine(name: str, instruments: InstrumentTable, *, levels: bool = True) -> BookEngine:
    """One book shard with the books of every instrument, all CLOSED. `levels`: whether it writes LEVEL and TOP rows.

    Raises ValueError for a name that is not in ENGINE_NAMES.
    """
    if name not in _ENGINES:
        raise ValueError(f"engine is {name!r}, not one of {', '.join(ENGINE_NAMES)}")
    engine: BookEngine = _ENGINES[name]()(0, instruments, 1, levels=levels)
    return engine
