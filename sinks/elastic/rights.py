"""Which login may do what in Elasticsearch: methods and paths of its HTTP, or where it has its security module, privileges. No I/O.

The role that stores the audit trail can write documents, and can delete no index. Documents it can write over by a bulk request, whose body nobody
looks at here: what is proven of the trail is proven by the log (`outcry audit elastic`). The edge can only search events of accounts.
"""

import hashlib
import json
import secrets
from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any, Final

_ANY: Final = ("GET,HEAD,POST,PUT,DELETE", "/.*")
RIGHTS: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "persist-elasticsearch": (
        ("GET,HEAD", "/"),
        ("PUT", r"/_index_template/[a-z-]+"),
        ("POST,PUT", "/_bulk"),
        ("POST,GET", r"/audit-[a-z*-]+/_refresh"),
    ),
    "edge": (("POST", r"/audit-account-events-\*/_search"),),
    "operator": (_ANY,),
    "administrator": (("GET", "/_cluster/health"),),
}
"""By login: methods, and a regular expression for the whole path."""


def login_lines(passwords: Mapping[str, str]) -> Iterator[str]:
    """Lines of the file that the node reads; it has digests of the passwords, which are random and long."""
    for name, rights in RIGHTS.items():
        digest = hashlib.sha256(passwords[name].encode()).hexdigest()
        yield "\t".join([name, digest, *(part for right in rights for part in right)])


PRIVILEGES: Final[Mapping[str, Mapping[str, Any]]] = {
    "persist-elasticsearch": {
        "cluster": ["monitor", "manage_index_templates"],
        "indices": [{"names": ["audit-*"], "privileges": ["create_doc", "auto_configure", "maintenance"]}],
    },
    "edge": {"indices": [{"names": ["audit-account-events-*"], "privileges": ["read"]}]},
    "operator": {
        "cluster": ["monitor", "manage_index_templates"],
        "indices": [{"names": ["audit-*"], "privileges": ["all"]}],
    },
    "administrator": {"cluster": ["monitor"]},
}
"""The same by the security module of Elasticsearch, which looks into bulk requests too: create_doc writes over no document."""
_ITERATIONS: Final = 10_000
"""Of PBKDF2, Elasticsearch's default; the passwords are random and long."""
_SALT_BYTES: Final = 32
_DIGEST_BYTES: Final = 32


def security_files(passwords: Mapping[str, str]) -> dict[str, str]:
    """Files of the realm `file` by their names in the configuration's folder: users, what roles they have, and what roles may do. passwords: by login."""
    return {
        "users": "".join(f"{name}:{_hashed(passwords[name])}\n" for name in PRIVILEGES),
        "users_roles": "".join(f"outcry-{name}:{name}\n" for name in PRIVILEGES),
        "roles.yml": "".join(f"outcry-{name}: {json.dumps(some)}\n" for name, some in PRIVILEGES.items()),
    }


def _hashed(password: str) -> str:
    """As the realm keeps it: PBKDF2 with HMAC-SHA512."""
    salt = secrets.token_bytes(_SALT_BYTES)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS, _DIGEST_BYTES)
    return f"{{PBKDF2}}{_ITERATIONS}${b64encode(salt).decode()}${b64encode(digest).decode()}"
