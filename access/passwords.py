"""Passwords: argon2id (RFC 9106, section 4: three passes over 64 MiB in four lanes), which makes each guess cost memory and time.

A hash says how it was made, so one of other parameters is still understood.
"""

import secrets
import unicodedata
from functools import cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from schemas.errors import OutcryError

CHARACTERS_MIN: Final = 12
CHARACTERS_MAX: Final = 256
_DIFFERENT_MIN: Final = 5
HASHER: Final = PasswordHasher(time_cost=3, memory_cost=64 << 10, parallelism=4)


def check_password(name: str, password: str) -> None:
    """Raises OutcryError for one that is too easy to guess. Length counts, not kinds of characters (NIST SP 800-63B)."""
    if len(password) < CHARACTERS_MIN:
        raise OutcryError(f"the password has {len(password)} characters; at least {CHARACTERS_MIN} are needed. A few words will do")
    if len(password) > CHARACTERS_MAX:
        raise OutcryError(f"the password has more than {CHARACTERS_MAX} characters")
    if len(set(password.lower())) < _DIFFERENT_MIN or name in password.lower():
        raise OutcryError(f"the password is too easy to guess: it has the name in it, or fewer than {_DIFFERENT_MIN} different characters")


def hash_password(password: str) -> str:
    """What is stored of a password."""
    return HASHER.hash(_normal(password))


def is_password(stored: str, password: str) -> bool:
    """Whether it is the password; ~0.1 s of processor time and 64 MiB, whatever the answer."""
    try:
        return HASHER.verify(stored, _normal(password))
    except (VerificationError, InvalidHashError):
        return False


@cache
def nobodys_hash() -> str:
    """A hash to compare with where there is no person, so that the time of an answer does not tell."""
    return hash_password(secrets.token_urlsafe(32))


def _normal(password: str) -> str:
    """The same whatever way a keyboard makes an accent."""
    return unicodedata.normalize("NFKC", password)
