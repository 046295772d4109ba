"""Where a request comes from: whose guesses are counted together, and whether it is from this machine. No I/O."""

import asyncio
import ipaddress
from functools import lru_cache
from typing import Final

from aiohttp import HttpVersion11, web
from yarl import URL

_FORWARDED: Final = frozenset(
    {"forwarded", "via", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "x-original-host", "x-original-url", "x-rewrite-url"}
    | {"client-ip", "true-client-ip", "cf-connecting-ip", "cf-ray", "fastly-client-ip", "x-envoy-external-address", "x-proxyuser-ip"}
)
_FORWARDED_PREFIX: Final = "x-forwarded-"
"""What proxies add to a request that they pass on, in lower case."""


def address_of(request: web.Request) -> str:
    """The peer's address; of IPv6 the /64, which is one customer's. Behind a proxy all clients are the proxy."""
    return _address_of(request.remote or "")


def address_of_peer(transport: asyncio.BaseTransport) -> str:
    """The same of a connection."""
    peer = transport.get_extra_info("peername")
    return _address_of(str(peer[0]) if peer else "")


@lru_cache(maxsize=4_096)
def _address_of(remote: str) -> str:
    try:
        address = ipaddress.ip_address(remote)
    except ValueError:
        return remote
    if address.version == 4:
        return str(address)
    mapped = address.ipv4_mapped
    return str(mapped) if mapped is not None else str(ipaddress.IPv6Network((address, 64), strict=False))


def is_from_this_machine(request: web.Request) -> bool:
    """Whether a program on this machine asks for itself, as far as can be seen.

    Each of these is needed. The peer is loopback: not so for anybody elsewhere. The host in the request's line, if it has one, and the Host header are loopback:
    not so where a web site's name was made to point here. No header of a proxy, and HTTP/1.1: a proxy on this machine is a loopback peer too, may say
    `Host: 127.0.0.1`, and either tells of itself or speaks HTTP/1.0 (nginx as it is installed). One that hides itself in every respect, such as a tunnel,
    is not seen: behind any proxy, give everybody a second factor.
    """
    headers = request.headers
    if request.version != HttpVersion11 or any(
        name in _FORWARDED or name.startswith(_FORWARDED_PREFIX) for name in map(str.lower, headers)
    ):
        return False
    return _is_loopback(request.remote or "") and _is_loopback(request.url.host or "") and _is_loopback(_host_in(headers.get("Host", "")))


def _host_in(authority: str) -> str:
    """The host of "host", "host:port" or "[v6]:port"; empty if it is none of these."""
    try:
        return URL(f"//{authority}").host or ""
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
