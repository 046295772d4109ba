"""Signed notes, keys, checkpoints and cosignatures are those that others write, and nothing else passes for one."""

import base64
import json
from pathlib import Path

import pytest

from audit.findings import Unchecked, Wrong
from audit.keys import Signer
from audit.notes import COSIGNATURE, ED25519, Checkpoint, Note, PublicKey, cosigned_text
from audit.policy import Policy
from audit.tree import EMPTY_ROOT

SPEC_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
SPEC_NOTE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
GO_SECRET = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
LOG = Signer("exchange.example/audit/executions/0", ED25519, bytes(range(32)))
WITNESSES = [Signer(f"witness.example/{number}", COSIGNATURE, bytes([number]) * 32) for number in range(4)]


def test_the_example_of_the_specification_is_signed_by_its_key():
    """https://c2sp.org/signed-note."""
    key = PublicKey.parse(SPEC_KEY)
    assert str(key) == SPEC_KEY
    assert Note.parse(SPEC_NOTE.encode()).signed_by([key], "note") == {key: 0}
    assert bytes(Note.parse(SPEC_NOTE.encode())) == SPEC_NOTE.encode()


def test_we_sign_as_the_go_package_does_byte_for_byte():
    """The example of golang.org/x/mod/sumdb/note, with its secret key."""
    signer = Signer("PeterNeumann", ED25519, GO_SECRET)
    text = GO_NOTE.rpartition("\n\n")[0].encode() + b"\n"
    assert bytes(Note(text, (signer.sign(text),))) == GO_NOTE.encode()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("an example", "an exbmple"), ("Uw2QOkn8", "Uw2QOkn9"), ("yaQM=", "yaQN="), ("=\n", "="), (".\n\n", ".\n"), ("—", "-"), ("This", "Th\x07s"),
        ("message.\n", "message.\r\n"), ("yaQM=\n", "yaQM=\njunk\n"), ("foo Uw", "foo  Uw"),
    ],
)  # fmt: skip
def test_a_note_that_was_touched_is_refused(old, new):
    """Its text, its signature, its form."""
    with pytest.raises(Wrong):
        assert Note.parse(SPEC_NOTE.replace(old, new).encode()).signed_by([PublicKey.parse(SPEC_KEY)], "note")


def test_signatures_of_unknown_keys_are_ignored_and_false_ones_of_known_keys_are_not():
    """An unknown key shares a name or an id; a known one has both."""
    key = PublicKey.parse(SPEC_KEY)
    note = Note.parse((SPEC_NOTE.replace("foo Uw2Q", "foo Vw2Q") + SPEC_NOTE[SPEC_NOTE.index("—") :]).encode())
    assert note.signed_by([key], "note") == {key: 0}
    assert Note.parse(SPEC_NOTE.replace("foo Uw2Q", "foo Vw2Q").encode()).signed_by([key], "note") == {}
    both = SPEC_NOTE + SPEC_NOTE[SPEC_NOTE.index("—") :].replace("Uw2QOkn8", "Uw2QOkn9")
    with pytest.raises(Wrong, match=r"the signature of example\.com/foo is not of this text"):
        Note.parse(both.encode()).signed_by([key], "note")


@pytest.mark.parametrize(
    "text",
    [
        SPEC_KEY.replace("530d903a", "530d903b"), SPEC_KEY.replace("530d903a", "530D903A"), SPEC_KEY.replace("foo", "bar"), SPEC_KEY[:-2],
        "example.com/foo+530d903a", "+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", SPEC_KEY + "+x", SPEC_KEY.replace("/foo", " foo"), "",
    ],
)  # fmt: skip
def test_a_key_that_does_not_fit_its_id_is_refused(text):
    """A vkey has name, id and key, and the id follows from the others."""
    with pytest.raises(Wrong):
        PublicKey.parse(text)


def test_the_public_test_log_has_sixteen_good_checkpoints():
    """transparency-dev/tessera, testdata/log."""
    log = json.loads((Path(__file__).parent / "vectors" / "tessera_log.json").read_text())
    policy = Policy.parse(f"log {log['vkey']}\nquorum none\n")
    found = [policy.cosigned(text.encode(), f"checkpoint.{at}")[0].size for at, text in enumerate(log["checkpoints"])]
    assert found == list(range(16))
    for text in log["checkpoints"]:
        size = text.split("\n")[1]
        with pytest.raises(Wrong):
            policy.cosigned(text.replace(f"\n{size}\n", f"\n{int(size) + 1}\n").encode(), "checkpoint")


GOOD = bytes(Checkpoint("a.example/log", 7, b"\x01" * 32)).decode()


