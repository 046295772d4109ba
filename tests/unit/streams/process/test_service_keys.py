"""The local authority: what it makes, when it renews, and that clients believe it and nobody else."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from schemas.logins import PLAIN, SCRAM, read_login
from schemas.settings import Settings
from streams.process import service_keys
from streams.process.authority import LIFE, RENEWED_WITH_LEFT, BadCertificate, certificate_in, make_authority, make_certificate, serial_in
from streams.services import preflight
from streams.services.local_set import LocalSet
from topics.kafka_clients import look_at
from topics.rights import LOGINS, SUPER_USERS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """All keys of a home."""
    made = tmp_path / "services"
    service_keys.make_missing(made)
    return made


@contextmanager
def serving(file: Path) -> Iterator[int]:
    """The port of a server with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            try:
                connection, _ = listener.accept()
                with connection, context.wrap_socket(connection, server_side=True):
                    pass
            except OSError:
                pass  # the client does not trust us

        thread = threading.Thread(target=answer)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def test_what_is_secret_is_the_owners_alone(folder: Path) -> None:
    """Folders of 0700, keys and passwords of 0600, and no password twice."""
    for path in (folder, *folder.rglob("*")):
        wanted = 0o700 if path.is_dir() else 0o644 if path.name == service_keys.AUTHORITY else 0o600
        assert path.stat().st_mode & 0o777 == wanted, path
    found = service_keys.logins(folder)
    assert found.keys() == {*LOGINS, *SUPER_USERS}
    assert len({login.password for login in found.values()}) == len(found)
    assert {login.mechanism for name, login in found.items() if name in SUPER_USERS} == {PLAIN}
    assert {login.mechanism for name, login in found.items() if name not in SUPER_USERS} == {SCRAM}


def test_nothing_is_made_twice(folder: Path) -> None:
    """A second call changes no file."""
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert service_keys.make_missing(folder) == []
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_certificate_is_renewed_when_a_third_of_its_life_is_left(folder: Path) -> None:
    """Not before; and it keeps its names."""
    file = service_keys.certificate_of(folder, "kafka")
    service_keys.renew(folder, ["kafka.example"], everything=False)
    one = certificate_in(file, folder / service_keys.AUTHORITY)
    assert "kafka.example" in one.names
    assert one.state(one.ends - RENEWED_WITH_LEFT - timedelta(minutes=1)) == "valid"
    assert one.state(one.ends - RENEWED_WITH_LEFT + timedelta(minutes=1)) == "to be renewed"
    assert one.state(one.ends) == "expired"
    assert one.state(one.begins - timedelta(minutes=1)) == "to come"
    assert service_keys.renew(folder, everything=False) == []
    make_certificate(file, folder / service_keys.AUTHORITY, folder / service_keys.AUTHORITY_KEY, one.names, LIFE / 100)
    make_certificate(file, folder / service_keys.AUTHORITY, folder / service_keys.AUTHORITY_KEY, one.names, -timedelta(minutes=1))
    assert service_keys.renew(folder, everything=False) == ["kafka"]
    assert set(certificate_in(file, folder / service_keys.AUTHORITY).names) == set(one.names)


def test_a_certificate_of_another_authority_is_seen_and_replaced(folder: Path, tmp_path: Path) -> None:
    """A folder that was put together from two homes."""
    make_authority(tmp_path / "a.pem", tmp_path / "k.pem", "another")
    file = service_keys.certificate_of(folder, "mariadb")
    make_certificate(file, tmp_path / "a.pem", tmp_path / "k.pem", ["localhost"])
    assert certificate_in(file, folder / service_keys.AUTHORITY).state(datetime.now(UTC)) == "from another authority"
    assert service_keys.renew(folder, everything=False) == ["mariadb"]


def test_a_client_says_why_it_does_not_trust_a_server(folder: Path, tmp_path: Path) -> None:
    """Each reason with its sentence; a good certificate has none."""
    login = read_login(folder / "logins" / "edge.json")
    ours = folder / service_keys.AUTHORITY, folder / service_keys.AUTHORITY_KEY
    make_authority(tmp_path / "a.pem", tmp_path / "k.pem", "another")
    made = tmp_path / "server.pem"

    def said() -> str:
        with serving(made) as port:
            return look_at("127.0.0.1", port, login)

    make_certificate(made, *ours, ["127.0.0.1"])
    assert said() == ""
    make_certificate(made, *ours, ["127.0.0.1"], -timedelta(minutes=1))
    assert "has expired" in said()
    make_certificate(made, *ours, ["10.0.0.1", "localhost"])
    assert "is for another address" in said()
    make_certificate(made, tmp_path / "a.pem", tmp_path / "k.pem", ["127.0.0.1"])
    assert "from an authority that this login does not trust" in said()


def test_doctor_tells_what_has_expired_and_what_helps(tmp_path: Path) -> None:
    """Nothing of a home that has never been secure."""
    settings = Settings(home=tmp_path)
    assert list(preflight.service_keys(settings)) == []
    service_keys.make_missing(settings.service_keys)
    (good,) = preflight.service_keys(settings)
    assert good.mend is None
    folder = settings.service_keys
    file = service_keys.certificate_of(folder, "kafka")
    make_certificate(file, folder / service_keys.AUTHORITY, folder / service_keys.AUTHORITY_KEY, ["localhost"], -timedelta(minutes=1))
    bad, _ = preflight.service_keys(settings)
    assert (bad.fact, bad.mend) == (f"{file} is expired", "outcry keys certificates --renew")


def test_a_home_that_has_been_secure_stays_so_until_somebody_says_otherwise(tmp_path: Path) -> None:
    """Leaving out a word opens nothing."""
    assert LocalSet(Settings(home=tmp_path)).settings.secure is False
    service_keys.make_missing(Settings(home=tmp_path).service_keys)
    assert LocalSet(Settings(home=tmp_path)).settings.secure is True
    assert LocalSet(Settings(home=tmp_path, secure=False)).settings.secure is False


def test_files_that_cannot_be_read_are_named(folder: Path) -> None:
    """A certificate, and the key of the authority."""
    file = service_keys.certificate_of(folder, "kafka")
    file.write_text("nothing")
    with pytest.raises(BadCertificate, match=r"kafka\.pem cannot be read"):
        serial_in(file)
    (folder / service_keys.AUTHORITY_KEY).write_text("nothing")
    file.unlink()
    with pytest.raises(BadCertificate, match=r"authority-key\.pem, cannot be read"):
        service_keys.renew(folder, everything=False)
