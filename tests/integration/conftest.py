"""The whole exchange for integration tests: every role on the session's services, market open, accounts funded."""

import fcntl
import hashlib
import json
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

from schemas.enums import Phase
from schemas.settings import Settings
from streams.operate.accounts import Opening, make_api_keys, open_accounts, store_api_keys
from streams.operate.command_books import change_session
from streams.services.commands import role_names
from streams.services.local_set import LocalSet

ACCOUNTS = tuple(range(1, 9))
CASH_MINOR = 10_000_000 * 10_000
LOTS = 100_000
CLIENT_REQUIREMENTS = Path(__file__).parent / "client-requirements.txt"


@dataclass(frozen=True)
class Exchange:
    """A running exchange: where it is, and accounts with ten million dollars and 100,000 shares of each of the first two instruments."""

    settings: Settings
    local_set: LocalSet
    edge_url: str
    api_keys: list[tuple[str, str, int]]
    """(key id, secret, account) of each account."""

    def role_pid(self, role: str) -> int:
        """Pid of a role's process now."""
        status = self.local_set.status()
        assert status is not None, "the set is down"
        return next(child.pid for child in status.children if child.name == role and child.pid is not None)


@pytest.fixture(scope="session")
def exchange(services: Settings) -> Exchange:
    """Every role on the session's services; tests share it, so each uses cl_ord_ids of its own and leaves no orders behind."""
    local_set = LocalSet(services)
    local_set.start(roles=role_names())
    settings = local_set.connected_settings()
    change_session(settings, Phase.CONTINUOUS)
    open_accounts(settings, [Opening(account, CASH_MINOR, {1: LOTS, 2: LOTS}) for account in ACCOUNTS])
    keys = make_api_keys(ACCOUNTS)
    store_api_keys(settings, keys)
    port = json.loads((settings.run_dir / "edge.json").read_text())["port"]
    return Exchange(settings, local_set, f"http://127.0.0.1:{port}", [(key.key_id, key.secret, key.account) for key in keys])


@pytest.fixture(scope="session")
def client_python(pytestconfig: pytest.Config) -> Path:
    """The Python of an environment that holds only the clients; made once, kept in pytest's cache, made anew when the requirements change."""
    wanted = f"{hashlib.sha256(CLIENT_REQUIREMENTS.read_bytes()).hexdigest()[:12]}-{sys.version_info.major}.{sys.version_info.minor}"
    home = pytestconfig.cache.mkdir("clients") / wanted
    python, complete = home / "bin" / "python", home / "complete"
    with (home.parent / f"{wanted}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs at once must not both fill it
        if not complete.exists():
            venv.create(home, with_pip=True, clear=True)
            subprocess.run(
                [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", CLIENT_REQUIREMENTS], check=True
            )
            complete.touch()
    return python
