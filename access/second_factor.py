"""Codes of an authenticator app (TOTP, RFC 6238: six digits, 30 s). Each works once."""

import hmac
from typing import Final

import pyotp

STEP_S: Final = 30
_STEPS_OFF: Final = 1
"""How many steps the clock of a phone may be off, either way."""


def new_secret() -> str:
    """160 random bits in base 32, as apps take them."""
    return pyotp.random_base32()


def uri_of(secret: str, name: str) -> str:
    """What an app reads from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name="Open Outcry")


def code_at(secret: str, step: int) -> str:
    """The code of a time step."""
    return pyotp.TOTP(secret).generate_otp(step)


def step_of(secret: str, code: str, now_s: float, last_step: int) -> int | None:
    """The time step of which this is the code; None if it is of none near `now_s`, or of none after `last_step`, the one that was used last."""
    given, now = "".join(code.split()).encode("utf-8", "replace"), int(now_s) // STEP_S
    for step in range(now - _STEPS_OFF, now + _STEPS_OFF + 1):
        if hmac.compare_digest(code_at(secret, step).encode(), given) and step > last_step:
            return step
    return None
