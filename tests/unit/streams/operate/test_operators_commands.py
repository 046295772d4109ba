"""The operator's commands: what they say to wrong input and to a missing exchange, before anything is posted."""

import hashlib
import json
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from schemas.settings import Settings
from streams.operate.accounts import Opening, _update_rows, accounts, make_api_keys, write_keys_file
from streams.operate.session import session


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cash", "x"], "'x' is not a decimal number"),
        (["--cash", "NaN"], "not a finite number"),
        (["--cash", "0.00001"], "not a multiple"),
        (["--cash", "-1"], "must not be negative"),
        (["--position", "NOPE=1"], "'NOPE' is not traded here"),
        (["--position", "AAPL"], "AAPL"),
        (["--position", "AAPL=0.5"], "not a multiple"),
        (["--position", "AAPL=-1"], "must be positive"),
        (["--count", "0"], "0 is not in the range"),
    ],
)
def test_wrong_arguments_of_accounts_open_are_named(tmp_path: Path, arguments: list[str], message: str) -> None:
    """Exit code 2 and a sentence, without any service."""
    done = CliRunner().invoke(accounts, ["open", *arguments], obj=Settings(home=tmp_path))
    assert done.exit_code == 2 and message in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["suspend"], "Missing argument 'ACCOUNT...'"),
        (["kill", "0"], "0 is not in the range"),
        (["resume", "x"], "'x' is not a valid integer"),
        (["limits", "7", "--max-order", "-1"], "--max-order: must not be negative"),
        (["limits", "7", "--restrict"], "need --symbol"),
        (["limits", "7", "--symbol", "NOPE"], "'NOPE' is not traded here"),
        (["limits", "7", "--symbol", "AAPL", "--max-position", "-5"], "no less than 0"),
        (["limits", "7", "--symbol", "AAPL", "--short-sale"], "--symbol goes with"),
        (["limits", "7", "--orders-per-second", "-1"], "-1 is not in the range"),
    ],
)
def test_wrong_arguments_of_what_an_operator_decides_are_named(tmp_path: Path, arguments: list[str], message: str) -> None:
    """Exit code 2 and a sentence, before anything is sent."""
    done = CliRunner().invoke(accounts, arguments, obj=Settings(home=tmp_path))
    assert done.exit_code == 2, done.output
    assert message in done.output


@pytest.mark.parametrize(
    "command",
    [
        (session, ["open"]),
        (session, ["close"]),
        (accounts, ["open"]),
        (accounts, ["kill", "7"]),
        (accounts, ["limits", "7", "--short-sale"]),
    ],
)
def test_without_a_running_exchange_the_error_says_what_to_start(tmp_path: Path, command: tuple[object, list[str]]) -> None:
    """The error of the world reaches the command line with its advice."""
    group, arguments = command
    done = CliRunner().invoke(group, arguments, obj=Settings(home=tmp_path))  # type: ignore[arg-type]
    assert done.exit_code == 1 and "outcry up" in str(done.exception)


def test_an_opening_becomes_one_row_of_cash_and_one_a_position() -> None:
    """The first row opens the account, even with nothing in it."""
    rows = _update_rows([Opening(7, 500, {1: 10, 2: 20}), Opening(8, 0, {})])
    found = [tuple(row[name] for name in ("account", "cash", "instrument", "order_qty")) for row in rows]
    assert found == [(7, 500, 0, 0), (8, 0, 0, 0), (7, 0, 1, 10), (7, 0, 2, 20)]


def test_keys_are_random_and_their_file_is_the_owners_alone(tmp_path: Path) -> None:
    """No two are equal; the digest is that of the secret; the file has mode 600."""
    keys = make_api_keys([1, 2, 2])
    assert len({key.key_id for key in keys}) == len({key.secret for key in keys}) == 3
    assert keys[0].secret_sha256 == hashlib.sha256(keys[0].secret.encode()).hexdigest()
    path = tmp_path / "new" / "keys.json"
    write_keys_file(path, keys)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())[1] == {"account": 2, "key_id": keys[1].key_id, "secret": keys[1].secret}
