"""Audit logs over HTTP, for verifiers and monitors: the files of https://c2sp.org/tlog-tiles, which are the same on disk, and the verifier itself."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from aiohttp import web

from audit.log_store import LogStore
from audit.one_file import one_file

_FILE: Final = re.compile(r"checkpoint(\.cosigned)?|tile/(entries|[0-9]|[1-5][0-9]|6[0-3])/(x[0-9]{3}/)*[0-9]{3}(\.p/[0-9]{1,3})?")
_FOR_EVER: Final = "public, max-age=31536000, immutable"
Vkeys = Callable[[str], Sequence[object]]


def routes_of(stores: Sequence[LogStore], vkeys: Vkeys) -> list[web.RouteDef]:
    """GET /audit, /audit/verifier.py, /audit/TOPIC/PARTITION/... vkeys: the public keys of an origin."""
    by_place = {"/".join(store.folder.parts[-2:]): store for store in stores}

    async def logs(request: web.Request) -> web.Response:
        found = [
            {"log": place, "origin": store.origin, "entries": store.committed.size, "vkeys": [str(key) for key in vkeys(store.origin)]}
            for place, store in sorted(by_place.items())
        ]
        return web.json_response(found)

    async def verifier(request: web.Request) -> web.Response:
        return web.Response(text=one_file(), content_type="text/x-python")

    async def file(request: web.Request) -> web.StreamResponse:
        store, name = by_place.get(f"{request.match_info['topic']}/{request.match_info['partition']}"), request.match_info["file"]
        path = Path() if store is None else store.folder / name
        if store is None or not _FILE.fullmatch(name) or not path.is_file():
            raise web.HTTPNotFound
        is_tile = name.startswith("tile/")
        headers = {
            "Content-Type": "application/octet-stream" if is_tile else "text/plain; charset=utf-8",
            "Cache-Control": _FOR_EVER if is_tile else "no-cache",
        }
        return web.FileResponse(path, headers=headers)

    return [
        web.get("/audit", logs), web.get("/audit/verifier.py", verifier), web.get(r"/audit/{topic}/{partition:\d+}/{file:.+}", file)
    ]  # fmt: skip
