"""Choose free ports and remember them, so that a restart on existing data gets the same addresses if possible."""

import json
import random
import socket
from pathlib import Path

from schemas.errors import ServiceUnavailable
from streams.process.files import write_atomically
from streams.services.recipes.packages import exclusive
from streams.services.recipes.recipe import read_json

# Below the range from which Linux takes the near end of outgoing connections (32768 up): a port that is free now must not be
# taken by somebody's connection before the service binds it.
RANGE = range(20_000, 32_000)
ATTEMPTS_MAX = 200


def is_free(port: int) -> bool:
    """True if a server could bind the port on loopback now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def choose(data_dir: Path, names: list[str]) -> dict[str, int]:
    """A free port for each name; the remembered one if it is still free. Raises ServiceUnavailable if there is none."""
    path = data_dir / "ports.json"
    with exclusive(data_dir / "ports.lock"):
        remembered: dict[str, int] = read_json(path) if path.exists() else {}
        chosen: dict[str, int] = {}
        for name in names:
            others = {port for other, port in {**remembered, **chosen}.items() if other != name}
            known = remembered.get(name)
            chosen[name] = known if known is not None and is_free(known) else _free_port(others)
        write_atomically(path, json.dumps({**remembered, **chosen}, indent=1))
    return chosen


def _free_port(taken: set[int]) -> int:
    for _ in range(ATTEMPTS_MAX):
        port = random.choice(RANGE)  # noqa: S311 - no secret
        if port not in taken and is_free(port):
            return port
    raise ServiceUnavailable(f"no free port found between {RANGE.start} and {RANGE.stop} on 127.0.0.1")
