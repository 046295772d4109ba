"""Why the exchange closes a connection, and whether the client should come back. No I/O."""

from enum import IntEnum
from typing import Any


class Close(IntEnum):
    """Codes of the close frame. 1012 and 4000 to 4499: come back, 4500 to 4999: not before something is changed."""

    SHUTDOWN = 1012
    """This process ends; another one is there, or will be."""
    HISTORY_LOST = 4000
    """Private events may have been missed: subscribe again."""
    SLOW = 4008
    """The client did not read. Resume from its places."""
    TOO_MANY = 4009
    """No room for the connection now."""
    LOGON_TIMEOUT = 4501
    """Nothing was asked in time."""
    KEY_CHANGED = 4503
    """The API key was changed or withdrawn."""

    @property
    def come_back(self) -> bool:
        """Whether the client should connect again by itself."""
        return self < 4500


def closing(code: Close) -> dict[str, Any]:
    """The last message before the close frame."""
    return {"event": "closing", "code": int(code), "reason": code.name.lower(), "come_back": code.come_back}
