"""Signed requests: a private key instead of a secret. What is signed is told in docs/native-api.md."""

import time
from base64 import b64encode
from pathlib import Path
from typing import Any, Final, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

WINDOW_MS: Final = 5_000


class Signer:
    """An Ed25519 private key. window_ms: how long after it was signed a request is good."""

    def __init__(self, private_key: Ed25519PrivateKey, *, window_ms: int = WINDOW_MS) -> None:
        self._key, self._window_ms = private_key, window_ms
        self._newest_us = 0

    @classmethod
    def from_pem(cls, path: str | Path, password: bytes | None = None, *, window_ms: int = WINDOW_MS) -> Self:
        """The key of a PEM file. Raises ValueError for one of another kind, OSError."""
        key = load_pem_private_key(Path(path).read_bytes(), password)
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError(f"{path} has a key of another kind than Ed25519")  # noqa: TRY004 - the file's content is wrong, not a type
        return cls(key, window_ms=window_ms)

    @property
    def public_key(self) -> str:
        """What is registered with the exchange (`public_key` of keys.create)."""
        return b64encode(self._key.public_key().public_bytes_raw()).decode()

    def headers(self, key_id: str, method: str, path: str, body: bytes = b"") -> dict[str, str]:
        """Of one HTTP request; `path`: with its query. They are good once."""
        ts, signature = self._sign(key_id, method, path, body)
        return {"X-API-Key": key_id, "X-Timestamp": str(ts), "X-Window": str(self._window_ms), "X-Signature": signature}

    def logon(self, key_id: str) -> dict[str, Any]:
        """Fields of session.logon beside `key`. They are good once."""
        ts, signature = self._sign(key_id, "GET", "/ws/v1", b"")
        return {"ts": ts, "window_ms": self._window_ms, "signature": signature}

    def _sign(self, key_id: str, method: str, path: str, body: bytes) -> tuple[int, str]:
        ts = self._newest_us = max(time.time_ns() // 1_000, self._newest_us + 1)  # two equal requests of one instant are two
        head = f"outcry.v1\n{method}\n{path}\n{key_id}\n{ts}\n{self._window_ms}\n".encode()
        return ts, b64encode(self._key.sign(head + body)).decode()
