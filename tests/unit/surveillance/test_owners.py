"""Owner sets: which accounts are one party, and from when."""

import pytest

from surveillance.owners import BadOwnerSets, Owners

TWO_SETS = """
[[owner_set]]
effective_from = 200
groups = [[3, 4]]

[[owner_set]]
effective_from = 100
groups = [[2, 1], [9, 5, 7]]
"""


MEMBERS = "[[owner_set]]\neffective_from = 100\ngroups = [[8, 9]]\n"


def test_a_member_has_accounts_of_its_own_and_those_of_customers() -> None:
    """From the time of the set on. The digest tells sets with members from those without."""
    owners = Owners.of_toml(MEMBERS + "members = [{ own = [9, 4], customers = [2] }]")
    assert (owners.member_of_customer, owners.member_of_owner) == ({}, {})
    owners.advance(100)
    assert (owners.member_of_customer, owners.member_of_owner) == ({2: 4}, {4: 4, 8: 4})
    without = Owners.of_toml(MEMBERS)
    without.advance(100)
    assert without.digest != owners.digest


def test_a_set_replaces_the_one_before_when_its_time_comes() -> None:
    """Whatever their order in the file. Before the first, everybody is alone."""
    owners = Owners.of_toml(TWO_SETS)
    assert (owners.owner_of(2), owners.accounts_of(2), owners.next_at) == (2, (2,), 100)
    before = owners.digest
    owners.advance(100)
    assert [owners.owner_of(account) for account in (1, 2, 3, 7, 9)] == [1, 1, 3, 5, 5]
    assert (owners.accounts_of(5), owners.next_at, owners.digest != before) == ((5, 7, 9), 200, True)
    owners.advance(10**18)
    assert [owners.owner_of(account) for account in (1, 2, 3, 4, 9)] == [1, 2, 3, 3, 9]
    assert owners.next_at == 0


def test_the_digest_is_of_what_took_effect_and_not_of_what_will() -> None:
    """So a set may be added for tomorrow without making today's snapshots worthless."""
    first = Owners.of_toml(TWO_SETS.partition("[[owner_set]]\neffective_from = 100")[0])
    both = Owners.of_toml(TWO_SETS)
    first.advance(150)
    assert both.digest == first.digest, "neither has taken effect"
    both.advance(150)
    assert both.digest != first.digest
    assert Owners().digest == Owners.of_toml("").digest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x", "not TOML"),
        ("a = 1", "unknown key a"),
        ("owner_set = 1", "must be a list of tables"),
        ("[[owner_set]]\ngroups = []", "set 1: needs exactly effective_from and groups"),
        ("[[owner_set]]\neffective_from = 0\ngroups = []", "set 1: effective_from must be a positive number"),
        ("[[owner_set]]\neffective_from = true\ngroups = []", "set 1: effective_from must be a positive number"),
        ("[[owner_set]]\neffective_from = 1\ngroups = [[1]]", "at least two accounts"),
        ("[[owner_set]]\neffective_from = 1\ngroups = [[1, -2]]", "-2 is no account number"),
        ('[[owner_set]]\neffective_from = 1\ngroups = [[1, "2"]]', "'2' is no account number"),
        ("[[owner_set]]\neffective_from = 1\ngroups = [[1, 2], [2, 3]]", "account 2 is named twice"),
        ("[[owner_set]]\neffective_from = 1\ngroups = []\n" * 2, "the same effective_from"),
        (MEMBERS + "members = 1", "members must be a list of tables"),
        (MEMBERS + "members = [{ own = [], customers = [1] }]", "neither empty"),
        (MEMBERS + "members = [{ own = [1], customers = [2] }, { own = [3], customers = [2] }]", "account 2 is named twice"),
    ],
)
def test_a_list_that_is_not_right_is_refused_with_the_place(text: str, message: str) -> None:
    """Which set, and what is wrong."""
    with pytest.raises(BadOwnerSets, match=message):
        Owners.of_toml(text)
