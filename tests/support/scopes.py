"""How tests are shared out to processes: what stays together, and what begins first."""

from collections.abc import Collection
from typing import Final

SERVICES: Final = "services"
"""Whatever shares an exchange that runs until the end, in one process and one after the other."""
SHARED_SET: Final = "tests/integration/"
CHAOS: Final = "tests/chaos/"
OWN_SETS: Final = "tests/integration/own_sets/"
"""Each module, or folder below, starts a set and stops it, as those of CHAOS do: the process that is free takes the next."""
PROPERTIES: Final = "tests/properties/"
"""Long tests that share no fixture: each may go anywhere."""


def scope_of(nodeid: str) -> str:
    """What one process runs as a whole: who shares an exchange; else, for its fixtures, a module or a folder of sets."""
    module = nodeid.partition("::")[0]
    if module.startswith(OWN_SETS):
        return OWN_SETS + module.removeprefix(OWN_SETS).partition("/")[0]
    if module.startswith(SHARED_SET):
        return SERVICES
    return nodeid if module.startswith(PROPERTIES) else module


def turn_of(nodeid: str, slow: Collection[str]) -> int:
    """The longest work begins first, so that no process is left with it at the end; `slow`: scopes that have a test marked so."""
    scope = scope_of(nodeid)
    if scope == SERVICES:
        return 0
    if scope.startswith(CHAOS):
        return 1
    if scope.startswith(OWN_SETS):
        return 3
    return 2 if scope in slow else 4
