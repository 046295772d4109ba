"""Secrets that every process with MySQL's password can make, and that Redis, clients and strangers cannot.

They are made of user, password and database. Host and port change with a promotion, and what was signed before it must stay good.

Clients and Redis have what was signed with them, so they can try passwords at home. Each try costs them 16 MiB and ~50 ms, as it costs us once.
"""

import hashlib
from functools import cache
from typing import Final
from urllib.parse import urlsplit

from schemas.logins import address_of, login_of

_COST: Final = 1 << 14
_BLOCK: Final = 8
_SALT: Final = b"open outcry, the secret of edges"
"""The same everywhere: all processes of an exchange have to come to the same secret, and have nothing else in common."""


def edge_secret(mysql_url: str, person: bytes, size: int) -> bytes:
    """`size` bytes for one purpose; `person`: its name, of 16 bytes at the most. Raises BadLogin."""
    parts, login = urlsplit(address_of(mysql_url)), login_of(mysql_url)
    user, password = (parts.username, parts.password) if login is None else (login.name, login.password)
    key = _stretched(f"{user}:{password}{parts.path}")
    return hashlib.blake2b(digest_size=size, key=key, person=person).digest()


@cache
def _stretched(secret: str) -> bytes:
    return hashlib.scrypt(secret.encode(), salt=_SALT, n=_COST, r=_BLOCK, p=1, dklen=hashlib.blake2b.MAX_KEY_SIZE)
