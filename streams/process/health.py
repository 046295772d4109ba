"""A worker's small HTTP server: /healthz (the process lives), /readyz (it does its work), /metrics (Prometheus)."""

import json
import os
from collections.abc import Callable, Iterable

from aiohttp import web, web_response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from schemas.settings import Settings
from streams.process.files import write_atomically
from streams.process.worker_identity import worker_of

# aiohttp names its version and Python's in every answer
vars(web_response)["SERVER_SOFTWARE"] = "open-outcry"


class HealthServer:
    """Serves the three paths and leaves its address in `run_dir/<worker>.json`."""

    def __init__(
        self,
        settings: Settings,
        role: str,
        not_ready: Callable[[], str],
        status: Callable[[], dict[str, object]],
        routes: Iterable[web.AbstractRouteDef] = (),
    ) -> None:
        """`not_ready` returns why the role is not ready, "" when it is. `status` returns what it is doing, for people. routes: what it serves besides."""
        self._settings, self._role, self._not_ready, self._status = settings, role, not_ready, status
        self._address_file = settings.run_dir / f"{worker_of(settings, role).name}.json"
        self._routes = tuple(routes)
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen, then announce the port."""
        app = web.Application()
        app.add_routes(
            [web.get("/healthz", self._healthz), web.get("/readyz", self._readyz), web.get("/metrics", self._metrics), *self._routes]
        )
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._settings.worker_host, self._settings.worker_port)
        await site.start()
        port = self._runner.addresses[0][1]
        write_atomically(self._address_file, json.dumps({"pid": os.getpid(), "port": port}))

    async def stop(self) -> None:
        """Close the listening socket and remove the announcement."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._address_file.unlink(missing_ok=True)

    async def _healthz(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "alive", "role": self._role})

    async def _readyz(self, request: web.Request) -> web.Response:
        reason = self._not_ready()
        body = {"status": reason or "ready", "role": self._role, **self._status()}
        return web.json_response(body, status=503 if reason else 200)

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
