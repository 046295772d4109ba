"""The running set that a benchmark measures: the one of a home if it runs, else one that is started for it and stopped afterwards."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from schemas.settings import Settings, load_settings
from streams.services.local_set import LocalSet
from streams.services.state import SERVICES


@contextmanager
def running_set(
    home: Path | None, roles: tuple[str, ...], services: tuple[str, ...] = SERVICES, *, secure: bool | None = None
) -> Iterator[Settings]:
    """Settings of the set in `home`; without a home, of one in a temporary directory with these roles, its edge on a free port.

    secure: whether that one has TLS and logins; None: as the environment says.
    """
    if home is not None:
        local = LocalSet(load_settings().model_copy(update={"home": home}))
        if local.running_pid() is None:
            raise SystemExit(f"nothing runs in {home}: start it with `OUTCRY_HOME={home} outcry up --all`")
        yield local.connected_settings()
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # as Ctrl-C does: the set is stopped and its directory removed
    with TemporaryDirectory(prefix="outcry-bench-") as scratch:
        own = {"home": Path(scratch), "edge_port": 0} | ({} if secure is None else {"secure": secure})
        settings = load_settings().model_copy(update=own)
        with LocalSet(settings).running(services, roles) as connected:
            yield connected
