"""Signed requests of the native API: what is taken, and each attack with the answer that it gets. Nothing is done for a request that is refused."""

import json
import time
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from support.native_edge import NativeEdge, an_order, native_edge
from support.served_edge import until

from access.api_keys import networks_of
from access.signatures import public_key_of, signed_bytes
from edge.gateway.access.sessions import KeyRecord
from outcry.client import ApiError, AsyncClient, Signer
from schemas.errors import OutcryError

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
KEY_ID = "SIGNED"
PATH = "/v1/order.place"
NOW = "now"
"""For a time that is taken when the request is sent."""


def record(private: Ed25519PrivateKey = PRIVATE, **more: Any) -> KeyRecord:
    """Of a key of account 1; its secret is known to nobody."""
    return KeyRecord(sha256(b"nobody knows").digest(), 1, public_key=private.public_key().public_bytes_raw(), **more)


@dataclass
class Request:
    """As it is signed, and, where an attacker has changed it, as it is sent."""

    body: dict[str, Any] = field(default_factory=lambda: {"order": an_order()})
    key: str = KEY_ID
    private: Ed25519PrivateKey = PRIVATE
    path: str = PATH
    method: str = "POST"
    age_us: int = 0
    window_ms: int = 5_000
    sent_path: str = ""
    sent_body: bytes = b""
    headers: dict[str, str | None] = field(default_factory=dict)
    """Instead of the right ones; None: left out."""

    async def send(self, edge: NativeEdge) -> tuple[int, dict[str, Any]]:
        """(status, body)."""
        data, ts = json.dumps(self.body).encode(), time.time_ns() // 1_000 - self.age_us
        signature = self.private.sign(signed_bytes(self.method, self.path, self.key, ts, self.window_ms, data))
        headers: dict[str, str | None] = {
            "X-API-Key": self.key, "X-Timestamp": str(ts), "X-Window": str(self.window_ms), "X-Signature": b64encode(signature).decode(),
        }  # fmt: skip
        headers |= self.headers
        if headers["X-Timestamp"] == NOW:
            headers["X-Timestamp"] = str(time.time_ns() // 1_000)
        named = {name: value for name, value in headers.items() if value is not None}
        status, text, _ = await edge.served.post(self.sent_path or self.path, data=self.sent_body or data, headers=named)
        return status, text if isinstance(text, dict) else json.loads(text)


@asynccontextmanager
async def signed_edge(**of_key: Any) -> AsyncIterator[NativeEdge]:
    """With the key SIGNED of account 1."""
    async with native_edge() as edge:
        edge.served.stores.keys_changed[KEY_ID] = record(**of_key)
        yield edge


async def open_orders(edge: NativeEdge) -> int:
    """Of account 1."""
    status, told, _ = await edge.served.post("/v1/order.open", headers={"X-API-Key": "KEY1", "X-API-Secret": "secret-1"})
    assert status == 200
    return len(told["orders"])


async def test_a_signed_request_is_taken_once() -> None:
    """The order is placed; nobody was told a secret."""
    async with signed_edge() as edge:
        status, told = await Request().send(edge)
        assert (status, told["order"]["ord_status"]) == (200, "new"), told
        assert await open_orders(edge) == 1


async def test_a_signed_request_that_comes_twice_is_refused_the_second_time() -> None:
    """Byte for byte the same, at this edge or at another one that shares the memory."""
    signer = Signer(PRIVATE)
    body = json.dumps({"order": an_order()}).encode()
    headers = signer.headers(KEY_ID, "POST", PATH, body)
    async with signed_edge() as edge:
        first, _, _ = await edge.served.post(PATH, data=body, headers=headers)
        again, text, _ = await edge.served.post(PATH, data=body, headers=headers)
        assert (first, again, json.loads(text)["code"]) == (200, 409, "request_repeated")
        async with signed_edge() as other:
            other.served.stores.signed_seen = edge.served.stores.signed_seen
            elsewhere, text, _ = await other.served.post(PATH, data=body, headers=headers)
            assert (elsewhere, json.loads(text)["code"]) == (409, "request_repeated")
        assert await open_orders(edge) == 1
        assert edge.served.gateway.signed_requests.repeated == 1
        assert min(edge.served.stores.signed_seen.values()) >= 5_000 + 1_000, "it is remembered for as long as it is good, by any clock"


ALTERED = b'{"order": {"symbol": "AAPL", "side": "sell", "ord_type": "limit", "time_in_force": "day", "order_qty": "50", "price": "1.00"}}'
ATTACKS: dict[str, tuple[Request, int, str, str]] = {
    "another key's signature": (Request(private=OTHER), 401, "signature_wrong", "no API key of this name"),
    "an unknown key": (Request(key="NOBODY"), 401, "signature_wrong", "no API key of this name"),
    "a key with a secret": (Request(key="KEY1"), 401, "signature_wrong", "no API key of this name"),
    "an altered body": (Request(sent_body=ALTERED), 401, "signature_wrong", "bytes of the body"),
    "another path": (Request(sent_path="/v1/order.cancel_all"), 401, "signature_wrong", '"/v1/order.cancel_all"'),
    "a query that was added": (Request(sent_path=f"{PATH}?x=1"), 401, "signature_wrong", "order.place?x=1"),
    "another method": (Request(method="GET"), 401, "signature_wrong", "POST"),
    "another window": (Request(headers={"X-Window": "60000"}), 401, "signature_wrong", "60000"),
    "a newer time": (Request(age_us=60_000_000, headers={"X-Timestamp": NOW}, window_ms=60_000), 401, "signature_wrong", "signed"),
    "another key's name": (Request(headers={"X-API-Key": "KEY1"}), 401, "signature_wrong", '"KEY1"'),
    "a clock that is behind": (Request(age_us=9_000_000), 401, "outside_window", "ms old by the edge's clock, and its window is 5000 ms"),
    "a clock that is ahead": (Request(age_us=-9_000_000), 401, "outside_window", "ms ahead of the edge's clock, at most 1000 ms"),
    "no signature": (Request(headers={"X-Signature": None}), 401, "not_logged_on", "X-Signature"),
    "no time": (Request(headers={"X-Timestamp": None}), 401, "not_logged_on", "X-Timestamp"),
    "no key": (Request(headers={"X-API-Key": None}), 401, "not_logged_on", "X-API-Key"),
    "a secret beside it": (Request(headers={"X-API-Secret": "secret-1"}), 422, "invalid_field", "X-API-Secret"),
    "a signature that is cut": (Request(headers={"X-Signature": "AAAA"}), 422, "invalid_field", "64 bytes in base64"),
    "a signature that is no base64": (Request(headers={"X-Signature": "é" * 88}), 422, "invalid_field", "64 bytes in base64"),
    "a time in seconds with a point": (Request(headers={"X-Timestamp": "1767225600.5"}), 422, "invalid_field", "microseconds since 1970"),
    "a time that means another text": (Request(headers={"X-Timestamp": "+1"}), 422, "invalid_field", "microseconds since 1970"),
    "a time without end": (Request(headers={"X-Timestamp": "9" * 400}), 422, "invalid_field", "microseconds since 1970"),
    "no window": (Request(headers={"X-Window": "0"}), 422, "invalid_field", "from 1 to 60000 ms"),
    "a window of an hour": (Request(window_ms=3_600_000), 422, "invalid_field", "from 1 to 60000 ms"),
}  # fmt: skip


async def test_an_attack_is_refused_by_its_own_name_and_nothing_is_done() -> None:
    """And nothing of it is remembered, so the true request is still good."""
    async with signed_edge() as edge:
        assert (await Request(body={"order": an_order(cl_ord_id="first")}).send(edge))[0] == 200
        seen = dict(edge.served.stores.signed_seen)
        for attack, (request, status, code, words) in ATTACKS.items():
            answered, problem = await request.send(edge)
            assert (answered, problem.get("code"), problem["outcome"]) == (status, code, "not_sent"), (attack, problem)
            assert words in problem["detail"], attack
            assert edge.served.stores.signed_seen == seen, attack
        assert await open_orders(edge) == 1
        assert (await Request().send(edge))[0] == 200


async def test_the_secret_of_a_key_that_signs_is_of_no_use() -> None:
    """Nobody has it; what is stored in its place fits nothing that is sent."""
    async with signed_edge() as edge:
        for secret in ("", "nobody", b64encode(PRIVATE.public_key().public_bytes_raw()).decode()):
            status, text, _ = await edge.served.post("/v1/order.open", headers={"X-API-Key": KEY_ID, "X-API-Secret": secret})
            assert (status, json.loads(text)["code"]) == (401, "denied")


async def test_a_key_that_signs_has_the_limits_of_every_key() -> None:
    """Withdrawn, for other addresses; told only to whom the key belongs."""
    for of_key, words in (({"left_s": 0.0}, "withdrawn"), ({"networks": networks_of(["203.0.113.0/24"])}, "from this address")):
        async with signed_edge(**of_key) as edge:
            status, problem = await Request().send(edge)
            assert (status, problem["code"]) == (401, "denied")
            assert words in problem["detail"]
            assert (await Request(private=OTHER).send(edge))[1]["code"] == "signature_wrong"


async def test_without_the_memory_of_what_has_come_a_signed_request_is_not_taken() -> None:
    """Otherwise it could be sent again meanwhile. Plain keys go on."""
    async with signed_edge() as edge:
        edge.served.stores.is_away = True
        status, problem = await Request().send(edge)
        assert (status, problem["code"], problem["retryable"]) == (503, "unavailable", True)
        assert await open_orders(edge) == 0


async def test_the_time_is_looked_at_again_when_everything_else_has_been() -> None:
    """A look-up that takes long makes a request late."""
    async with signed_edge() as edge:
        requests, now_ns = edge.served.gateway.signed_requests, [time.time_ns()]
        requests._clock_ns = lambda: now_ns[0]
        stores = edge.served.stores
        find = stores.find_key

        async def slow(key_id: str, version_min: int) -> KeyRecord | None:
            now_ns[0] += 6_000_000_000
            return await find(key_id, version_min)

        vars(stores)["find_key"] = slow
        edge.served.gateway.sessions._store = stores
        assert (await Request().send(edge))[1]["code"] == "outside_window"


async def test_unknown_keys_count_as_guesses_of_their_address() -> None:
    """So looking for keys is no cheaper with signatures than with secrets; the key that is at work goes on."""
    async with signed_edge() as edge:
        assert (await Request().send(edge))[0] == 200
        codes = [(await Request(key=f"NOBODY{number}").send(edge))[1]["code"] for number in range(120)]
        assert set(codes[:100]) == {"signature_wrong"}
        assert codes[-1] == "too_many_requests"
        assert (await Request(body={"order": an_order(cl_ord_id="b")}).send(edge))[0] == 200


# ---- the socket


async def logged_on(edge: NativeEdge, fields: dict[str, Any]) -> dict[str, Any]:
    """The answer to a logon."""
    async with edge.socket() as ws:
        return await ws.ask("session.logon", key=KEY_ID, **fields)


async def test_a_signed_logon_is_taken_once() -> None:
    """The connection is the account's; nobody else can begin one with the same words."""
    fields = Signer(PRIVATE).logon(KEY_ID)
    async with signed_edge() as edge:
        assert (await logged_on(edge, fields))["account"] == 1
        again = await logged_on(edge, fields)
        assert (again["outcome"], again["problem"]["code"]) == ("not_sent", "request_repeated")


SIGNED = Signer(PRIVATE)
BAD_LOGONS: dict[str, tuple[Callable[[], dict[str, Any]], str, str]] = {
    "another key's signature": (lambda: Signer(OTHER).logon(KEY_ID), "signature_wrong", "no API key of this name"),
    "a newer time": (lambda: SIGNED.logon(KEY_ID) | {"ts": time.time_ns() // 1_000 + 1}, "signature_wrong", "GET"),
    "the signature of a request": (
        lambda: {"ts": int((made := SIGNED.headers(KEY_ID, "POST", "/ws/v1"))["X-Timestamp"]), "signature": made["X-Signature"]},
        "signature_wrong", '"/ws/v1"',
    ),
    "a clock that is behind": (lambda: SIGNED.logon(KEY_ID) | {"ts": time.time_ns() // 1_000 - 6_000_000}, "outside_window", "old"),
    "a clock that is ahead": (lambda: SIGNED.logon(KEY_ID) | {"ts": time.time_ns() // 1_000 + 6_000_000}, "outside_window", "ahead"),
    "no signature": (lambda: {"ts": 1}, "not_logged_on", "signature"),
    "no time": (lambda: {"signature": SIGNED.logon(KEY_ID)["signature"]}, "not_logged_on", "ts"),
    "only a window": (lambda: {"window_ms": 5}, "not_logged_on", "ts"),
    "nothing": (dict, "not_logged_on", "secret"),
    "a secret beside it": (lambda: SIGNED.logon(KEY_ID) | {"secret": "s"}, "invalid_field", "secret"),
    "a long window": (lambda: SIGNED.logon(KEY_ID) | {"window_ms": 60_001}, "invalid_field", "window_ms"),
    "a time of another kind": (lambda: SIGNED.logon(KEY_ID) | {"ts": "now"}, "invalid_field", "ts"),
    "half a signature": (lambda: SIGNED.logon(KEY_ID) | {"signature": "AAAA"}, "invalid_field", "signature"),
}  # fmt: skip


async def test_a_logon_that_is_not_right_is_refused_by_its_own_name() -> None:
    """And the connection may try again."""
    async with signed_edge() as edge:
        assert (await logged_on(edge, SIGNED.logon(KEY_ID)))["ok"]
        async with edge.socket() as ws:
            for attack, (fields, code, words) in BAD_LOGONS.items():
                told = await ws.ask("session.logon", key=KEY_ID, **fields())
                assert (told["ok"], told.get("problem", {}).get("code")) == (False, code), (attack, told)
                assert words in told["problem"]["detail"], attack
            assert (await ws.ask("session.logon", key=KEY_ID, **SIGNED.logon(KEY_ID)))["ok"]


async def test_the_client_signs_and_signs_anew_for_every_connection() -> None:
    """A connection that was lost is followed by one with another signature."""
    async with signed_edge() as edge:
        origin = str(edge.served.client.make_url("/"))
        async with AsyncClient(origin, KEY_ID, signer=Signer(PRIVATE)) as client:
            (talk,) = edge.desk.hub.talks
            talk.out.abort()
            await until(lambda: client.reconnects == 1, "the client has noticed")
            assert await client.open_orders() == []
        assert len(edge.served.stores.signed_seen) == 2
        with pytest.raises(ApiError, match="signature_wrong"):
            async with AsyncClient(origin, KEY_ID, signer=Signer(OTHER)):
                pass


# ---- public keys


def test_a_public_key_is_taken_in_pem_and_in_base64() -> None:
    """Both are the same 32 bytes."""
    public = PRIVATE.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    assert public_key_of(pem) == public_key_of(Signer(PRIVATE).public_key) == public.public_bytes_raw()


def _pem(key: Any) -> str:
    return str(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


NEUTRAL = b64encode(b"\x01" + bytes(31)).decode()
SMALL = b64encode(b64decode("JuiVj8KyJ7BFw/SJ8u+Y8NXfrAXTxjM5sTgCiG1T/AU=")).decode()
BAD_KEYS = {
    "nothing": ("", "must be an Ed25519 public key"),
    "half a key": (b64encode(bytes(16)).decode(), "must be an Ed25519 public key"),
    "hexadecimal": ("00" * 32, "must be an Ed25519 public key"),
    "a curve of another kind": (_pem(generate_private_key(SECP256R1())), "another kind than Ed25519"),
    "a private key": (PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(), "this is a private key"),
    "a damaged PEM": (_pem(PRIVATE).replace("MC", "XX"), "cannot be read as a public key"),
    "zeros, of order 4": (b64encode(bytes(32)).decode(), "small order"),
    "the neutral point": (NEUTRAL, "small order"),
    "a point of order 8": (SMALL, "small order"),
}


@pytest.mark.parametrize("name", BAD_KEYS)
def test_a_key_that_is_none_or_is_good_for_nothing_is_refused(name: str) -> None:
    """Over a key of small order anybody could sign."""
    text, words = BAD_KEYS[name]
    with pytest.raises(OutcryError, match=words):
        public_key_of(text)


def test_the_client_and_the_exchange_sign_the_same_bytes() -> None:
    """The client is independent of the exchange's code."""
    headers = Signer(PRIVATE, window_ms=7).headers(KEY_ID, "POST", "/v1/ping?x=1", b"{}")
    payload = signed_bytes("POST", "/v1/ping?x=1", KEY_ID, int(headers["X-Timestamp"]), 7, b"{}")
    PRIVATE.public_key().verify(b64decode(headers["X-Signature"]), payload)


def test_the_client_reads_a_private_key_from_a_file_and_refuses_another_kind(tmp_path: Path) -> None:
    """With its path in the message."""
    for private, name in ((PRIVATE, "good.pem"), (generate_private_key(SECP256R1()), "other.pem")):
        (tmp_path / name).write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    assert Signer.from_pem(tmp_path / "good.pem").public_key == Signer(PRIVATE).public_key
    with pytest.raises(ValueError, match=r"other\.pem has a key of another kind"):
        Signer.from_pem(tmp_path / "other.pem")
