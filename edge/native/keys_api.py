"""An account's own API keys over HTTP: POST /v1/keys.create, keys.list, keys.rotate, keys.withdraw.

Each needs a key that may trade. One that is limited to addresses or to a time makes no others: whoever has it would be rid of its limits. No key makes one that
may do more than itself. A withdrawn key ends on every edge within a second, its sockets too. The secret of a new key is in
its answer and nowhere else.
"""

import math
import time
from base64 import b64encode
from collections.abc import Iterable
from typing import Any, Final

from access.api_keys import NETWORKS_MAX, Scope, scopes_of
from access.signatures import public_key_of
from edge.gateway.access.api_keys import ApiKeys, NewKey, NotDone
from edge.gateway.access.sessions import KEY_ID_CHARACTERS_MAX, Session
from edge.gateway.outcomes import Accepted, Unavailable
from edge.http.client_data import quoted
from edge.native.limits import LABEL_CHARACTERS_MAX, PUBLIC_KEY_CHARACTERS_MAX, ROTATION_OVERLAP_S_MAX
from edge.native.wire.fields import Fields
from edge.native.wire.problems import Problem, invalid, value_of
from schemas.errors import OutcryError
from sinks.mysql.api_keys import StoredKey

_SCOPES: Final = {str(scope): scope for scope in Scope}
_US_MAX: Final = (1 << 62) // 1_000


def _done(outcome: Accepted[Any] | NotDone | Unavailable) -> Any:
    """Its value. Raises Problem."""
    if isinstance(outcome, NotDone):
        raise Problem("rejected", outcome.text, outcome="rejected")
    return value_of(outcome)


async def create(keys: ApiKeys, session: Session, address: str, fields: Fields) -> dict[str, Any]:
    """`scopes`, `networks`, `ends_at`, `label`, `public_key`: a new key; with a public key its requests are signed, and it has no secret."""
    _require_unlimited(session)
    scopes = []
    for word in fields.items("scopes", len(_SCOPES)):
        if not isinstance(word, str) or word not in _SCOPES:
            raise invalid("scopes", f"has {quoted(word)}: must be of {', '.join(_SCOPES)}")
        scopes.append(_SCOPES[word])
    networks = fields.items("networks", NETWORKS_MAX)
    ends_at, label = fields.whole("ends_at", 0, _US_MAX) or 0, fields.text("label", LABEL_CHARACTERS_MAX) or ""
    public_key = _public_key(fields)
    fields.done()
    if not scopes:
        raise fields.missing("scopes")
    _require_own(session, scopes)
    if not all(isinstance(one, str) for one in networks):
        raise invalid("networks", "must be texts, such as 203.0.113.0/24")
    if ends_at and ends_at * 1_000 <= time.time_ns():
        raise invalid("ends_at", "must be in the future, in microseconds since 1970")
    made = await keys.create(session.account, address, scopes, networks, ends_at=ends_at * 1_000, label=label, public_key=public_key)
    return _told(_done(made))


async def listed(keys: ApiKeys, session: Session, _address: str, fields: Fields) -> dict[str, Any]:
    """Every key that the account ever had, without secrets."""
    fields.done()
    now = time.time_ns()
    return {"keys": [_stored(one, now) for one in _done(await keys.listed(session.account))]}


async def rotate(keys: ApiKeys, session: Session, address: str, fields: Fields) -> dict[str, Any]:
    """`key`, `overlap_s`, `public_key`: a new key with the rights of this one, which ends after the overlap."""
    _require_unlimited(session)
    key, overlap_s = fields.need("key", KEY_ID_CHARACTERS_MAX), fields.whole("overlap_s", 0, ROTATION_OVERLAP_S_MAX) or 0
    public_key = _public_key(fields)
    fields.done()
    for one in _done(await keys.listed(session.account)):
        if one.key_id == key:
            _require_own(session, scopes_of(one.scopes))
    return _told(_done(await keys.rotate(session.account, address, key, overlap_s, public_key)))


async def withdraw(keys: ApiKeys, session: Session, address: str, fields: Fields) -> dict[str, Any]:
    """`key`: it ends now."""
    key = fields.need("key", KEY_ID_CHARACTERS_MAX)
    fields.done()
    _done(await keys.withdraw(session.account, address, key))
    return {"key": key}


def _require_unlimited(session: Session) -> None:
    if session.networks or not math.isinf(session.ends_s):
        raise Problem("wrong_scope", "an API key that is limited to addresses or to a time makes no others")


def _require_own(session: Session, scopes: Iterable[Scope]) -> None:
    """Whoever has a key gets none that may do more."""
    more = sorted(set(scopes) - session.scopes)
    if more:
        raise Problem("wrong_scope", f"this API key may not {more[0]}, so it makes no key that may", scope=str(more[0]))


def _told(new: NewKey) -> dict[str, Any]:
    return {"key": new.key_id, "secret": new.secret} if new.secret else {"key": new.key_id}


def _public_key(fields: Fields) -> bytes:
    """Empty if absent."""
    text = fields.text("public_key", PUBLIC_KEY_CHARACTERS_MAX)
    try:
        return public_key_of(text) if text is not None else b""
    except OutcryError as error:
        raise invalid("public_key", str(error)) from None


def _stored(key: StoredKey, now_ns: int) -> dict[str, Any]:
    told = {
        "key": key.key_id, "scopes": sorted(scopes_of(key.scopes)), "networks": [one for one in key.networks.split(",") if one],
        "label": key.label, "created_at": key.created_at // 1_000, "has_ended": bool(key.ends_at) and key.ends_at <= now_ns,
    }  # fmt: skip
    if key.public_key:
        told["public_key"] = b64encode(bytes.fromhex(key.public_key)).decode()
    return told | {"ends_at": key.ends_at // 1_000} if key.ends_at else told


KEY_OPERATIONS: Final = {"keys.create": create, "keys.list": listed, "keys.rotate": rotate, "keys.withdraw": withdraw}
