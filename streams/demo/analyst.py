"""Somebody who may see the demo's alerts: by hand on this machine, and as the demo's own view."""

import json
import secrets
from pathlib import Path
from typing import Final

from access.people import Role
from schemas.settings import Settings
from streams.operate.users import make_token, put_person
from streams.process.files import write_atomically

ANALYST: Final = "demo"
ANALYST_FILE: Final = "analyst.json"
_ROLES: Final = frozenset({Role.ANALYST})


def admit_analyst(settings: Settings, file: Path) -> tuple[str, str]:
    """(password, token); the password is a new one each time, and in the file too. Raises ServiceUnavailable."""
    password = secrets.token_urlsafe(12)
    put_person(settings, ANALYST, password, _ROLES)
    _, token = make_token(settings, ANALYST, _ROLES, read_only=True, days=1, label="the demo's view")
    write_atomically(file, json.dumps({"name": ANALYST, "password": password}) + "\n", mode=0o600)
    return password, token
