"""Files, settings and commands: keys that others may read, files that others may write, passwords that are easy."""

import base64
import json
import os
from pathlib import Path
from typing import Any, Final

from attack import folder, stopped_by

from access import passwords
from audit import keys as audit_keys
from edge.gateway.market import feed
from edge.gateway.market.feed import FeedServer
from schemas import settings
from schemas.errors import OutcryError
from streams.functions import deployed
from streams.functions.deployed import BadFunction, read_function
from streams.process import files, key_folder
from topics import key_files
from topics.key_files import read_key, read_keyring

OTHERS: Final = 0o077


def _mode(path: Path) -> int:
    return path.stat().st_mode & OTHERS


def _taken(read: Any, *arguments: Any) -> bool:
    try:
        read(*arguments)
    except OutcryError:
        return False
    return True


def _key_file(path: Path, mode: int = 0o600, **changes: Any) -> Path:
    content = {"key_id": "edge-1", "speaker": "edge", "secret": "00" * 32, "from_ns": 0, "until_ns": None, "accounts": []} | changes
    file = path / "edge-1.json"
    file.write_text(json.dumps(content))
    file.chmod(mode)
    return file


@stopped_by((key_files, "        if path.stat().st_mode & OTHERS:", "        if False:"), door=folder)
async def read_a_record_key_in_a_file_that_is_open_to_all(path: Path) -> bool:
    """Nobody notices, unless its owner's processes refuse it."""
    return _taken(read_key, _key_file(path, 0o644))


@stopped_by((key_files, '    if len(secret) != (0 if content["speaker"] == UNSIGNED else SECRET_BYTES):', "    if False:"), door=folder)
async def have_a_record_key_of_one_byte_taken(path: Path) -> bool:
    """It is guessed at once."""
    return _taken(read_key, _key_file(path, secret="00"))


@stopped_by(
    (key_files, '    if not KEY_ID.fullmatch(content["key_id"]) or content["speaker"] not in (*SPEAKERS, UNSIGNED):', "    if False:"),
    door=folder,
)
async def have_a_record_key_of_another_kind_taken(path: Path) -> bool:
    """For a speaker that there is not."""
    return _taken(read_key, _key_file(path, speaker="god"))


@stopped_by(
    (
        key_folder,
        '    write_atomically(folder / f"{key.key_id}.json", content_of(key), OWNER_ONLY)',
        '    write_atomically(folder / f"{key.key_id}.json", content_of(key))',
    ),
    door=folder,
)
async def read_the_keys_of_a_new_home(path: Path) -> bool:
    """They are made by a command."""
    key_folder.make_missing(path / "records", 0)
    return any(_mode(one) for one in (path / "records").iterdir())


@stopped_by(
    (key_folder, "    folder.mkdir(mode=ENTERED_BY_OWNER, parents=True, exist_ok=True)", "    folder.mkdir(parents=True, exist_ok=True)"),
    door=folder,
)
async def enter_the_folder_of_the_keys(path: Path) -> bool:
    """And put a key of one's own there, if it is open for that too."""
    key_folder.make_missing(path / "records", 0)
    return bool(_mode(path / "records"))


@stopped_by((key_folder, "    if not ring.keys:", "    if False:"), door=folder)
async def make_every_sender_unbelievable_by_a_first_producers_key(path: Path) -> bool:
    """From then on everybody else would need one."""
    return _taken(key_folder.add_producer, path / "records", "acme", 0, ())


@stopped_by((key_folder, "    if not others and key.speaker not in (PRODUCER, UNSIGNED):", "    if False:"), door=folder)
async def end_the_only_key_of_a_role(path: Path) -> bool:
    """It could write nothing more."""
    key_folder.make_missing(path / "records", 0)
    return _taken(key_folder.retire, path / "records", "match-orders-1", 10)


@stopped_by((key_folder, "    if name in (*SPEAKERS, UNSIGNED) or _existing(folder).of(name):", "    if False:"), door=folder)
async def make_a_producers_key_with_the_name_of_a_role(path: Path) -> bool:
    """Its file would take the place of the role's."""
    key_folder.make_missing(path / "records", 0)
    key_folder_before = len(read_keyring(path / "records").keys)
    _taken(key_folder.add_producer, path / "records", "match-orders", 0, ())
    return len([one for one in read_keyring(path / "records").keys if one.speaker == "match-orders"]) == 0 and bool(key_folder_before)


