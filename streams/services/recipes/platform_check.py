"""Where the service packages exist: Linux on x86_64."""

import platform
import sys

from schemas.errors import OutcryError

COMPOSE_HINT = (
    "use the containers instead: docker compose -f docker/compose.yaml up, or set OUTCRY_KAFKA_URL and the like to existing servers"
)


def problem() -> str | None:
    """Why the packages do not run here, or None if they do."""
    system, machine = sys.platform, platform.machine()
    if system == "linux" and machine in ("x86_64", "AMD64"):
        return None
    return f"the local services are packaged for Linux on x86_64, this is {system} on {machine}: {COMPOSE_HINT}"


def require() -> None:
    """Raises OutcryError naming the way that works here."""
    if (found := problem()) is not None:
        raise OutcryError(found)
