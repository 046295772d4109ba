"""An address may end with a login: what is read of it, and what is said where it cannot be."""

import json
import ssl
from pathlib import Path
from typing import Any

import pytest

from schemas.logins import (
    OPERATOR,
    SCRAM,
    BadLogin,
    act_as,
    acting_as,
    address_of,
    login_of,
    named,
    read_login,
    why_not_trusted,
    with_login,
)
from schemas.settings import Settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Logins of an operator and an edge."""
    for name in (OPERATOR, "edge"):
        (tmp_path / f"{name}.json").write_text(json.dumps({"name": name, "password": f"of {name}", "authority": "authority.pem"}))
    return tmp_path


def test_a_folder_has_a_login_for_each_and_a_process_takes_its_own(folder: Path) -> None:
    """Whoever runs commands is an operator; a role says who it is, once."""
    url = with_login("127.0.0.1:9092", folder)
    assert acting_as() == OPERATOR
    assert login_of(url) == read_login(folder / "operator.json")
    act_as("edge")
    try:
        found = login_of(url)
    finally:
        act_as(OPERATOR)
    assert found is not None
    assert (found.name, found.password, found.authority, found.mechanism) == ("edge", "of edge", folder / "authority.pem", SCRAM)
    assert address_of(url) == "127.0.0.1:9092"


def test_somebody_else_can_be_named_where_there_is_a_folder(folder: Path) -> None:
    """A file is one login, whoever asks; an address without login has none."""
    assert login_of(named(with_login("a:1", folder), "edge")) == read_login(folder / "edge.json")
    one = with_login("a:1", folder / "edge.json")
    assert named(one, OPERATOR) == one
    assert named("a:1", OPERATOR) == "a:1"
    assert login_of("mysql://user:password@a:1/b") is None


def test_a_mounted_secret_is_a_login_of_whoever_runs_there(tmp_path: Path) -> None:
    """As Kubernetes mounts one: a file for each of its entries."""
    (tmp_path / "password").write_text("of the secret\n")
    (tmp_path / "ca.crt").write_text("")
    found = login_of(with_login("a:1", tmp_path))
    assert found is not None
    assert (found.name, found.password, found.authority) == (OPERATOR, "of the secret", tmp_path / "ca.crt")
    assert named(with_login("a:1", tmp_path), "edge") == with_login("a:1", tmp_path)
    (tmp_path / "name").write_text("edge")
    found = login_of(with_login("a:1", tmp_path))
    assert found is not None
    assert found.name == "edge"
    (tmp_path / "password").write_text("\n")
    with pytest.raises(BadLogin, match="is empty"):
        login_of(with_login("a:1", tmp_path))


def test_no_address_and_no_login_shows_its_password(folder: Path) -> None:
    """They come in messages and logs."""
    assert "of edge" not in repr(read_login(folder / "edge.json")) + with_login("a:1", folder)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "there is no login"),
        ("not JSON", "cannot be read"),
        ([], "must be a JSON object"),
        ({"name": "edge", "password": "x"}, "must be a JSON object with the texts name, password, authority"),
        ({"name": "edge", "password": "", "authority": "a"}, "must be a JSON object"),
        ({"name": "edge", "password": 1, "authority": "a"}, "must be a JSON object"),
        ({"name": "edge", "password": "x", "authority": "a", "mechanism": "GSSAPI"}, "mechanism must be SCRAM-SHA-512 or PLAIN"),
    ],
)
def test_a_login_that_cannot_be_used_is_named_with_its_file(tmp_path: Path, content: Any, said: str) -> None:
    """And never shown."""
    file = tmp_path / "edge.json"
    if content is not None:
        file.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(BadLogin, match=said) as caught:
        login_of(with_login("a:1", file))
    assert str(file) in str(caught.value)


def test_an_authority_that_is_not_there_is_named(folder: Path) -> None:
    """Before anything is sent."""
    with pytest.raises(BadLogin, match=r"authority\.pem of the login edge cannot be read"):
        read_login(folder / "edge.json").tls()


def test_settings_take_addresses_with_a_login(tmp_path: Path) -> None:
    """The form of what stands before it is still checked."""
    given = {
        "kafka_url": "a:1,b:2", "mysql_url": "mysql://a:1/outcry", "redis_url": "unix:///a/b", "cache_url": "rediss://a:1/0",
        "elasticsearch_url": "https://a:1",
    }  # fmt: skip
    settings = Settings(home=tmp_path, **{name: with_login(url, tmp_path) for name, url in given.items()})
    assert {name: address_of(getattr(settings, name)) for name in given} == given
    for wrong in ("a?login=/x", "a:1?login=", "?login=/x"):
        with pytest.raises(ValueError, match="is not host:port"):
            Settings(home=tmp_path, kafka_url=wrong)


def test_what_is_wrong_with_a_certificate_is_said_wherever_the_client_hides_it() -> None:
    """Behind the error, in its arguments, or in a field of it."""
    expired = ssl.SSLCertVerificationError()
    expired.verify_code, expired.verify_message = 10, "certificate has expired"
    outer = OSError("no connection")
    outer.__cause__ = expired
    assert why_not_trusted(outer).startswith("the certificate has expired")
    assert why_not_trusted(RuntimeError("x", (), OSError())) == ""
    of_aiohttp = ssl.SSLCertVerificationError()
    assert why_not_trusted(of_aiohttp) == ""
    of_aiohttp.__cause__ = expired
    assert why_not_trusted(of_aiohttp).startswith("the certificate has expired")
    assert why_not_trusted(RuntimeError(expired)).startswith("the certificate has expired")
    assert why_not_trusted(None) == ""
