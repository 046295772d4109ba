"""How tests are shared out to processes: what stays together, and what begins first."""

from collections.abc import Collection
from typing import Final

SERVICES: Final = "services"
"""Whatever shares an exchange that runs until the end, and chaos, in one process and one after the other. So with two processes there are never more than two
sets at once: two cores serve three badly."""
SERVICE_FOLDERS: Final = ("tests/chaos/", "tests/integration/own_sets/", "tests/integration/")
OWN_SETS: Final = SERVICE_FOLDERS[1]
"""Each module, or folder below, starts a set and stops it: the process that is free takes the next."""
PROPERTIES: Final = "tests/properties/"
"""Long tests that share no fixture: each may go anywhere."""


def scope_of(nodeid: str) -> str:
    """What one process runs as a whole: who shares an exchange; else, for its fixtures, a module or a folder of sets."""
    module = nodeid.partition("::")[0]
    if module.startswith(OWN_SETS):
        return OWN_SETS + module.removeprefix(OWN_SETS).partition("/")[0]
    if module.startswith(SERVICE_FOLDERS):
        return SERVICES
    return nodeid if module.startswith(PROPERTIES) else module


def turn_of(nodeid: str, slow: Collection[str]) -> int:
    """The longest work begins first, so that no process is left with it at the end; `slow`: scopes that have a test marked so."""
    scope = scope_of(nodeid)
    if scope == SERVICES:
        return 0 if nodeid.startswith(SERVICE_FOLDERS[0]) else 1
    if scope.startswith(OWN_SETS):
        return 3
    return 2 if scope in slow else 4
