"""A login of MySQL that wants TLS is not sent to a server that offers none, whoever that is."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from schemas.errors import ServiceUnavailable
from schemas.logins import with_login
from sinks.mysql.pool import MySql
from streams.process.authority import make_authority

GREETING = (
    b"\x0a11.4.5-MariaDB\0" + b"\x01\0\0\0" + b"12345678\0"
    # without CLIENT_SSL (0x0800): with protocol 41, secure connection, plugin authentication
    + b"\xff\xf7" + b"\x2d" + b"\x02\0" + b"\x0f\0" + b"\x15" + b"\0" * 10 + b"123456789012\0" + b"mysql_native_password\0"
)  # fmt: skip
"""A server's first packet."""


@asynccontextmanager
async def stranger() -> AsyncIterator[tuple[int, list[bytes]]]:
    """A port where somebody greets as a server without TLS, and what clients have sent there."""
    heard: list[bytes] = []

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(len(GREETING).to_bytes(3, "little") + b"\0" + GREETING)
        if data := await reader.read(1_000):
            heard.append(data)
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], heard


async def test_a_server_that_offers_no_tls_gets_no_login(tmp_path: Path) -> None:
    """Neither the name nor anything made of the password. Without a login the address asks for no TLS, and the same server gets the name."""
    make_authority(tmp_path / "authority.pem", tmp_path / "key.pem", "ours")
    (tmp_path / "edge.json").write_text(json.dumps({"name": "edge", "password": "x", "authority": "authority.pem"}))
    async with stranger() as (port, heard):
        with pytest.raises(ServiceUnavailable, match="offers no TLS"):
            await MySql.connect(with_login(f"mysql://127.0.0.1:{port}/outcry", tmp_path / "edge.json"))
        assert heard == []
        with pytest.raises(ServiceUnavailable):
            await MySql.connect(f"mysql://edge:x@127.0.0.1:{port}/outcry")
        assert b"edge\0" in heard[0]
