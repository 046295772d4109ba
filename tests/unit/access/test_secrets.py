"""Passwords, codes, tokens, names: what is taken, and what stays secret."""

import pytest

from access import passwords, second_factor, tokens
from access.people import Role, check_name, is_name, roles_of, text_of
from schemas.errors import OutcryError

RFC_SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"  # RFC 6238, appendix B: "12345678901234567890"


def test_passwords_are_hashed_with_argon2id_at_the_cost_of_the_rfc():
    """64 MiB, three passes; another salt each time; and the hash, not the password, is what is compared."""
    stored = passwords.hash_password("correct horse battery")
    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert passwords.is_password(stored, "correct horse battery")
    assert not passwords.is_password(stored, "correct horse batterz")
    assert not passwords.is_password("no hash at all", "correct horse battery")
    assert stored != passwords.hash_password("correct horse battery")


def test_an_accent_is_the_same_however_it_was_typed():
    """Composed or not: keyboards differ."""
    assert passwords.is_password(passwords.hash_password("caf\u00e9 au lait noir"), "cafe\u0301 au lait noir")


@pytest.mark.parametrize("password", ["short", "x" * 11, "aaaabbbbccccdddd", "ann-ann-ann-ann-12", "y" * 257, "  "])
def test_a_password_that_is_too_easy_is_refused_with_a_reason(password):
    """Before it is ever stored."""
    with pytest.raises(OutcryError, match="password"):
        passwords.check_password("ann", password)
    passwords.check_password("ann", "four plain words here")


@pytest.mark.parametrize(("second", "code"), [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")])
def test_codes_are_those_of_rfc_6238(second, code):
    """The vectors of its appendix, the last six digits."""
    assert second_factor.code_at(RFC_SECRET, second // 30) == code
    assert second_factor.step_of(RFC_SECRET, f"{code[:3]} {code[3:]}", second, 0) == second // 30


def test_a_code_works_once_and_only_near_its_time():
    """One step off either way; not again, and not an earlier one after a later one."""
    now = 1_000_000 * 30
    codes = {step: second_factor.code_at(RFC_SECRET, step) for step in range(999_997, 1_000_004)}
    assert [step for step, code in codes.items() if second_factor.step_of(RFC_SECRET, code, now, 0)] == [999_999, 1_000_000, 1_000_001]
    assert second_factor.step_of(RFC_SECRET, codes[1_000_000], now, 1_000_000) is None
    assert second_factor.step_of(RFC_SECRET, codes[999_999], now, 1_000_000) is None
    for nonsense in ("", "12345", "1234567", "½½½½½½", "\udcff", "abcdef"):
        assert second_factor.step_of(RFC_SECRET, nonsense, now, 0) is None


def test_secrets_and_tokens_are_random_and_long():
    """160 and 256 bits; the id in a token is found, and nothing else has one."""
    assert len({second_factor.new_secret() for _ in range(100)}) == 100
    assert len(second_factor.new_secret()) == 32
    token_id, token = tokens.new_operator_token()
    assert tokens.id_of(token) == token_id
    for other in ("", token[:-1], token + "x", token.upper(), f" {token}", token_id, "outcry_zz_" + "a" * 43):
        assert tokens.id_of(other) is None
    assert len(tokens.digest_of(token)) == 64
    assert token not in tokens.digest_of(token)


def test_a_name_has_one_spelling():
    """No capitals, no spaces, nothing that looks like something else."""
    assert all(map(is_name, ("ann", "ann.lee", "a1-b_c", "x" * 64)))
    for name in ("", "Ann", "ann lee", "1ann", "аnn", "x" * 65, "ann\n", "../ann", "ann'--"):
        assert not is_name(name)
        with pytest.raises(OutcryError, match="name"):
            check_name(name)


def test_roles_that_a_later_version_stored_are_no_roles_here():
    """What is not known gives no rights."""
    assert roles_of("analyst,emperor,supervisor") == {Role.ANALYST, Role.SUPERVISOR}
    assert roles_of("") == frozenset()
    assert roles_of(text_of(Role)) == frozenset(Role)
