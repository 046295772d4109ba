"""Keys in files: who may read them, when a change is noticed, what a process does that has none."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from schemas.errors import OutcryError, StaleData
from schemas.settings import Settings
from streams.process import key_folder
from streams.process.record_keys import record_keys
from streams.services import preflight
from topics.catalogue import EXECUTIONS
from topics.key_files import LOOK_S, NO_KEYS, RecordKeys, content_of, read_key, read_keyring
from topics.record_codes import HEADER, UNCHECKED
from topics.speakers import OPERATOR, PRODUCER, SPEAKERS

SECOND = 10**9
NOW = 1_800_000_000 * SECOND


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a new exchange."""
    made = tmp_path / "keys" / "records"
    assert {key.speaker for key in key_folder.make_missing(made, NOW)} == set(SPEAKERS)
    return made


class Clocks:
    """Of a process."""

    def __init__(self) -> None:
        self.s, self.ns = 0.0, NOW


def message(value: bytes, headers: list[tuple[str, bytes]] | None, time_ns: int = NOW) -> SimpleNamespace:
    """As the client gives it."""
    return SimpleNamespace(
        topic=lambda: EXECUTIONS.name, partition=lambda: 0, value=lambda: value, headers=lambda: headers,
        timestamp=lambda: (1, time_ns // 1_000_000),
    )  # fmt: skip


def test_only_their_owner_may_enter_the_folder_and_read_the_files(folder: Path) -> None:
    """One that others may read is no secret, and is refused."""
    assert folder.stat().st_mode & 0o777 == 0o700
    paths = sorted(folder.iterdir())
    assert len(paths) == len(SPEAKERS)
    assert {path.stat().st_mode & 0o777 for path in paths} == {0o600}
    paths[0].chmod(0o640)
    with pytest.raises(StaleData, match=f"chmod 600 {paths[0]}"):
        RecordKeys(folder)


def test_making_keys_again_makes_those_that_are_missing(folder: Path) -> None:
    """And keeps the others: they prove what was written."""
    before = read_keyring(folder)
    (folder / "edge-1.json").unlink()
    assert [key.key_id for key in key_folder.make_missing(folder, NOW)] == ["edge-1"]
    after = {key.key_id: key for key in read_keyring(folder).keys}
    assert {key.key_id for key in before.keys if after[key.key_id] == key} == set(after) - {"edge-1"}


def test_a_key_is_what_its_file_says(folder: Path) -> None:
    """All of it."""
    key = key_folder.add_producer(folder, "acme", NOW, ((1, 9), (12, 12)))
    assert read_key(folder / "acme-1.json") == key
    assert key.name == "acme"
    assert key.speaker == PRODUCER


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "JSONDecodeError"), ("[]", "TypeError"), ("{}", "KeyError"),
        (lambda content: content | {"secret": "00"}, "a secret of 1 bytes"),
        (lambda content: content | {"secret": "x" * 64}, "non-hexadecimal"),
        (lambda content: content | {"speaker": "somebody"}, "speaker 'somebody'"),
        (lambda content: content | {"key_id": "../x"}, "key_id '../x'"),
        (lambda content: content | {"key_id": 7}, "TypeError"),
        (lambda content: content | {"from_ns": "soon"}, "ValueError"),
        (lambda content: content | {"accounts": [[1]]}, "ValueError"),
        (lambda content: content | {"speaker": "unsigned"}, "a secret of 32 bytes"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_key_is_named_and_says_no_secret(folder: Path, text, why: str) -> None:
    """A start fails with it."""
    path = folder / "operator-1.json"
    content = json.loads(path.read_text())
    path.write_text(text if isinstance(text, str) else json.dumps(text(content)))
    with pytest.raises(StaleData, match="operator-1.json is not a key of records") as caught:
        RecordKeys(folder)
    assert why in str(caught.value)
    assert content["secret"] not in str(caught.value)


def test_a_running_process_hears_of_new_keys_within_a_second(folder: Path) -> None:
    """And signs with them once they are ripe, without a restart."""
    clocks = Clocks()
    keys = RecordKeys(folder, lambda: clocks.s, lambda: clocks.ns)
    sign = keys.signer(OPERATOR)

    def signs_with() -> bytes:
        headers = sign(EXECUTIONS.name, 0, b"value")
        assert headers is not None
        return headers[0][1][28:]  # type: ignore[index]

    assert signs_with() == b"operator-1"
    made, ended = key_folder.rotate(folder, OPERATOR, NOW + 30 * SECOND, NOW + 630 * SECOND)
    assert (made.key_id, [key.key_id for key in ended]) == ("operator-2", ["operator-1"])
    assert len(keys.ring.of(OPERATOR)) == 1
    clocks.s += LOOK_S
    assert len(keys.ring.of(OPERATOR)) == 2
    clocks.ns += 31 * SECOND
    assert signs_with() == b"operator-1"
    clocks.ns += SECOND
    assert signs_with() == b"operator-2"


def test_a_file_that_spoils_while_a_process_runs_does_not_end_it(folder: Path) -> None:
    """What it knows goes on; once the file is mended it is heard of."""
    clocks = Clocks()
    keys = RecordKeys(folder, lambda: clocks.s)
    (folder / "zebra-1.json").write_text("half")
    clocks.s += LOOK_S
    assert len(keys.ring.keys) == len(SPEAKERS)
    (folder / "zebra-1.json").unlink()
    key_folder.add_producer(folder, "acme", NOW, ())
    clocks.s += LOOK_S
    assert len(keys.ring.keys) == len(SPEAKERS) + 1


def test_keys_that_come_later_are_found_by_those_that_run(tmp_path: Path) -> None:
    """An old exchange gets its first keys: what was appended before they are valid stays believed."""
    clocks = Clocks()
    keys = RecordKeys(tmp_path / "records", lambda: clocks.s, lambda: clocks.ns)
    assert keys.signer(OPERATOR)(EXECUTIONS.name, 0, b"x") is None
    assert keys.proof_of(message(b"x", None)) is UNCHECKED
    key_folder.make_missing(tmp_path / "records", NOW + 30 * SECOND)
    clocks.s += LOOK_S
    assert keys.proof_of(message(b"x", None)) is UNCHECKED
    assert keys.proof_of(message(b"x", None, NOW + 30 * SECOND)).refusal is not None
    headers = keys.signer(OPERATOR)(EXECUTIONS.name, 0, b"x")
    assert headers is not None, "signed at once, or records on their way at that time would be lost"
    assert headers[0][0] == HEADER


def test_without_a_folder_nothing_is_signed_and_nothing_has_to_be() -> None:
    """As in tests and research."""
    assert NO_KEYS.signer(OPERATOR)(EXECUTIONS.name, 0, b"x") is None
    assert NO_KEYS.proof_of(message(b"x", None)) is UNCHECKED


def test_a_header_whose_name_is_no_text_is_no_code(folder: Path) -> None:
    """The client (confluent-kafka 2.16) raises SystemError when it is asked for such headers; whoever writes one must not stop a shard."""
    spoilt = message(b"x", None)
    for error in (SystemError("returned a result with an exception set"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")):

        def headers(error: Exception = error) -> None:
            raise error

        spoilt.headers = headers
        refusal = RecordKeys(folder).proof_of(spoilt).refusal
        assert refusal is not None
        assert refusal.reason == "NO_CODE"


def test_a_key_that_has_ended_stays_and_the_last_one_of_a_role_does_not_end(folder: Path) -> None:
    """A role without a key could write nothing; a producer may be shut out."""
    key_folder.rotate(folder, OPERATOR, NOW, NOW + SECOND)
    with pytest.raises(OutcryError, match="operator-2 is the last key of operator"):
        key_folder.retire(folder, "operator-2", NOW + 2 * SECOND)
    with pytest.raises(OutcryError, match="operator-1 ends before"):
        key_folder.retire(folder, "operator-1", NOW + 2 * SECOND)
    with pytest.raises(OutcryError, match="no key nobody-1"):
        key_folder.retire(folder, "nobody-1", NOW)
    assert key_folder.retire(folder, "producer-1", NOW + SECOND).until_ns == NOW + SECOND
    assert (folder / "producer-1.json").exists()
    with pytest.raises(OutcryError, match="no key of acme to be replaced"):
        key_folder.rotate(folder, "acme", NOW, NOW)


def test_names_of_roles_are_not_given_to_producers(folder: Path) -> None:
    """Nor one that is in use."""
    key_folder.add_producer(folder, "acme", NOW, ())
    for name in ("match-orders", "unsigned", "producer", "acme"):
        with pytest.raises(OutcryError, match="already"):
            key_folder.add_producer(folder, name, NOW, ())


def test_one_entry_lets_unsigned_orders_in_at_a_time(folder: Path) -> None:
    """A second one would outlive the end of the first."""
    assert key_folder.allow_unsigned(folder, NOW).key_id == "unsigned-1"
    with pytest.raises(OutcryError, match="need no code already"):
        key_folder.allow_unsigned(folder, NOW)
    key_folder.retire(folder, "unsigned-1", NOW + SECOND)
    assert key_folder.allow_unsigned(folder, NOW + 2 * SECOND).key_id == "unsigned-2"


def test_a_role_without_its_key_does_not_start_among_those_that_have_theirs(folder: Path, tmp_path: Path) -> None:
    """Nobody would believe it. Where nobody has any, it starts, unless the settings say otherwise."""
    settings = Settings(home=tmp_path)
    assert settings.record_keys_dir == folder
    record_keys(settings, "match-orders")
    (folder / "match-orders-1.json").unlink()
    with pytest.raises(OutcryError, match="no valid key of match-orders"):
        record_keys(settings, "match-orders")
    record_keys(settings)
    bare = Settings(home=tmp_path / "bare")
    record_keys(bare, "match-orders")
    with pytest.raises(OutcryError, match="OUTCRY_REQUIRE_RECORD_CODES"):
        record_keys(bare.model_copy(update={"require_record_codes": True}), "match-orders")
    assert Settings(home=tmp_path, keys_dir=folder).record_keys_dir == folder


def test_doctor_says_where_records_are_not_proven_and_which_key_is_spoilt(folder: Path, tmp_path: Path) -> None:
    """A home that has never run is well: it gets its keys when it starts."""
    assert [one.mend for one in preflight.record_keys(Settings(home=tmp_path))] == [None]
    (folder / "edge-1.json").write_text("")
    (spoilt,) = preflight.record_keys(Settings(home=tmp_path))
    assert "edge-1.json" in spoilt.fact
    assert "restore it" in (spoilt.mend or "")
    old = Settings(home=tmp_path / "old")
    assert not list(preflight.record_keys(old))
    old.data_dir.mkdir(parents=True)
    (old.data_dir / "kafka-cluster.json").touch()
    (found,) = preflight.record_keys(old)
    assert found.mend == "outcry keys init"


def test_a_folder_without_keys_takes_none_of_a_producer_first(tmp_path: Path) -> None:
    """From the first key on every record has to be proven, those of the roles too."""
    with pytest.raises(OutcryError, match="outcry keys init"):
        key_folder.add_producer(tmp_path, "acme", NOW, ())


def test_what_is_written_can_be_read_again(folder: Path) -> None:
    """Nothing of a key is lost in its file."""
    for key in read_keyring(folder).keys:
        (folder / "copy.json").write_text(content_of(key))
        (folder / "copy.json").chmod(0o600)
        assert read_key(folder / "copy.json") == key
