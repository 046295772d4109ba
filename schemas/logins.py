"""Who a process is to Kafka and to the stores, and how it knows them: the one place where an address becomes TLS and a login.

An address may end with `?login=PATH`; then its client speaks TLS, checks the server's certificate, and signs in:

    127.0.0.1:9092?login=/var/lib/outcry/keys/services/logins
    mysql://127.0.0.1:3306/outcry?login=/etc/outcry/login.json

PATH is a login file, or a folder with one for each: NAME.json, where NAME is who this process is (`act_as`). So an address holds no secret, and can
be shown and passed on. A login file is JSON: `name`, `password`, and `authority`, the certificate of the authority (PEM) that the servers' certificates
are from, as a path that may begin at the file's folder. `mechanism` is Kafka's: SCRAM-SHA-512 where there is none.

A folder may also be one login, as Kubernetes mounts secrets: with the files `password`, `ca.crt` and, where it is not who this process is, `name`.
"""

import json
import ssl
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from schemas.errors import OutcryError

MARK: Final = "?login="
SCRAM: Final = "SCRAM-SHA-512"
PLAIN: Final = "PLAIN"
PASSWORD: Final = "password"  # noqa: S105 - the name of a file
"""File in a folder that is one login."""
OPERATOR: Final = "operator"
"""Whoever runs `outcry` commands on the machine."""
_REASONS: Final = {
    9: "the certificate is not valid yet, or the clock of this machine is wrong",
    10: "the certificate has expired: `outcry keys certificates --renew` makes new ones",
    18: "the certificate is signed by itself and by no authority",
    19: "the certificate is from an authority that this login does not trust",
    20: "the certificate is from an authority that this login does not trust",
    62: "the certificate is for another name than this address has",
    64: "the certificate is for another address than this one",
}
"""By number of OpenSSL's X509_V_ERR."""
_acting: list[str] = [OPERATOR]


class BadLogin(OutcryError):
    """A login cannot be read. The message names the file and says why."""


@dataclass(frozen=True)
class Login:
    """What a login file says."""

    name: str
    password: str = field(repr=False)
    authority: Path
    mechanism: str = SCRAM

    def tls(self) -> ssl.SSLContext:
        """A client's TLS that trusts the authority alone, and checks names. Raises BadLogin."""
        try:
            return ssl.create_default_context(cafile=str(self.authority))
        except (OSError, ssl.SSLError) as error:
            raise BadLogin(f"the authority {self.authority} of the login {self.name} cannot be read ({error})") from error


def act_as(name: str) -> None:
    """Say once who this process is: the role that it runs, or the supervisor's ADMINISTRATOR."""
    _acting[0] = name


def acting_as() -> str:
    """Who this process is."""
    return _acting[0]


def address_of(url: str) -> str:
    """The address without its login."""
    return url.partition(MARK)[0]


def with_login(address: str, path: Path) -> str:
    """The address with a login file, or a folder of them."""
    return f"{address}{MARK}{path}"


def named(url: str, name: str) -> str:
    """The same address for somebody else, where it has a folder of logins; as it is where it has a file, or none."""
    address, mark, path = url.partition(MARK)
    is_folder_of_logins = mark and Path(path).is_dir() and not (Path(path) / PASSWORD).is_file()
    return f"{address}{mark}{Path(path) / f'{name}.json'}" if is_folder_of_logins else url


def login_of(url: str) -> Login | None:
    """The login of an address, None where it has none. Raises BadLogin."""
    _, mark, path = url.partition(MARK)
    if not mark:
        return None
    place = Path(path)
    if (place / PASSWORD).is_file():
        return _read_secret(place)
    return read_login(place / f"{acting_as()}.json" if place.is_dir() else place)


def _read_secret(folder: Path) -> Login:
    try:
        password = (folder / PASSWORD).read_text().strip()
        name = (folder / "name").read_text().strip() if (folder / "name").exists() else acting_as()
    except (OSError, ValueError) as error:
        raise BadLogin(f"the login {folder / PASSWORD} cannot be read ({error})") from error
    if not password:
        raise BadLogin(f"the login {folder / PASSWORD} is empty")
    return Login(name, password, folder / "ca.crt")


def read_login(file: Path) -> Login:
    """Raises BadLogin."""
    try:
        found = json.loads(file.read_text())
    except FileNotFoundError as error:
        raise BadLogin(f"there is no login {file}: `outcry keys services` makes those that are missing") from error
    except (OSError, ValueError, RecursionError) as error:
        raise BadLogin(f"the login {file} cannot be read ({error})") from error
    texts = ("name", "password", "authority")
    if not isinstance(found, dict) or not all(isinstance(found.get(key), str) and found[key] for key in texts):
        raise BadLogin(f"the login {file} must be a JSON object with the texts {', '.join(texts)}")
    if found.get("mechanism", SCRAM) not in (SCRAM, PLAIN):
        raise BadLogin(f"the login {file}: mechanism must be {SCRAM} or {PLAIN}")
    return Login(found["name"], found["password"], file.parent / found["authority"], found.get("mechanism", SCRAM))


def why_not_trusted(error: BaseException | None) -> str:
    """What is wrong with a server's certificate, in words, where an error of a client, or one behind it, says that; else ""."""
    for one in _causes(error):
        # aiohttp's is one by its class, and has the one that says something behind it
        if isinstance(one, ssl.SSLCertVerificationError) and hasattr(one, "verify_code"):
            return _REASONS.get(one.verify_code, f"the certificate cannot be trusted ({one.verify_message})")
        if isinstance(one, ssl.SSLError) and getattr(one, "reason", "") in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
            return "what answers there does not speak TLS"
    return ""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and whatever stands behind it, each once."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [one.__cause__, one.__context__, getattr(one, "os_error", None), getattr(one, "certificate_error", None)]
        with suppress(TypeError):
            waiting += [inner for inner in (*one.args, *getattr(one, "errors", ())) if isinstance(inner, BaseException)]
