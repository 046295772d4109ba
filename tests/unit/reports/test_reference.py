"""The reference of members: what it must say, and what each mistake is called."""

import pytest

from reports.reference import TEMPLATE, BadReference, parse_reference


def test_an_account_that_is_not_listed_has_the_default_and_a_session_of_its_own():
    """And one that is listed differs only in what its entry says."""
    found = parse_reference(f'{TEMPLATE}\n[[account]]\nnumber = 7\nmember = "B2"\nsession = "FIX7"\n', "text")
    assert found.member_of(3).member == "MEMBER1"
    assert (found.member_of(3).session, found.member_of(4).session) == ("A3", "A4")
    assert (found.member_of(7).member, found.member_of(7).clearing_number, found.member_of(7).session) == ("B2", "0001", "FIX7")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (('reporter = "OUTCRY"', ""), "reporter must be"),
        (('reporter = "OUTCRY"', 'reporter = "A_B"'), "reporter must be"),
        (('capacity = "Agency"', 'capacity = "agency"'), "capacity must be Agency"),
        (('member = "MEMBER1"', ""), "default: member must be"),
        (("[default]", "[others]"), "others is not known"),
        (("otr_number_max = 0", "otr_number_max = -1"), "otr_number_max must be"),
        (("[default]", "[default"), "text: "),
        (("# [[account]]", "[[account]]\nnumber = 0"), "account 1: number"),
        (("# [[account]]", "[[account]]\nnumber = 1\n[[account]]\nnumber = 1"), "account 1 is there twice"),
        (("# [[account]]", "[[account]]\nnumber = 1\nname = 'Ann'"), "account 1: name is not known"),
        (("# [[account]]", "[account]\nnumber = 1"), "array of tables"),
    ],
)
def test_what_is_wrong_is_named(change, sentence):
    """With the file's name before it."""
    with pytest.raises(BadReference, match=sentence) as caught:
        parse_reference(TEMPLATE.replace(*change, 1), "text")
    assert str(caught.value).startswith("text: ")
