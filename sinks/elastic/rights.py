"""Which login may do what in Elasticsearch: methods and paths of its HTTP. No I/O.

The role that stores the audit trail can write documents, and can delete no index. Documents it can write over by a bulk request, whose body nobody
looks at here: what is proven of the trail is proven by the log (`outcry audit elastic`). The edge can only search events of accounts.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Final

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
