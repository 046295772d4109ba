"""How tests are shared out to processes: what stays together, and what begins first."""

from collections.abc import Collection
from typing import Final

SERVICES: Final = "services"
"""Whatever starts services, in one process and one after the other: two cores serve one set well, and two or three badly."""
SERVICE_FOLDERS: Final = ("tests/chaos/", "tests/integration/own_sets/", "tests/integration/")
"""In the order of their turns: the last one's tests share an exchange that runs until the end."""
PROPERTIES: Final = "tests/properties/"
"""Long tests that share no fixture: each may go anywhere."""


def scope_of(nodeid: str) -> str:
    """What one process runs as a whole: all that starts services; else, for its fixtures, a module."""
    module = nodeid.partition("::")[0]
    if module.startswith(SERVICE_FOLDERS):
        return SERVICES
    return nodeid if module.startswith(PROPERTIES) else module


def turn_of(nodeid: str, slow: Collection[str]) -> int:
    """The longest work begins first, so that no process is left with it at the end; `slow`: scopes that have a test marked so."""
    for turn, folder in enumerate(SERVICE_FOLDERS):
        if nodeid.startswith(folder):
            return turn
    return len(SERVICE_FOLDERS) + (scope_of(nodeid) not in slow)
