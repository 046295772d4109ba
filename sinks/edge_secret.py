"""Secrets that every process with MySQL's password can make, and that Redis, clients and strangers cannot.

They are made of user, password and database. Host and port change with a promotion, and what was signed before it must stay good.
"""

import hashlib
from urllib.parse import urlsplit


def edge_secret(mysql_url: str, person: bytes, size: int) -> bytes:
    """`size` bytes for one purpose; `person`: its name, of 16 bytes at the most."""
    parts = urlsplit(mysql_url)
    secret = f"{parts.username}:{parts.password}{parts.path}".encode()
    return hashlib.blake2b(secret, digest_size=size, person=person).digest()
