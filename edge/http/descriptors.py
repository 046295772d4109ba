"""How many files and sockets this process may have open."""

import resource
from typing import Final

from edge.http.limits import SOCKETS_MAX

OTHERS: Final = 200
"""Descriptors of everything that is no customer's WebSocket: Kafka, the stores, requests, logs."""


def sockets_max() -> int:
    """Raises the limit as far as the system lets it (many begin with 1,024); how many WebSockets it is enough for, SOCKETS_MAX at most."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return SOCKETS_MAX if hard == resource.RLIM_INFINITY else max(1, min(SOCKETS_MAX, hard - OTHERS))
