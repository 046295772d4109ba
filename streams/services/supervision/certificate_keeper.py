"""Renews the certificates of a running secure set before they end, and has the services use the new ones."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

from schemas.errors import OutcryError
from schemas.settings import Settings
from streams.process import service_keys
from streams.services.certificates import reload_certificates

log = structlog.get_logger("outcry.supervisor")

LOOK_EVERY_S: Final = 3_600.0


class CertificateKeeper:
    """settings: asked each time, with the addresses of what runs then. What could not be read again is told, and tried again at the next look."""

    def __init__(self, settings: Callable[[], Settings], every_s: float = LOOK_EVERY_S) -> None:
        self._settings, self._every_s = settings, every_s
        self._unread = False
        """A certificate was renewed, and some service has not taken it."""

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`."""
        while not stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._every_s)
            if not stop.is_set():
                await self.look()

    async def look(self) -> None:
        """Once."""
        settings = self._settings()
        try:
            made = await asyncio.to_thread(service_keys.renew, settings.service_keys, everything=False)
            if made or self._unread:
                self._unread = True
                read = await asyncio.to_thread(reload_certificates, settings)
                self._unread = False
                log.info("certificates.renewed", made=made, read=read)
        except (OutcryError, OSError) as error:
            log.error("certificates.not_renewed", reason=str(error))  # noqa: TRY400 - the reason is the news, not our stack
