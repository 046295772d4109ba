"""`outcry keys`: what it makes, what it says, and that it never says a secret."""

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from schemas.errors import OutcryError
from schemas.settings import Settings
from streams.operate.keys import accounts_of, keys


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Of an exchange with keys."""
    assert run(tmp_path, "init").exit_code == 0
    return tmp_path


def run(home: Path, *words: str) -> Result:
    """The command, as it is typed."""
    return CliRunner().invoke(keys, words, obj=Settings(home=home))


def secrets_of(home: Path) -> list[str]:
    """Of all files."""
    return [json.loads(path.read_text())["secret"] for path in (home / "keys" / "records").iterdir()]


def test_the_life_of_a_key_is_told_without_its_secret(home: Path) -> None:
    """Made, listed, replaced, ended."""
    said = [run(home, *words) for words in (
        ("init",), ("add", "acme", "--accounts", "1-99,200", "--after", "5"), ("rotate", "acme"), ("retire", "acme-2"), ("allow-unsigned",), ("list",),
    )]  # fmt: skip
    assert [one.exit_code for one in said] == [0] * len(said)
    text = "".join(one.output for one in said)
    for part in (
        "nothing was missing",
        "acme-1.json is made",
        "acme-2.json is made",
        "acme-1 ends at",
        "acme-2 ends at",
        "outcry keys retire unsigned-1",
    ):
        assert part in text.replace("\n", " ")
    listed = said[-1].output
    for part in ("acme-1", "1-99", "200", "match-orders-1", "unsigned-1", "to come"):
        assert part in listed
    assert not [secret for secret in secrets_of(home) if secret and secret in text]


def test_nothing_takes_effect_before_every_process_can_know(home: Path) -> None:
    """Replicas that look at different times would decide differently."""
    assert "5" in run(home, "retire", "producer-1", "--after", "1").output
    assert run(home, "retire", "producer-1", "--after", "1").exit_code == 2
    assert isinstance(run(home, "retire", "edge-1").exception, OutcryError)


@pytest.mark.parametrize("name", ["", "A", "a b", "../a", "-a", ".a", "ä", "a" * 51])
def test_a_producer_has_a_name_that_a_file_can_have(home: Path, name: str) -> None:
    """Wrong usage, and nothing is made."""
    before = len(secrets_of(home))
    assert run(home, "add", "--", name).exit_code == 2
    assert len(secrets_of(home)) == before


def test_accounts_are_ranges() -> None:
    """Both ends included."""
    assert accounts_of("7, 1-3") == ((7, 7), (1, 3))
    for text in ("", "a", "-1", "1-", "3-1", "1--2", "1,,2", "١"):
        with pytest.raises(click.BadParameter):
            accounts_of(text)


def test_a_home_without_keys_says_how_to_make_them(tmp_path: Path) -> None:
    """No table of nothing."""
    assert "outcry keys init" in run(tmp_path, "list").output
