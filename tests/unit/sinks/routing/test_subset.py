"""Which replicas each process uses."""

from collections import Counter

import pytest

from sinks.mysql.routing.subset import subsets

SERVERS = [f"server-{number}" for number in range(100)]
PROCESSES = [f"edge-{number}" for number in range(200)]


def loads(found: dict[str, list[str]]) -> Counter[str]:
    """Processes by server."""
    return Counter(server for chosen in found.values() for server in chosen)


def test_no_server_has_more_than_its_bound_and_every_process_has_its_number() -> None:
    """200 processes, 100 servers."""
    found = subsets(PROCESSES, SERVERS, 8, 1.25)
    assert all(len(set(chosen)) == 8 for chosen in found.values())
    assert max(loads(found).values()) == 20, "1.25 x 200 x 8 / 100"


def test_without_the_bound_the_shares_are_as_uneven_as_they_are_known_to_be() -> None:
    """So the bound does something."""
    assert max(loads(subsets(PROCESSES, SERVERS, 8, 100)).values()) > 20


def test_every_process_finds_the_same_whatever_the_order_of_its_lists() -> None:
    """They do not talk to one another."""
    assert subsets(PROCESSES, SERVERS, 8, 1.25) == subsets(PROCESSES[::-1], SERVERS[::-1], 8, 1.25)


def test_the_loss_of_one_replica_moves_few() -> None:
    """Connections that stay are warm."""
    before, after = subsets(PROCESSES, SERVERS, 8, 1.25), subsets(PROCESSES, SERVERS[1:], 8, 1.25)
    moved = sum(len(set(before[process]) - set(after[process])) for process in PROCESSES)
    assert moved < 0.2 * 1_600, f"{moved} of 1,600"


@pytest.mark.parametrize("servers", [0, 1, 3])
def test_few_servers_are_all_used(servers: int) -> None:
    """With three replicas everybody has three."""
    assert all(sorted(chosen) == SERVERS[:servers] for chosen in subsets(PROCESSES, SERVERS[:servers], 8, 1.25).values())
