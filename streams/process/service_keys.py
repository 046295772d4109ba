"""The folder by which services and their clients know one another: the authority, a certificate for each service, a login for each client.

    authority.pem, authority-key.pem        whom everybody trusts; the key is needed for new certificates alone
    certificates/SERVICE.pem                key and certificate of a service
    logins/NAME.json, logins/authority.pem  what a client gets (schemas.logins)
    cache-secret                            for edges and whoever fills the cache for them (sinks.cached.secret)

The folders are of mode 0700 and what is secret of 0600. On several machines a service gets its certificate, a role its login, and authority.pem is
no secret.
"""

import json
import secrets
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from schemas.logins import PLAIN, SCRAM, Login, read_login
from schemas.settings import CACHE_SECRET
from sinks.cached.secret import SECRET_BYTES
from streams.process.authority import OWNER_ONLY, Certificate, certificate_in, make_authority, make_certificate
from streams.process.files import write_atomically
from topics.rights import LOGINS, SUPER_USERS

AUTHORITY: Final = "authority.pem"
AUTHORITY_KEY: Final = "authority-key.pem"
ENTERED_BY_OWNER: Final = 0o700
SERVICES: Final[Mapping[str, tuple[str, ...]]] = {
    "kafka": ("kafka", "kafka-1", "kafka-2", "kafka-3"), "mariadb": ("mysql", "mariadb"), "valkey": ("redis",), "valkey-cache": ("cache",),
    "elasticsearch": ("elasticsearch",),
}  # fmt: skip
"""By service, the names under which it is found elsewhere (docker/); under those of this machine each is found."""
IN_CONTAINERS: Final = {**SERVICES, "nginx": ("nginx", "edge")}
"""And what stands before the edges there."""
HERE: Final = ("localhost", "127.0.0.1", "::1")


def make_missing(folder: Path, more_names: Iterable[str] = (), services: Mapping[str, tuple[str, ...]] = SERVICES) -> list[str]:
    """Make the authority, certificates and logins that are not there yet, and renew certificates that are due; returns their names. Raises OutcryError."""
    for one in (folder, folder / "certificates", folder / "logins"):
        one.mkdir(mode=ENTERED_BY_OWNER, parents=True, exist_ok=True)
        one.chmod(ENTERED_BY_OWNER)
    made = []
    if not (folder / AUTHORITY).exists():
        make_authority(folder / AUTHORITY, folder / AUTHORITY_KEY, f"Open Outcry authority {secrets.token_hex(4)}")
        made.append("authority")
    if _text(folder / "logins" / AUTHORITY) != _text(folder / AUTHORITY):
        write_atomically(folder / "logins" / AUTHORITY, _text(folder / AUTHORITY), 0o644)
    if not (folder / CACHE_SECRET).exists():
        write_atomically(folder / CACHE_SECRET, secrets.token_hex(SECRET_BYTES) + "\n", OWNER_ONLY)
        made.append(CACHE_SECRET)
    made += [name for name in (*SUPER_USERS, *LOGINS) if _make_login(folder / "logins", name)]
    return made + renew(folder, more_names, services, everything=False)


def renew(
    folder: Path, more_names: Iterable[str] = (), services: Mapping[str, tuple[str, ...]] = SERVICES, *, everything: bool
) -> list[str]:
    """New certificates for the services whose are missing or due, or for all of them; returns their names. A name that one had, it keeps. Raises OutcryError."""
    made = []
    for name, elsewhere in services.items():
        path = folder / "certificates" / f"{name}.pem"
        known = certificate_in(path, folder / AUTHORITY) if path.exists() else None
        names = dict.fromkeys((*HERE, *elsewhere, *(known.names if known else ()), *more_names))
        if known is None or everything or known.is_due(datetime.now(UTC)) or set(names) - set(known.names):
            make_certificate(path, folder / AUTHORITY, folder / AUTHORITY_KEY, names)
            made.append(name)
    return made


def certificates(folder: Path) -> list[Certificate]:
    """The authority's and those of the services that are there. Raises OutcryError."""
    paths = [folder / AUTHORITY, *(folder / "certificates" / f"{name}.pem" for name in IN_CONTAINERS)]
    return [certificate_in(path, folder / AUTHORITY) for path in paths if path.exists()]


def certificate_of(folder: Path, service: str) -> Path:
    """Key and certificate of a service; all brokers have the same."""
    return folder / "certificates" / f"{service}.pem"


def logins(folder: Path) -> dict[str, Login]:
    """By name. Raises OutcryError."""
    return {name: read_login(folder / "logins" / f"{name}.json") for name in (*SUPER_USERS, *LOGINS)}


def passwords(folder: Path, names: Iterable[str] = (*SUPER_USERS, *LOGINS)) -> dict[str, str]:
    """By name of the login. Raises OutcryError."""
    return {name: read_login(folder / "logins" / f"{name}.json").password for name in names}


def new_password() -> str:
    """192 bits, of letters, digits, dashes and underscores."""
    return secrets.token_urlsafe(24)


def _make_login(folder: Path, name: str) -> bool:
    path = folder / f"{name}.json"
    if path.exists():
        return False
    content = {
        "name": name,
        "password": new_password(),
        "authority": AUTHORITY,
        "mechanism": PLAIN if name in SUPER_USERS else SCRAM,
    }
    write_atomically(path, json.dumps(content, indent=1) + "\n", OWNER_ONLY)
    return True


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""
