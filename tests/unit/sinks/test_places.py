"""Places that clients carry, the list of servers, and the words of two makes."""

import json
from pathlib import Path

import pytest

from schemas.errors import ServiceUnavailable, StaleData
from sinks.mysql.dialect import MARIADB, MYSQL, dialect_of
from sinks.mysql.places import Place, PlaceTokens, later
from sinks.mysql.servers import ServerAddress, Servers, ServersFile, parse_servers, servers_text

URL = "mysql://outcry:secret@127.0.0.1:3306/outcry"
TWO = Servers(3, "a", (ServerAddress("a", URL), ServerAddress("b", URL, "west", draining=True, rebuild="it has diverged")))


def test_a_token_says_its_place_to_every_edge_also_after_a_promotion() -> None:
    """Hosts and ports change, the secret does not."""
    token = PlaceTokens(URL).seal(7, Place(1, 12_345))
    assert PlaceTokens("mysql://outcry:secret@10.0.0.9:4000/outcry").open(7, token) == Place(1, 12_345)


@pytest.mark.parametrize(
    "forged",
    ["", "1.2", "1.99999999.{code}", "0.12345.{code}", "1.12345.", "1.12345.zz", "1.-1.{code}", "1.12345.{code}é", "1.9" + "9" * 30 + ".{code}", "...", "1.١٢.{code}"],
)  # fmt: skip
def test_a_token_that_was_not_made_here_says_nothing(forged: str) -> None:
    """One from the future would send every read to the primary."""
    tokens = PlaceTokens(URL)
    code = tokens.seal(7, Place(1, 12_345)).rpartition(".")[2]
    assert tokens.open(7, forged.format(code=code)) is None


def test_a_token_of_another_account_or_exchange_says_nothing() -> None:
    """Shards of other accounts are further."""
    token = PlaceTokens(URL).seal(7, Place(1, 12_345))
    assert PlaceTokens(URL).open(8, token) is None
    assert PlaceTokens(URL.replace("secret", "other")).open(7, token) is None


def test_the_later_of_two_places_counts() -> None:
    """What a client brings, and what this edge knows."""
    assert later(Place(0, 5), Place(0, 9)) == later(Place(0, 9), Place(0, 5)) == later(None, Place(0, 9)) == Place(0, 9)
    assert later(None, None) is None


def test_the_list_of_servers_is_read_as_it_was_written_and_again_when_it_is_replaced(tmp_path: Path) -> None:
    """Replaced as a whole; a broken one changes nothing."""
    path = tmp_path / "servers.json"
    path.write_text(servers_text(TWO))
    file = ServersFile(path)
    assert file.read() == TWO
    assert file.read() is file.read(), "not parsed again"
    draft = tmp_path / "draft"
    draft.write_text(servers_text(Servers(4, "", TWO.servers, "a")))
    draft.replace(path)
    assert file.read().former == "a"
    with pytest.raises(ServiceUnavailable, match="promotion"):
        file.read().primary_url()
    path.write_text("{")
    assert file.read().epoch == 4, "what was known stays"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"epoch": 0}, "epoch: 0"), ({"epoch": True}, "epoch: True"), ({"primary": "c"}, "primary: 'c'"), ({"servers": {}}, "servers: there are 0"),
        ({"servers": []}, "must be an object"), ({"servers": {"a": {"url": "http://x"}}}, "servers.a: url"), ({"former": "x"}, "former: 'x'"),
        ({"servers": {"a": {"url": URL, "zone": 1}}}, "servers.a: zone"), ({"servers": {"a": {"url": URL, "rebuild": True}}}, "servers.a: zone and rebuild"), ({"servers": {f"s{n}": {"url": URL} for n in range(201)}}, "there are 201"),
    ],
)  # fmt: skip
def test_a_bad_list_says_what_and_where(change: dict[str, object], says: str) -> None:
    """It is written by hand elsewhere."""
    with pytest.raises(StaleData, match=says) as raised:
        parse_servers(json.dumps(json.loads(servers_text(TWO)) | change), "/etc/servers.json")
    assert "/etc/servers.json" in str(raised.value)


def test_positions_of_both_makes_become_numbers_that_grow() -> None:
    """Transactions, whatever they are called."""
    assert [MARIADB.number(text) for text in ("", "0-1-5", "0-2-6", "0-2-6,1-1-10")] == [0, 5, 6, 16]
    first = "3E11FA47-71CA-11E1-9E33-C80AA9429562"
    assert [MYSQL.number(text) for text in ("", f"{first}:5", f"{first}:1-5", f"{first}:1-5:11-18,\n{first}:1-2")] == [0, 1, 5, 15]


def test_the_make_is_known_by_its_version() -> None:
    """Each refuses the other's functions."""
    assert dialect_of("11.4.5-MariaDB-log") is MARIADB
    assert dialect_of("10.11.6-mariadb-0+deb12u1") is MARIADB
    assert dialect_of("8.4.3") is MYSQL


def test_a_replica_is_understood_in_the_words_of_both_makes() -> None:
    """Master, source; slave, replica."""
    maria = {
        "Master_Host": "h",
        "Master_Port": 1,
        "Slave_IO_Running": "Yes",
        "Slave_SQL_Running": "No",
        "Gtid_IO_Pos": "0-1-7",
        "Last_SQL_Error": "e",
    }
    mysql = {
        "Source_Host": "h",
        "Source_Port": 1,
        "Replica_IO_Running": "Yes",
        "Replica_SQL_Running": "No",
        "Retrieved_Gtid_Set": "0-1-7",
        "Last_SQL_Error": "e",
    }
    assert MARIADB.threads([maria]) == MYSQL.threads([mysql])
    assert MARIADB.threads([maria]).applies is False
    assert MARIADB.threads([]).source == ""
