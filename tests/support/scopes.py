"""How tests are shared out to processes: what stays together, and what begins first."""

from collections.abc import Collection
from typing import Final

SHARED: Final = "tests/integration/"
"""Tests of these folders share one running exchange, but for those that start services of their own."""
OWN_SETS: Final = "tests/integration/own_sets/"
PROPERTIES: Final = "tests/properties/"
"""Long tests that share no fixture: each may go anywhere."""
CHAOS: Final = "tests/chaos/"


def scope_of(nodeid: str) -> str:
    """What one process runs as a whole, for its fixtures: what shares the exchange, a folder of what shares a set of its own, else a module."""
    module = nodeid.partition("::")[0]
    if module.startswith(OWN_SETS):
        return OWN_SETS + module.removeprefix(OWN_SETS).partition("/")[0]
    if module.startswith(SHARED):
        return SHARED
    return nodeid if module.startswith(PROPERTIES) else module


def turn_of(scope: str, slow: Collection[str]) -> int:
    """The longest work begins first, so that no process is left with it at the end; `slow`: scopes that have a test marked so."""
    if scope == SHARED:
        return 0
    return 1 if scope.startswith((CHAOS, OWN_SETS)) else 2 if scope in slow else 3
