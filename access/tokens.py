"""Random words that stand for somebody: of a session, and of a program that works in a person's name. Stores have their digests only."""

import re
import secrets
from hashlib import sha256
from typing import Final

_PREFIX: Final = "outcry"
_FORM: Final = re.compile(rf"{_PREFIX}_([0-9a-f]{{12}})_([A-Za-z0-9_-]{{43}})")


def new_session_word() -> str:
    """256 random bits."""
    return secrets.token_urlsafe(32)


def new_operator_token() -> tuple[str, str]:
    """(id, token). The id is in the token; it is no secret, and is what people call it by."""
    token_id = secrets.token_hex(6)
    return token_id, f"{_PREFIX}_{token_id}_{secrets.token_urlsafe(32)}"


def id_of(token: str) -> str | None:
    """The id in an operator token; None if it has not the form of one."""
    found = _FORM.fullmatch(token)
    return found[1] if found else None


def digest_of(word: str) -> str:
    """What is stored: SHA-256 as hexadecimal text. The words are random, so no slow hash is needed."""
    return sha256(word.encode("utf-8", "replace")).hexdigest()
