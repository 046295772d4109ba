"""An edge as a process, over an exchange in memory of its own: python lone_edge.py PORT. For tests of what stands in front of edges.

It ends by TERM, after its requests, as the real process does.
"""

import asyncio
import signal
import sys
from hashlib import sha256

from aiohttp import web

from edge.app import make_app
from edge.gateway.access.sessions import KeyRecord
from edge.gateway.limits import SHUTDOWN_GRACE_S
from edge.http.metrics import HttpMetrics
from edge.http.state import EdgeState
from support.exchange_in_memory import trading


async def serve(port: int) -> None:
    """Until TERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with trading() as (gateway, _, stores):

        async def find_key(key_id: str, _version_min: int) -> KeyRecord | None:
            return KeyRecord(sha256(b"secret").digest(), int(key_id)) if key_id in {"1", "2"} else None

        vars(stores)["find_key"] = find_key
        runner = web.AppRunner(
            make_app(EdgeState(gateway, HttpMetrics(gateway.metrics))), access_log=None, shutdown_timeout=SHUTDOWN_GRACE_S
        )
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await stop.wait()
        await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
