"""Which replicas each process uses, so that a hundred replicas and two hundred processes do not make twenty thousand connections. Pure.

Rendezvous hashing (Thaler and Ravishankar, 1998): each process orders the replicas by a hash of both names. When a replica comes or goes, only
the processes that have it in their subset change. Plain subsets are uneven (100 replicas, 200 processes: max/mean 1.44), so a replica that has
its share of processes is passed over.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Sequence


def order_of(process: str, servers: Sequence[str]) -> list[str]:
    """The servers in this process's order."""
    return sorted(servers, key=lambda server: hashlib.blake2b(f"{process}\0{server}".encode(), digest_size=8).digest())


def subsets(processes: Sequence[str], servers: Sequence[str], size: int, bound: float) -> dict[str, list[str]]:
    """By process, `size` servers (all, if there are no more); no server has more than `bound` times the mean of processes, rounded up.

    Every process that knows the same lists comes to the same result. Whoever finds too few servers with room takes full ones.
    """
    size = min(size, len(servers))
    if not size:
        return {process: [] for process in processes}
    full = math.ceil(bound * len(processes) * size / len(servers))
    taken: Counter[str] = Counter()
    found = {}
    for process in sorted(processes):
        order = order_of(process, servers)
        chosen = [server for server in order if taken[server] < full][:size]
        chosen += [server for server in order if server not in chosen][: size - len(chosen)]
        taken.update(chosen)
        found[process] = chosen
    return found