@pytest.mark.parametrize(
    "text",
    ["", "a\n", GOOD + "extension\n", GOOD[:-1], GOOD.replace("\n7\n", "\n07\n"), GOOD.replace("\n7\n", "\n-7\n"), GOOD.replace("\n7\n", "\n\n"),
     GOOD.replace("\n7\n", "\n७\n"), GOOD.replace("\n7\n", "\n99999999999999999999\n"), GOOD.replace("\n7\n", "\n0\n"), GOOD.replace("AQE=", "AQF="),
     GOOD.replace("AQE=", ""), GOOD.replace("a.example/log", "")],
)  # fmt: skip
def test_a_checkpoint_has_one_form(text):
    """Three lines, no leading zeros, 32 bytes, and the empty tree has its own root."""
    assert Checkpoint.parse(GOOD.encode()).size == 7
    with pytest.raises(Wrong):
        Checkpoint.parse(text.encode())


def test_a_cosignature_says_its_time_and_is_of_the_whole_text():
    """https://c2sp.org/tlog-cosignature: a header line, the time, the checkpoint."""
    text, witness = bytes(Checkpoint(LOG.name, 0, EMPTY_ROOT)), WITNESSES[1]
    assert cosigned_text(1679315147, text).startswith(b"cosignature/v1\ntime 1679315147\nexchange.example/")
    note = Note(text, (LOG.sign(text), witness.sign(text, 1_700_000_000)))
    assert Note.parse(bytes(note)).signed_by([witness.public, LOG.public], "note") == {LOG.public: 0, witness.public: 1_700_000_000}
    later = note.signatures[1].signature[:7] + b"\x01" + note.signatures[1].signature[8:]
    with pytest.raises(Wrong, match="witness"):
        Note(text, (note.signatures[0], type(note.signatures[1])(witness.name, witness.public.key_id, later))).signed_by(
            [witness.public], "note"
        )


def _policy(*lines):
    named = [f"witness w{number} {one.public}" for number, one in enumerate(WITNESSES)]
    return Policy.parse("\n".join(["# whom we trust", f"log {LOG.public} https://audit.exchange.example/", *named, *lines]))


def _note(*numbers):
    text = bytes(Checkpoint(LOG.name, 0, EMPTY_ROOT))
    return bytes(Note(text, (LOG.sign(text), *(WITNESSES[number].sign(text, 100 + number) for number in numbers))))


def test_a_quorum_counts_witnesses_of_groups():
    """https://c2sp.org/tlog-policy."""
    policy = _policy("group some 2 w0 w1 w2", "group both all some w3", "quorum both")
    assert policy.cosigned(_note(0, 2, 3), "checkpoint")[1] == {"w0": 100, "w2": 102, "w3": 103}
    for too_few in ((0, 1, 2), (0, 3), (3,), ()):
        with pytest.raises(Unchecked, match="the policy asks for both"):
            policy.cosigned(_note(*too_few), "checkpoint")
    assert _policy("quorum none").cosigned(_note(), "checkpoint")[1] == {}
    with pytest.raises(Unchecked, match="asks for w1"):
        _policy("quorum w1").cosigned(_note(0), "checkpoint")


@pytest.mark.parametrize(
    "line",
    ["quorum nobody", "group g 3 w0 w1\nquorum g", "group g any\nquorum g", "group g 0 w0\nquorum g", "group w0 any w1\nquorum w0", "log x\nquorum none",
     "group g any w0 w0\nquorum g", "group g any w0\ngroup h any w0\nquorum h", "quorum none\nquorum none", "word\nquorum none", "",
     f"witness none {WITNESSES[0].public}\nquorum none", f"log {LOG.public}\nquorum none", f"witness again {WITNESSES[0].public}\nquorum none",
     f"log {WITNESSES[0].public}\nquorum none", f"witness log {LOG.public}\nquorum none"],
)  # fmt: skip
def test_a_policy_that_cannot_be_read_checks_nothing(line):
    """It is said which line."""
    with pytest.raises(Unchecked, match="policy"):
        _policy(line)


def test_a_log_that_the_policy_does_not_know_is_refused():
    """Whatever its signature."""
    text = bytes(Checkpoint("other.example/log", 0, EMPTY_ROOT))
    other = Signer("other.example/log", ED25519, bytes(32))
    with pytest.raises(Wrong, match=r"knows no log 'other\.example/log'"):
        _policy("quorum none").cosigned(bytes(Note(text, (other.sign(text),))), "checkpoint")
    text = bytes(Checkpoint(LOG.name, 0, EMPTY_ROOT))
    with pytest.raises(Wrong, match="no key of"):
        _policy("quorum none").cosigned(bytes(Note(text, (other.sign(text),))), "checkpoint")