@stopped_by((audit_keys, "        if path.stat().st_mode & 0o077:", "        if False:"), door=folder)
async def read_the_audit_logs_keys_in_a_file_that_is_open_to_all(path: Path) -> bool:
    """Whoever has them signs another history."""
    file = path / "audit.json"
    file.write_text("{}")
    file.chmod(0o640)
    return _taken(audit_keys._read, file, "make it")


@stopped_by(
    (
        files,
        'with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as handle:',
        'with draft.open("w") as handle:',
    ),
    door=folder,
)
async def read_a_secret_while_its_file_is_written(path: Path) -> bool:
    """Before its mode is set."""
    files.write_atomically(path / "secret", "x", 0o600)
    return bool(_mode(path / "secret"))


# ---- functions


def _function(path: Path, *, secret_mode: int = 0o600, code_mode: int = 0o644) -> bool:
    (path / "f.toml").write_text('handler = "code.handler"\n[webhook]\nurl = "https://x.example/"\nsecret_file = "secret"\n')
    (path / "code.py").write_text("def handler(event, context):\n    return {}\n")
    (path / "secret").write_text("whsec_" + base64.b64encode(bytes(32)).decode())
    (path / "secret").chmod(secret_mode)
    (path / "code.py").chmod(code_mode)
    try:
        read_function(path / "f.toml")
    except BadFunction:
        return False
    return True


CLOSED = (deployed, "        if path.stat().st_mode & closed_to:", "        if False:")


@stopped_by(CLOSED, door=folder)
async def sign_alerts_with_a_secret_that_all_may_read(path: Path) -> bool:
    """Its receiver would believe anybody."""
    return _function(path, secret_mode=0o644)


@stopped_by(CLOSED, door=folder)
async def put_code_into_a_function_that_all_may_write(path: Path) -> bool:
    """It runs with everything that the role may do."""
    return _function(path, code_mode=0o666)


@stopped_by((deployed, "    if not _NAME.fullmatch(name):", "    if False:"), door=folder)
async def deploy_a_function_whose_name_is_a_path(path: Path) -> bool:
    """Its state and log are files of that name."""
    (path / "..x.toml").write_text('builtin = "price_move"\n')
    try:
        read_function(path / "..x.toml")
    except BadFunction:
        return False
    return True


# ---- people and settings


@stopped_by((passwords, "    if len(password) < CHARACTERS_MIN:", "    if False:"), door=folder)
async def choose_a_password_that_is_short(_: object) -> bool:
    """It is guessed."""
    return _taken(passwords.check_password, "ann", "q7Gz!")


@stopped_by((passwords, "if len(set(password.lower())) < _DIFFERENT_MIN or name in password.lower():", "if False:"), door=folder)
async def choose_ones_name_as_a_password(_: object) -> bool:
    """It is the first guess."""
    return _taken(passwords.check_password, "ann", "ann-ann-ann-ann")


@stopped_by((passwords, "    if len(password) > CHARACTERS_MAX:", "    if False:"), door=folder)
async def choose_a_password_of_megabytes(_: object) -> bool:
    """Hashing it takes as long as it is."""
    return _taken(passwords.check_password, "ann", "abcdefgh" * 100_000)


@stopped_by(
    (
        settings,
        'return re.sub(r"(?<=:)[^:@/]*(?=@)", "***", value) if name in _ADDRESSES and isinstance(value, str) else value',
        "return value",
    ),
    door=folder,
)
async def read_a_password_in_the_message_of_a_bad_setting(_: object) -> bool:
    """It is in the log of whoever starts the role."""
    return "hunter2" in str(settings._shown("mysql_url", "mysql://outcry:hunter2@db:3306"))


@stopped_by(
    (
        settings,
        '    problems = [f"{name}: unknown setting" for name in sorted(os.environ) if name.startswith(PREFIX) and name not in known]',
        "    problems = []",
    ),
    door=folder,
)
async def have_a_misspelt_protection_passed_over(_: object) -> bool:
    """OUTCRY_REQUIRE_RECORD_CODE, for one."""
    os.environ["OUTCRY_REQUIRE_RECORD_CODE"] = "true"
    try:
        settings.load_settings()
    except settings.SettingsError:
        return False
    else:
        return True
    finally:
        del os.environ["OUTCRY_REQUIRE_RECORD_CODE"]


@stopped_by((feed, "            os.fchmod(sock.fileno(), _OWNER_ONLY)  # before it has a name", "            pass"), door=folder)
async def listen_to_the_feed_of_another_user(path: Path) -> bool:
    """A Unix socket is a file."""
    server = FeedServer(path / "feed", dict)
    await server.start()
    try:
        return bool(_mode(path / "feed"))
    finally:
        await server.stop()
