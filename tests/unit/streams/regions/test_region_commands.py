"""What `outcry region` says to bad input, before anything is started."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from streams.__main__ import outcry


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
