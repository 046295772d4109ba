"""Small files that the supervisor keeps up to date. A full disk does not stop it: what could not be written is written once there is room."""

import asyncio
from contextlib import suppress
from pathlib import Path

import structlog

from streams.process.files import write_atomically

RETRY_S = 1.0

log = structlog.get_logger("outcry.supervisor")


class PublishedFiles:
    """The newest text of each file, written or waiting to be. `problem`: why it waits; "" when everything is written."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._waiting: dict[str, str] = {}
        self._retry: asyncio.TimerHandle | None = None
        self.problem = ""

    def write(self, name: str, text: str) -> None:
        """Replace the file atomically, now or as soon as possible. Only its owner can read it."""
        self._waiting[name] = text
        self._flush()

    def remove(self, name: str) -> None:
        """Remove the file."""
        self._waiting.pop(name, None)
        with suppress(OSError):
            (self._directory / name).unlink(missing_ok=True)

    def _flush(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        for name, text in list(self._waiting.items()):
            try:
                write_atomically(self._directory / name, text, mode=0o600)
            except OSError as error:
                if not self.problem:
                    log.error("supervisor.cannot_write", file=str(self._directory / name), reason=str(error))  # noqa: TRY400 - no stack of ours
                self.problem = f"cannot write {self._directory / name}: {error.strerror}"
                self._retry = asyncio.get_running_loop().call_later(RETRY_S, self._flush)
                return
            del self._waiting[name]
        if self.problem:
            log.info("supervisor.writes_again", after=self.problem)
            self.problem = ""
