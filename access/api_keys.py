"""API keys of customers: how they are made, what they may do, and from where."""

import secrets
from collections.abc import Iterable, Sequence
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

from schemas.errors import OutcryError

KEY_ID_PREFIX: Final = "OO"
NETWORKS_MAX: Final = 16
IPV6_PREFIX_MAX: Final = 64
"""The smallest network of IPv6 that can be told apart: it is one customer's."""
Network = IPv4Network | IPv6Network


class Scope(StrEnum):
    """What a key is good for."""

    READ = "read"
    """To see the account, its orders and its updates, and prices."""
    TRADE = "trade"
    """To send, change and cancel orders."""


ALL_SCOPES: Final = frozenset(Scope)


def new_key() -> tuple[str, str]:
    """(key id, secret); the secret has 240 random bits. Stores have its SHA-256 only (access.tokens.digest_of)."""
    return KEY_ID_PREFIX + secrets.token_hex(9).upper(), secrets.token_urlsafe(30)


def scopes_of(text: str) -> frozenset[Scope]:
    """Scopes as they are stored: names with commas. One that this version does not know is none."""
    known = {str(scope) for scope in Scope}
    return frozenset(Scope(name) for name in text.split(",") if name in known)


def text_of_scopes(scopes: Iterable[Scope]) -> str:
    """Scopes as they are stored."""
    return ",".join(sorted(set(scopes)))


def networks_of(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks of an allow-list. Raises OutcryError naming one that is none, or that is too small to be told from its neighbours."""
    found: list[Network] = []
    for text in texts:
        try:
            network = ip_network(text)
        except ValueError:
            raise OutcryError(f"{text!r} is no address or network, such as 203.0.113.7, 203.0.113.0/24 or 2001:db8:1:2::/64") from None
        if network.version == 6 and network.prefixlen > IPV6_PREFIX_MAX:
            raise OutcryError(f"{text}: of IPv6 a network of /{IPV6_PREFIX_MAX} is the smallest")
        found.append(network)
    if len(found) > NETWORKS_MAX:
        raise OutcryError(f"an API key can have at most {NETWORKS_MAX} networks, not {len(found)}")
    return tuple(found)


def admits(networks: Sequence[Network], address: str) -> bool:
    """Whether a key may be used from an address (of IPv6: from a /64). Without networks it may from everywhere."""
    if not networks:
        return True
    try:
        client = ip_network(address)
    except ValueError:
        return False
    return any(_within(client, network) for network in networks)


def _within(client: Network, network: Network) -> bool:
    if isinstance(client, IPv4Network) and isinstance(network, IPv4Network):
        return client.subnet_of(network)
    return isinstance(client, IPv6Network) and isinstance(network, IPv6Network) and client.subnet_of(network)
