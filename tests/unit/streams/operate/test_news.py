"""`outcry news publish`: what it says to wrong input before anything is told."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from schemas.settings import Settings
from streams.operate.news import news, public_at

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
NOW_NS = int(NOW.timestamp()) * 1_000_000_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["AAPL"], "Missing option '--headline'"),
        (["--headline", "x"], "Missing argument 'SYMBOL...'"),
        (["NOPE", "--headline", "x"], "'NOPE' is not traded here"),
        (["AAPL", "--headline", "  "], "one line of 1 to 500 printable characters"),
        (["AAPL", "--headline", "x" * 501], "one line of 1 to 500 printable characters"),
        (["AAPL", "--headline", "a\x1b[2Jb"], "one line of 1 to 500 printable characters"),
        (["AAPL", "--headline", "x", "--at", "noon"], "'noon' is not a time"),
        (["AAPL", "--headline", "x", "--at", "2026-03-02T09:30:00"], "has no offset"),
        (["AAPL", "--headline", "x", "--at", "2999-01-01T00:00:00+00:00"], "is to come"),
        (["AAPL", "--headline", "x", "--at", "2020-01-01T00:00:00+00:00"], "more than an hour ago"),
    ],
)
def test_wrong_news_is_named(tmp_path: Path, arguments: list[str], message: str) -> None:
    """Exit code 2 and a sentence, without any service."""
    done = CliRunner().invoke(news, ["publish", *arguments], obj=Settings(home=tmp_path))
    assert done.exit_code == 2, done.output
    assert message in " ".join(done.output.split())


def test_news_of_half_an_hour_ago_may_be_told() -> None:
    """To the microsecond."""
    at = NOW - timedelta(minutes=30, microseconds=7)
    assert public_at(at.isoformat(), NOW_NS) == NOW_NS - 1_800_000_007_000


def test_news_without_an_exchange_is_told_to_nobody(tmp_path: Path) -> None:
    """It is recorded first who tells it; that record fails."""
    done = CliRunner().invoke(news, ["publish", "AAPL", "--headline", "x"], obj=Settings(home=tmp_path))
    assert "nothing was done" in str(done.exception)
