"""Which login may do what in Redis: the one table from which its users are made. No I/O.

In the language of Redis' access control lists: keys that may be read and written (`~`) or only read (`%R~`), and commands.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from sinks.redis.client import PREFIX
from sinks.redis.sink import HASHES

_CONNECT: Final = "-@all +ping +hello +auth +select +client|setinfo +client|setname"
_PRICES: Final = tuple(dict.fromkeys(f"{PREFIX}{kept.name}:*" for kept in HASHES.values()))
_EDGES: Final = (f"{PREFIX}session:*", f"{PREFIX}signed:*", f"{PREFIX}trader:*")
"""What edges remember together."""
_READ_PRICES: Final = " ".join(f"%R~{keys}" for keys in _PRICES)
RIGHTS: Final[Mapping[str, str]] = {
    "persist-redis": f"{' '.join(f'~{keys}' for keys in _PRICES)} {_CONNECT} +eval +hget +hset",
    "edge": f"{' '.join(f'~{keys}' for keys in _EDGES)} {_READ_PRICES} {_CONNECT} +get +set +del +hgetall",
    "operator": f"~{PREFIX}* {_CONNECT} +@read +@write +scan +eval +multi +exec +info -@dangerous +info",
    "administrator": "~* &* +@all",
}
"""Of the server with prices and sessions."""
CACHE_RIGHTS: Final[Mapping[str, str]] = {
    "edge": f"~{PREFIX}cache:* {_CONNECT} +get +mget +set +del +eval +info",
    "operator": f"~{PREFIX}cache:* {_CONNECT} +@read +@write +scan +eval +info",
    "administrator": "~* &* +@all",
}
"""Of the cache in front of MySQL."""


def user_lines(rights: Mapping[str, str], passwords: Mapping[str, str]) -> Iterator[str]:
    """Lines of a configuration file or a list of users. Nobody else gets in. passwords: by login."""
    yield "user default off"
    for name, some in rights.items():
        yield f"user {name} on >{passwords[name]} resetkeys resetchannels {some}"
