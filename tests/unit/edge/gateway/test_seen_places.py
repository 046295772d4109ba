"""Where MySQL has replicas, every answer to a client says how far in the log it was told, and no edge believes what another party says of that."""

from pathlib import Path

import pytest
from support.edge_requests import KEY, OTHER_KEY, traded

from sinks.mysql.places import Place, PlaceTokens

URL = "mysql://outcry:secret@127.0.0.1:3306/outcry"
TOKENS = PlaceTokens(URL)
FILE = Path("/nowhere/servers.json")
"""What reads of history need; none is made here."""


async def test_an_answer_has_the_place_of_the_newest_event_that_the_client_knows() -> None:
    """In a header and in a cookie, signed for this account."""
    async with traded(mysql_servers_file=FILE, mysql_url=URL) as edge:
        edge.gateway.places.shards = 1
        await edge.place("buy", 1, "1.00")
        async with edge.client.get("/v2/account", headers=KEY) as response:
            first = TOKENS.open(1, response.headers["Outcry-Place"])
            assert response.cookies["outcry_place"].value == response.headers["Outcry-Place"]
        await edge.place("buy", 1, "1.01")
        async with edge.client.get("/v2/account", headers=KEY) as response:
            second = TOKENS.open(1, response.headers["Outcry-Place"])
        assert first is not None and second is not None and 0 < first.seq < second.seq
        assert edge.gateway.places.of(1) == second, "reads of this account's history are not behind it"


async def test_what_another_edge_has_told_counts_here() -> None:
    """By the header; by the cookie where there is none."""
    async with traded(mysql_servers_file=FILE, mysql_url=URL) as edge:
        edge.gateway.places.shards = 1
        async with edge.client.get("/v2/account", headers=KEY | {"Outcry-Place": TOKENS.seal(1, Place(0, 70_000))}) as response:
            assert response.status == 200
        assert edge.gateway.places.of(1) == Place(0, 70_000)
        edge.client.session.cookie_jar.clear()  # of the other account
        async with edge.client.get(
            "/v2/account", headers=OTHER_KEY | {"Cookie": f"outcry_place={TOKENS.seal(2, Place(0, 80_000))}"}
        ) as response:
            assert response.status == 200
        assert edge.gateway.places.of(2) == Place(0, 80_000)


@pytest.mark.parametrize(
    "token", ["0.99999999.00", "x", TOKENS.seal(2, Place(0, 99_999_999)), PlaceTokens(URL.replace("secret", "guess")).seal(1, Place(0, 99_999_999))]
)  # fmt: skip
async def test_a_place_from_the_future_that_no_edge_has_given_is_refused(token: str) -> None:
    """It would send every read of its account to the primary. A cookie may be an old one and is left alone."""
    async with traded(mysql_servers_file=FILE, mysql_url=URL) as edge:
        edge.gateway.places.shards = 1
        async with edge.client.get("/v2/account", headers=KEY | {"Outcry-Place": token}) as response:
            assert response.status == 400
            assert "Outcry-Place" in (await response.json())["message"]
        async with edge.client.get("/v2/account", headers=KEY | {"Cookie": f"outcry_place={token}"}) as response:
            assert response.status == 200
        place = edge.gateway.places.of(1)
        assert place is None or place.seq < 99_999_999


async def test_without_replicas_nothing_is_told_and_nothing_is_looked_at() -> None:
    """The default set."""
    async with traded(mysql_url=URL) as edge, edge.client.get("/v2/account", headers=KEY | {"Outcry-Place": "x"}) as response:
        assert response.status == 200
        assert "Outcry-Place" not in response.headers and not response.cookies


async def test_with_a_cache_and_several_edges_places_are_told_without_replicas_too() -> None:
    """An edge must not answer from an entry that is older than what another one has told. One edge alone knows by itself."""
    cached = {"mysql_url": URL, "cache_url": "redis://127.0.0.1:1/0"}
    for instances, told in ((2, True), (1, False)):
        async with traded(**cached, edge_instances=instances) as edge:
            edge.gateway.places.shards = 1
            async with edge.client.get("/v2/account", headers=KEY) as response:
                assert response.status == 200
                assert ("Outcry-Place" in response.headers) is told
            assert edge.gateway.places.of(1) is not None, "reads through the cache need it in any case"
