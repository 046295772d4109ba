"""OUTCRY_OWNER_SETS_FILE: read by watch-trading and by the checks before a start; whatever is wrong with it is said with its place."""

from pathlib import Path

import pytest

from schemas.errors import OutcryError
from schemas.instruments import load_instruments
from schemas.settings import Settings
from streams.roles.watch_trading import WatchTrading, read_owner_sets
from streams.services.preflight import NotReadyToStart, owner_sets, require

GOOD = "[[owner_set]]\neffective_from = 1\ngroups = [[1, 2]]\n"


def settings(tmp_path: Path, text: bytes | None) -> Settings:
    """With a file of this text; None: it is not there."""
    path = tmp_path / "owners.toml"
    if text is not None:
        path.write_bytes(text)
    return Settings(home=tmp_path, owner_sets_file=path)


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "No such file"), (b"\xff", "utf-8"), (b"[[owner_set]]\ngroups = []", "set 1: needs exactly effective_from and groups")],
)
def test_a_bad_file_stops_the_role_and_the_start_with_its_name_and_what_is_wrong(tmp_path: Path, text: bytes | None, message: str) -> None:
    """Before anything is read."""
    given = settings(tmp_path, text)
    with pytest.raises(OutcryError, match=rf"OUTCRY_OWNER_SETS_FILE .*owners.toml: .*{message}"):
        read_owner_sets(given)
    (finding,) = owner_sets(given)
    assert message in finding.fact
    assert "OUTCRY_OWNER_SETS_FILE" in (finding.mend or "")
    with pytest.raises(NotReadyToStart, match="owner sets"):
        require(given, {"watch-trading"})


def test_a_good_file_is_found_good_and_none_is_no_finding(tmp_path: Path) -> None:
    """The text goes to the role as it is."""
    given = settings(tmp_path, GOOD.encode())
    assert read_owner_sets(given) == GOOD
    assert [one.mend for one in owner_sets(given)] == [None]
    assert list(owner_sets(Settings(home=tmp_path))) == []
    assert read_owner_sets(Settings(home=tmp_path)) == ""


def test_the_owner_sets_are_no_part_of_the_configuration() -> None:
    """A set for tomorrow may be added between two starts; one of the past is found by the snapshot itself."""
    table = load_instruments(None)
    assert WatchTrading(0, table).configuration() == WatchTrading(0, table, GOOD).configuration()
