"""The files in run_dir in which roles announce their addresses, for the supervisor, for `status` and for tools."""

import json
from pathlib import Path

from schemas.errors import ServiceUnavailable

EVERY_ADDRESS = ("", "0.0.0.0", "::")  # noqa: S104 - a role that listens on all is asked on loopback
KEPT = ("wanted.json", "status.json", "services.json")
"""Other files there when the supervisor starts. All others belong to dead children."""


def role_address(path: Path, pid: int) -> str:
    """Base address of a role from the file it writes, {"pid": ..., "port": ...[, "host": ...]}. Raises ServiceUnavailable until it has."""
    try:
        found = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError) as error:
        raise ServiceUnavailable(f"has not written {path} yet") from error
    if found.get("pid") != pid:
        raise ServiceUnavailable(f"{path} is of pid {found.get('pid')}, not yet of this process")
    host = str(found.get("host", ""))
    return f"http://{host if host not in EVERY_ADDRESS else '127.0.0.1'}:{found['port']}"


def remove_leavings(run_dir: Path) -> None:
    """Remove what the children of a killed supervisor left: they are gone, and other processes may have their pids and ports."""
    for path in (*run_dir.glob("*.pid"), *run_dir.glob("*.json")):
        if path.name not in KEPT:
            path.unlink(missing_ok=True)
