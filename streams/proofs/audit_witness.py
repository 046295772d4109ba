"""`outcry audit witness`: run a witness, on another machine than the exchange and by somebody else.

In:     POST /add-checkpoint (https://c2sp.org/tlog-witness)
Out:    cosignatures; GET /checkpoint/ORIGIN: the newest checkpoint that was cosigned here, for verifiers (--seen)
State:  a folder with its key and what it has cosigned; it is written before an answer is given
On failure: a damaged or lost folder ends it, because it would cosign a fork. A full disk answers 503.
"""

import asyncio
import signal
import time
from pathlib import Path
from typing import Final

import click
import structlog
import uvloop
from aiohttp import web

from audit.findings import Unchecked
from audit.keys import new_witness_key, read_witness_key, write_witness_key
from audit.policy import Policy
from audit.witness import REQUEST_BYTES_MAX, SIZE_TYPE, Witness, make_folder
from schemas.errors import OutcryError, StaleData
from streams.process.logging import configure_logging
from streams.transport.app import claim_for_worker

log = structlog.get_logger("outcry.streams")

KEY: Final = "key.json"
_FOLDER = click.option(
    "--folder", required=True, type=click.Path(file_okay=False, path_type=Path), help="Its key and its memory, on a disk of its own."
)


@click.group()
def witness() -> None:
    """Run a witness: it cosigns checkpoints of audit logs that only grow.

    Run it on another machine, by somebody else than who runs the exchange: that is what its signature is worth.
    """


@witness.command()
@click.option("--name", required=True, help="Its name on signatures: a host name with a path, such as witness.example/w1.")
@_FOLDER
def create(name: str, folder: Path) -> None:
    """Make the key and the empty memory of a witness.

    \b
    Example:
      outcry audit witness create --name witness.example/w1 --folder /srv/witness
    """
    make_folder(folder)
    key = new_witness_key(name)
    write_witness_key(folder / KEY, key)
    click.echo(f"witness NAME {key.public} http://HOST:PORT")


@witness.command()
@_FOLDER
def show(folder: Path) -> None:
    """Print its public key."""
    click.echo(str(read_witness_key(folder / KEY).public))


@witness.command()
@_FOLDER
@click.option(
    "--logs",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="A policy with the keys of the logs: `outcry audit policy`.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65_535), default=8_181, show_default=True, help="Port to listen on; 0: any free one.")
@click.option("--log-level", type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"]), default="INFO", show_default=True)
def serve(folder: Path, logs: Path, host: str, port: int, log_level: str) -> None:
    """Answer requests until TERM or Ctrl-C.

    \b
    Example:
      outcry audit witness serve --folder /srv/witness --logs policy --host 0.0.0.0
    """
    configure_logging(log_level, "witness")
    try:
        policy = Policy.parse(logs.read_text(), str(logs))
    except Unchecked as error:
        raise OutcryError(str(error)) from None
    decider = Witness(folder, read_witness_key(folder / KEY), policy)
    claim_for_worker(folder)
    uvloop.run(serve_witness(decider, host, port))


async def serve_witness(decider: Witness, host: str, port: int) -> None:
    """Listen until TERM or INT, or until its memory is damaged. Raises StaleData then."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def end() -> None:
        if not ended.done():
            ended.set_result(None)

    async def add_checkpoint(request: web.Request) -> web.Response:
        data = await request.read()
        try:
            answer = await asyncio.to_thread(decider.add, data, int(time.time()))
        except OSError as error:
            log.warning("a checkpoint is not stored, so not cosigned", detail=str(error))
            return web.Response(status=503, text="not stored, so not cosigned\n")
        except StaleData as error:
            if not ended.done():
                ended.set_exception(error)
            return web.Response(status=500, text="the memory of this witness is damaged\n")
        if answer.status != 200:
            (log.error if answer.why.startswith("FORK") else log.info)("not cosigned", status=answer.status, detail=answer.why)
        if answer.content_type == SIZE_TYPE:
            return web.Response(status=answer.status, body=answer.body.encode(), headers={"Content-Type": SIZE_TYPE})
        return web.Response(status=answer.status, text=answer.body)

    async def newest(request: web.Request) -> web.Response:
        note = await asyncio.to_thread(decider.newest, request.match_info["origin"])
        if note is None:
            raise web.HTTPNotFound
        return web.Response(text=bytes(note).decode())

    async def alive(request: web.Request) -> web.Response:
        return web.json_response({"status": "ready", "role": "witness"})

    app = web.Application(client_max_size=REQUEST_BYTES_MAX)
    app.add_routes([web.post("/add-checkpoint", add_checkpoint), web.get("/checkpoint/{origin:.+}", newest), web.get("/healthz", alive)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    click.echo(f"witness listens on http://{host}:{runner.addresses[0][1]}")
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    try:
        await ended
    finally:
        await runner.cleanup()
