"""Secret keys are made once, read by their owner only, and never written over."""

import pytest

from audit.keys import new_exchange_keys, new_witness_key, read_exchange_keys, read_witness_key, write_exchange_keys, write_witness_key
from schemas.errors import OutcryError, StaleData


def test_keys_are_read_back_as_they_were_written(tmp_path):
    """With rotation and retirement; nobody else may read the file."""
    path = tmp_path / "keys" / "audit.json"
    keys = new_exchange_keys("exchange.example/audit", "2026-01-01")
    write_exchange_keys(path, keys, is_new=True)
    assert read_exchange_keys(path) == keys
    assert path.stat().st_mode & 0o777 == 0o600
    rotated = keys.rotated("2026-02-02").retired()
    write_exchange_keys(path, rotated)
    assert read_exchange_keys(path) == rotated
    assert [key.is_retired for key in rotated.keys] == [True, False]
    witness = new_witness_key("witness.example/w")
    write_witness_key(tmp_path / "witness.json", witness)
    assert read_witness_key(tmp_path / "witness.json") == witness


def test_a_key_is_never_written_over(tmp_path):
    """A lost key cannot be made again."""
    path = tmp_path / "audit.json"
    write_exchange_keys(path, new_exchange_keys("a.example", "2026-01-01"), is_new=True)
    before = path.read_bytes()
    with pytest.raises(OutcryError, match="nothing is written over it"):
        write_exchange_keys(path, new_exchange_keys("a.example", "2026-01-01"), is_new=True)
    with pytest.raises(OutcryError, match="nothing is written over it"):
        write_witness_key(path, new_witness_key("w"))
    assert path.read_bytes() == before


@pytest.mark.parametrize("read", [read_exchange_keys, read_witness_key])
def test_a_key_file_that_cannot_be_used_says_why(tmp_path, read):
    """Not there, open to others, not JSON, another file, a secret that is too short."""
    path = tmp_path / "audit.json"
    with pytest.raises(OutcryError, match="there is no key file"):
        read(path)
    write_exchange_keys(path, new_exchange_keys("a.example", "2026-01-01"), is_new=True)
    path.chmod(0o640)
    with pytest.raises(StaleData, match="chmod 600"):
        read(path)
    path.chmod(0o600)
    for content in ("{", "[]", "{}", '{"name": "a", "secret": "AAAA", "keys": [{"secret": "AAAA", "made": "", "is_retired": false}]}'):
        path.write_text(content)
        with pytest.raises(StaleData, match=r"audit\.json"):
            read(path)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb"])
def test_a_name_that_no_signature_line_could_have_is_refused(name):
    """https://c2sp.org/signed-note."""
    for make in (new_witness_key, lambda name: new_exchange_keys(name, "2026-01-01")):
        with pytest.raises(OutcryError, match="cannot be the name of a key"):
            make(name)
