"""Deliver alerts to a URL, signed as https://www.standardwebhooks.com says, until it takes them.

An alert's id is the same at each attempt, so a receiver that keeps ids takes it once. Within a rule, an alert waits for the one before it. Only 2xx is
success; a redirect is not followed. 410 switches the receiver off. Names are resolved at each attempt, and an address of a private network is refused then.
"""

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import json
import random
import socket
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from prometheus_client import Counter

from streams.functions.deployed import Function
from streams.functions.store import Due, FunctionStore, StoredAlert

WAITS_S: Final = (5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
"""Behind each attempt but the tenth, which is the last: 75 hours together."""
JITTER: Final = 0.1
RETRY_AFTER_MAX_S: Final = 86_400.0
SLOW_DOWN: Final = frozenset({429, 502, 503, 504})
DELIVERIES: Final = Counter("outcry_webhook_attempts", "attempts to deliver an alert, by outcome", ["function", "outcome"])


class PrivateAddress(OSError):
    """A name that leads to this machine or into a private network."""


class PublicResolver(AbstractResolver):
    """Resolves names to public addresses only. Raises PrivateAddress for any other."""

    def __init__(self, below: AbstractResolver | None = None) -> None:
        self._below = below or ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        """See aiohttp."""
        found = await self._below.resolve(host, port, family)
        for one in found:
            require_public(one["host"])
        return found

    async def close(self) -> None:
        """See aiohttp."""
        await self._below.close()


def require_public(address: str) -> None:
    """Raises PrivateAddress for an IP address that is not of the public internet; a name passes."""
    try:
        found = ipaddress.ip_address(address.split("%")[0].strip("[]"))
    except ValueError:
        return
    mapped = getattr(found, "ipv4_mapped", None)
    if not (mapped or found).is_global or found.is_multicast:
        raise PrivateAddress(f"{address} is an address of this machine or of a private network")


def body_of(function: Function, alert: StoredAlert) -> bytes:
    """What is sent."""
    at = datetime.fromtimestamp(alert.at_ns // 1_000_000_000, UTC).isoformat().replace("+00:00", "Z")
    data = {"function": function.name, "version": alert.version, "rule": alert.rule, "seq": alert.seq, "symbol": alert.symbol,
            "message": alert.message, "cause": alert.cause, "data": alert.data}  # fmt: skip
    return json.dumps({"type": "alert.created", "timestamp": at, "data": data}, separators=(",", ":")).encode()


def headers_of(secrets: Sequence[str], alert_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """Id, time of the attempt, and a signature for each secret."""
    signed = b".".join((alert_id.encode(), str(timestamp_s).encode(), body))
    signatures = []
    for secret in secrets:
        text = secret.removeprefix("whsec_")
        key = base64.b64decode(text + "=" * (-len(text) % 4))
        signatures.append("v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode())
    return {
        "webhook-id": alert_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(signatures),
        "content-type": "application/json",
    }


class Webhooks:
    """Delivers what a function's store says is due. now: ns since 1970."""

    def __init__(self, now: Callable[[], int], resolver: AbstractResolver | None = None) -> None:
        self._now, self._resolver = now, resolver
        self._draw = random.Random()  # noqa: S311  jitter

    async def deliver(self, function: Function, store: FunctionStore) -> int:
        """One attempt for each rule whose turn has come; how many that were."""
        webhook = function.settings.webhook
        if webhook is None or store.is_off(webhook.url):
            return 0
        due = store.due(self._now())
        await asyncio.gather(*(self._attempt(function, store, one) for one in due))
        return len(due)

    async def _attempt(self, function: Function, store: FunctionStore, one: Due) -> None:
        webhook = function.settings.webhook
        assert webhook is not None
        now_ns = self._now()
        if now_ns - one.since_ns > webhook.maximum_age_s * 1e9:
            outcome, detail, wait_s = "given up", "older than maximum_age_s", None
        else:
            outcome, detail, wait_s = await self._post(function, one)
        if outcome == "gone":
            store.switch_off(webhook.url, now_ns)
        DELIVERIES.labels(function.name, outcome).inc()
        again_ns = None if wait_s is None else self._now() + int(wait_s * 1e9)
        store.note_delivery(one, now_ns, outcome, detail, again_ns)

    async def _post(self, function: Function, one: Due) -> tuple[str, str, float | None]:
        """(outcome, detail, seconds until it is tried again)."""
        webhook = function.settings.webhook
        assert webhook is not None
        body = body_of(function, one.alert)
        headers = headers_of(function.secrets, one.alert.alert_id, self._now() // 1_000_000_000, body)
        resolver = self._resolver or (ThreadedResolver() if webhook.allow_private else PublicResolver())
        timeout = aiohttp.ClientTimeout(total=webhook.timeout_s)
        try:
            if not webhook.allow_private:
                require_public(urlsplit(webhook.url).hostname or "")
            connector = aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False, force_close=True)
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
                session.post(webhook.url, data=body, headers=headers, allow_redirects=False) as answer,
            ):
                status, retry_after = answer.status, answer.headers.get("Retry-After", "")
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            cause = getattr(error, "os_error", None) or error  # of a name that is refused
            return "failed", f"{type(cause).__name__}: {cause}", self._wait_s(one.attempt)
        if 200 <= status < 300:
            return "delivered", str(status), None
        if status == 410:
            return "gone", "410: the receiver is switched off", None
        wait_s = self._wait_s(one.attempt)
        if status in SLOW_DOWN and wait_s is not None and retry_after.isascii() and retry_after.isdigit():
            wait_s = max(wait_s, min(float(retry_after), RETRY_AFTER_MAX_S))
        return "failed", str(status), wait_s

    def _wait_s(self, attempt: int) -> float | None:
        """Until the next attempt; None behind the last."""
        if attempt >= len(WAITS_S):
            return None
        return WAITS_S[attempt] * self._draw.uniform(1, 1 + JITTER)


def alert_json(alert: StoredAlert) -> dict[str, Any]:
    """For programs."""
    return {"rule": alert.rule, "seq": alert.seq, "alert_id": alert.alert_id, "symbol": alert.symbol, "at_ns": alert.at_ns,
            "version": alert.version, "cause": alert.cause, "message": alert.message, "data": alert.data}  # fmt: skip
