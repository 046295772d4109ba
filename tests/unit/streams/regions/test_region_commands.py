"""What `outcry region` says to bad input, before anything is started."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from schemas.settings import Settings
from streams.__main__ import outcry
from streams.regions.access_copy import take_login


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["follow", "nonsense"], 2, "'nonsense' is not host:port[,host:port]"),
        (["follow", "127.0.0.1:1", "--mysql", "nonsense"], 2, "'nonsense' is not mysql://user:password@host:port/database"),
        (["follow", "127.0.0.1:1", "--number", "1"], 2, "1 is not in the range 2<=x<=4"),
        (["status"], 1, "Kafka: no address; start the local set with `outcry up`"),
        (["take-over"], 1, "Kafka: no address; start the local set with `outcry up`"),
        (["compare", "--with", "127.0.0.1:1"], 1, "Kafka: no address; start the local set with `outcry up`"),
    ],
)
def test_bad_input_is_told_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str], code: int, sentence: str) -> None:
    """With what is wrong; a known failure is one of ours, which the program turns into a line."""
    monkeypatch.setenv("OUTCRY_HOME", str(tmp_path))
    monkeypatch.delenv("OUTCRY_KAFKA_URL", raising=False)
    result = CliRunner().invoke(outcry, ["region", *arguments])
    assert result.exit_code == code
    assert sentence in result.output + str(result.exception)


@pytest.mark.parametrize(
    ("theirs", "taken"),
    [
        ("mysql://outcry:a-word_of-theirs@10.0.0.1:3306/outcry", "a-word_of-theirs"),
        ("mysql://outcry:it%27s%20odd@10.0.0.1:3306/outcry", None),
        ("mysql://somebody:a-word_of-theirs@10.0.0.1:3306/outcry", None),
        ("mysql://outcry:a-word_of-theirs@10.0.0.1:3306/other", None),
        ("mysql://10.0.0.1:3306/outcry?login=/run/secrets/logins", None),
        ("", None),
    ],
)
def test_a_new_home_gets_the_password_by_which_addresses_are_known(tmp_path: Path, theirs: str, taken: str | None) -> None:
    """Only one that `outcry up` has made; the file is the owner's alone. A home that has one keeps it."""
    settings = Settings(home=tmp_path, copies_mysql_from=theirs)
    file = settings.data_dir / "mariadb" / "password"
    take_login(settings)
    assert (file.read_text() if file.exists() else None) == taken
    if taken is not None:
        assert file.stat().st_mode & 0o077 == 0
        take_login(settings.model_copy(update={"copies_mysql_from": "mysql://outcry:another-word@10.0.0.1:3306/outcry"}))
        assert file.read_text() == taken
