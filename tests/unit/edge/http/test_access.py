"""Who gets in: versions of HTTP, hosts and proxies, Basic authentication, guessed secrets; and what an address that is not there says."""

import asyncio
import base64
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request
from support.people_store import PASSWORD
from support.served_edge import Served, served

from access.people import Role
from edge.gateway.limits import WRONG_SECRETS_BURST
from edge.http.addresses import is_from_this_machine
from edge.http.errors import NO_ROUTE

FORM = "name=ann&password=" + PASSWORD.replace(" ", "+")


async def raw(edge: Served, request: str) -> str:
    """The whole answer to bytes that no client would send."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.client.port)
    writer.write(request.encode())
    await writer.drain()
    async with asyncio.timeout(60):
        answer = await reader.read()
    writer.close()
    return answer.decode()


@pytest.mark.parametrize("version", ["HTTP/0.9", "HTTP/2.0", "HTTP/1.2"])
async def test_other_versions_of_http_are_refused(version: str) -> None:
    """The parser takes them; nothing of ours was tried with them."""
    async with served() as edge:
        answer = await raw(edge, f"GET /healthz {version}\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        assert " 505 " in answer.split("\r\n")[0] or " 400 " in answer.split("\r\n")[0]
        answer = await raw(edge, "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        assert " 200 " in answer.split("\r\n")[0]


@pytest.mark.parametrize("request_text", ["GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "nonsense\r\n\r\n"])
async def test_no_answer_tells_versions_of_what_it_is_made_with(request_text: str) -> None:
    """Also not the one to what cannot be parsed, which no handler of ours sees."""
    async with served() as edge:
        answer = (await raw(edge, request_text)).lower()
        assert "server: open-outcry" in answer
        assert "aiohttp/" not in answer
        assert "python/" not in answer


@pytest.mark.parametrize(
    ("line", "headers", "status"),
    [
        ("/sign-in", {"Host": "127.0.0.1"}, 303),
        ("/sign-in", {"Host": "localhost:8080"}, 303),
        ("/sign-in", {"Host": "[::1]:8080"}, 303),
        ("/sign-in", {"Host": "evil.example"}, 401),
        ("http://127.0.0.1/sign-in", {"Host": "evil.example"}, 401),
        ("http://evil.example/sign-in", {"Host": "127.0.0.1"}, 401),
        ("/sign-in", {"Host": "127.0.0.1", "X-Forwarded-For": "203.0.113.7"}, 401),
        ("/sign-in", {"Host": "127.0.0.1", "Forwarded": "for=203.0.113.7"}, 401),
        ("/sign-in", {"Host": "127.0.0.1", "Via": "1.1 proxy"}, 401),
    ],
)
async def test_without_a_second_factor_one_signs_in_on_this_machine_only(line: str, headers: dict[str, str], status: int) -> None:
    """Whatever the line and the Host say, and through whatever proxy that tells of itself."""
    async with served() as edge:
        edge.stores.add("ann", Role.ANALYST)
        answer = await raw(edge, _post(f"{line} HTTP/1.1", headers))
        assert f" {status} " in answer.split("\r\n")[0]


async def test_a_proxy_that_speaks_http_1_0_is_not_this_machine() -> None:
    """As nginx does unless it is told otherwise."""
    async with served() as edge:
        edge.stores.add("ann", Role.ANALYST)
        answer = await raw(edge, _post("/sign-in HTTP/1.0", {"Host": "127.0.0.1"}))
        assert " 401 " in answer.split("\r\n")[0]


@pytest.mark.parametrize(("peer", "here"), [("127.0.0.1", True), ("::1", True), ("203.0.113.5", False), ("", False)])
def test_a_peer_elsewhere_is_elsewhere_whatever_host_it_names(peer: str, here: bool) -> None:
    """The address of the connection counts."""
    request = make_mocked_request("GET", "/", {"Host": "localhost"})
    assert is_from_this_machine(request.clone(remote=peer, host="localhost")) is here


def _post(line: str, headers: dict[str, str]) -> str:
    told = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    kind = f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(FORM)}\r\n"
    return f"POST {line}\r\n{told}{kind}Connection: close\r\n\r\n{FORM}"


def basic(key_id: str, secret: str) -> dict[str, str]:
    """The header of Basic authentication."""
    return {"Authorization": "Basic " + base64.b64encode(f"{key_id}:{secret}".encode()).decode()}


@pytest.mark.parametrize(
    ("headers", "known"),
    [
        (basic("KEY1", "secret-1"), True),
        (basic("KEY1", "wrong"), False),
        ({"Authorization": "Basic ?"}, False),
        ({"Authorization": "Bearer KEY1:secret-1"}, False),
        ({"APCA-API-KEY-ID": "KEY1", "APCA-API-SECRET-KEY": "secret-1"}, True),
    ],
)
async def test_a_key_may_come_as_basic_authentication(headers: dict[str, str], known: bool) -> None:
    """401 or not: there is no account shard here, so a known key is answered 503."""
    async with served() as edge:
        status, body, _ = await edge.get("/v2/account", headers=headers)
        assert (status == 401) is not known, body


async def test_guessed_secrets_are_slowed_down_and_a_key_at_work_goes_on() -> None:
    """429 with Retry-After, and the secret is not looked at."""
    async with served() as edge:

        async def tried(secret: str) -> tuple[int, Any]:
            status, _, headers = await edge.get("/v2/account", headers={"APCA-API-KEY-ID": "KEY1", "APCA-API-SECRET-KEY": secret})
            return status, headers.get("Retry-After")

        right = await tried("secret-1")
        guesses = [await tried(f"guess-{number}") for number in range(WRONG_SECRETS_BURST + 3)]
        assert [status for status, _ in guesses[:WRONG_SECRETS_BURST]] == [401] * WRONG_SECRETS_BURST
        assert guesses[-1][0] == 429
        assert int(guesses[-1][1]) >= 1
        assert edge.gateway.sessions.refused_guesses >= 1
        assert (await tried("secret-1"))[0] == right[0]


@pytest.mark.parametrize("path", ["/v2/nothing", "/v1beta3/crypto/us/latest/nothing", "/assets/nothing.js"])
async def test_an_address_that_is_not_there_has_a_code_of_its_own(path: str) -> None:
    """Not the one of an unknown order: ccxt would call it InvalidOrder."""
    async with served() as edge:
        status, body, _ = await edge.get(path)
        assert (status, body["code"]) == (404, NO_ROUTE)
        assert NO_ROUTE != 40410000
