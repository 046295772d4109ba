"""What a protocol gives the fan-out: a conversation for each client, a voice for each kind of them."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, Protocol

POLICY_VIOLATION: Final = 1008
Answered = bool | None
"""True: a limit of its own counts the message, so it costs nothing of the socket's pace."""


class Conversation(Protocol):
    """What one kind of WebSocket says and hears; it speaks by the Connection that it was made with."""

    @property
    def authenticated(self) -> bool:
        """Whether the client has shown who it is, or need not."""

    def begin(self) -> None:
        """The first word, if there is one."""

    def take(self, data: str | bytes) -> Answered | Coroutine[Any, Any, Answered]:
        """One message of the client; what has to wait for something is awaited, in a task."""

    def too_late(self) -> None:
        """The client has not authenticated in time: say so and end."""

    def too_many(self) -> None:
        """There is no room for the connection: say so and end."""

    def leave(self) -> None:
        """The connection has ended: no more messages to it. Called once."""


@dataclass(frozen=True, slots=True)
class Voice:
    """How all connections of one kind and encoding speak. A client that is too slow gets `farewell` and `slow_code`; `going_code`: its own where all end."""

    opcode: int
    farewell: bytes
    on_slow: Callable[[], None]
    slow_code: int = POLICY_VIOLATION
    going_code: int = 0
