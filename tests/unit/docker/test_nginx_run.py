"""A real nginx with docker/nginx's configuration over two edges under load: one is drained, then one is killed.

The edges are processes of the real application, each over an exchange in memory of its own: what is tested is what nginx does.
"""

import asyncio
import getpass
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from fleet.nginx import Places, configuration

ROOT = Path(__file__).parents[3]
CUSTOMERS = 16
PAUSE_S = 0.02
"""Between two requests of a customer: some 600 requests a second in all, where the machine has a processor for them."""
WAIT_S = 300.0
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


@dataclass
class Load:
    """What customers have seen. Times are of the monotonic clock."""

    answered: int = 0
    failed: list[tuple[float, str]] = field(default_factory=list)
    """(when it began, how it failed)."""


class Edges:
    """Two edges behind nginx."""

    def __init__(self, home: Path) -> None:
        self.home, self.ports = home, [free_port(), free_port()]
        self.running: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, number: int) -> None:
        """One edge, on its port."""
        paths = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
        command = [sys.executable, str(ROOT / "tests" / "support" / "lone_edge.py"), str(self.ports[number])]
        self.running[number] = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": paths}, cwd=self.home)

    def end(self, number: int, how: int) -> int:
        """Its exit status, once it has ended."""
        process = self.running.pop(number)
        process.send_signal(how)
        return process.wait(WAIT_S)


def free_port() -> int:
    """One that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


async def until(condition: Callable[[], bool], what: str) -> None:
    """Until it holds."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.02)


async def request(session: aiohttp.ClientSession, url: str, number: int, load: Load) -> None:
    """One order, or one look at the prices; an answer is whatever the edge decides."""
    began = time.monotonic()
    order = {"symbol": "AAPL", "qty": 1, "side": "buy", "type": "limit", "time_in_force": "day", "limit_price": "1.00"}
    try:
        if number < 2:
            headers = {"APCA-API-KEY-ID": str(number + 1), "APCA-API-SECRET-KEY": "secret"}
            answer = await session.post(f"{url}/v2/orders", json=order, headers=headers)
        else:
            answer = await session.get(f"{url}/public/prices", headers={"APCA-API-KEY-ID": f"reader-{number}"})
        async with answer:
            await answer.read()
            if answer.status >= 500:
                load.failed.append((began, f"{answer.status} for {number}"))
            else:
                load.answered += 1
    except aiohttp.ClientError as error:
        load.failed.append((began, repr(error)))


async def customer(url: str, trust: ssl.SSLContext, number: int, load: Load, stop: asyncio.Event) -> None:
    """Requests over one connection that stays, one after the other."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust, limit=1)) as session:
        while not stop.is_set():
            await request(session, url, number, load)
            await asyncio.sleep(PAUSE_S)


async def requests_of(port: int) -> int:
    """How many requests of customers an edge has answered, by its own count; -1 while it does not answer."""
    try:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/metrics") as answer:
            lines = (await answer.text()).splitlines()
    except aiohttp.ClientError:
        return -1
    counted = [line for line in lines if line.startswith("outcry_edge_requests_total{") and 'route="/metrics"' not in line]
    return int(sum(float(line.rpartition(" ")[2]) for line in counted))


async def until_counted(port: int, least: int) -> None:
    """Until an edge answers, and has answered so many."""
    deadline = time.monotonic() + WAIT_S
    while await requests_of(port) < least:
        assert time.monotonic() < deadline, f"the edge on port {port} has not answered {least} requests"
        await asyncio.sleep(0.05)


def certificate_in(home: Path) -> tuple[Path, Path]:
    """A key and its certificate for this machine."""
    key, certificate, openssl = home / "key.pem", home / "certificate.pem", shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl: no nginx was run")
    made = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=localhost"]
    made += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([openssl, *made], check=True, capture_output=True)
    return key, certificate


def started_nginx(home: Path, edges: Edges, port: int, key: Path, certificate: Path) -> subprocess.Popen[bytes]:
    """With one worker, as the machine may have few processors."""
    if NGINX is None:
        pytest.skip("needs nginx: none was run")
    drain = home / "drain"
    drain.mkdir()
    places = Places(f"127.0.0.1:{port}", str(certificate), str(key), str(drain), str(home))
    text = configuration([f"127.0.0.1:{one}" for one in edges.ports], places)
    owner = f"user {getpass.getuser()};\n" if os.geteuid() == 0 else ""  # else workers are `nobody`, who cannot look into this folder
    (home / "nginx.conf").write_text(owner + text.replace("worker_processes auto;", "worker_processes 1;"))
    return subprocess.Popen([NGINX, "-p", str(home), "-c", str(home / "nginx.conf"), "-g", "daemon off;"])


@pytest.fixture
async def behind(tmp_path: Path) -> AsyncIterator[tuple[Edges, str, ssl.SSLContext]]:
    """Two edges, nginx, its address, and who trusts its certificate."""
    edges, port = Edges(tmp_path), free_port()
    key, certificate = certificate_in(tmp_path)
    nginx = started_nginx(tmp_path, edges, port, key, certificate)
    try:
        for number in (0, 1):
            edges.start(number)
        for one in edges.ports:
            await until_counted(one, 0)
        yield edges, f"https://127.0.0.1:{port}", ssl.create_default_context(cafile=str(certificate))
    finally:
        for process in [*edges.running.values(), nginx]:
            process.terminate()
            process.wait(WAIT_S)


async def test_a_drain_fails_no_request_and_a_kill_only_those_in_flight(
    behind: tuple[Edges, str, ssl.SSLContext], tmp_path: Path, told: list[str]
) -> None:
    """Orders and reads over connections that stay open, while edge 0 is drained, stopped and started, and edge 1 is killed."""
    edges, url, trust = behind
    load, stop, mark = Load(), asyncio.Event(), tmp_path / "drain" / "edge-0"
    customers = [asyncio.create_task(customer(url, trust, number, load, stop)) for number in range(CUSTOMERS)]

    async def more(count: int) -> None:
        wanted = load.answered + count
        await until(lambda: load.answered >= wanted or bool(load.failed), "customers are answered")

    await more(200)
    assert min([await requests_of(port) for port in edges.ports]) > 0, "both edges have work"
    mark.touch()
    await more(2 * CUSTOMERS)  # what was on its way when the file appeared has been answered
    before = await requests_of(edges.ports[0])
    await more(200)
    assert await requests_of(edges.ports[0]) == before, "nothing new goes to an edge that is drained"
    assert edges.end(0, signal.SIGTERM) == 0
    await more(200)
    assert load.failed == []
    edges.start(0)
    await until_counted(edges.ports[0], 0)
    mark.unlink()
    await until_counted(edges.ports[0], 1)
    edges.end(1, signal.SIGKILL)
    dead = time.monotonic()
    wanted = load.answered + 200
    await until(lambda: load.answered >= wanted, "customers are answered by the edge that is left")
    stop.set()
    await asyncio.gather(*customers)
    told.append(
        f"nginx: {load.answered} requests answered while an edge was drained and one killed; {len(load.failed)} failed, in flight on the latter"
    )
    assert [failure for failure in load.failed if failure[0] >= dead] == []
    assert len(load.failed) <= CUSTOMERS
