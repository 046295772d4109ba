"""The secret by which entries of the cache are known: whoever fills the cache and whoever reads it must have the same one.

Without a file it is made of the login of MySQL (sinks.edge_secret). Where edges and `outcry cache warm` have logins of their own, those differ, and
neither should need the other's: then both get this file, which opens nothing but entries of the cache.
"""

from pathlib import Path
from typing import Final

from schemas.errors import StaleData
from sinks.edge_secret import edge_secret

SECRET_BYTES: Final = 32
_EVERYBODY: Final = 0o007


def cache_secret(mysql_url: str, file: Path | None) -> bytes:
    """SECRET_BYTES. Raises StaleData for a file that is none or that everybody may read, BadLogin."""
    if file is None:
        return edge_secret(mysql_url, b"outcry-cache", SECRET_BYTES)
    try:
        if file.stat().st_mode & _EVERYBODY:
            raise StaleData(f"{file} is a secret that every user may read: chmod 600 {file}")
        secret = bytes.fromhex(file.read_text().strip())
    except (OSError, ValueError) as error:
        raise StaleData(f"{file} is not a secret of the cache ({type(error).__name__} {error}): `outcry keys services` makes one") from None
    if len(secret) != SECRET_BYTES:
        raise StaleData(f"{file} is not a secret of the cache: it has {len(secret)} bytes, not {SECRET_BYTES}")
    return secret
