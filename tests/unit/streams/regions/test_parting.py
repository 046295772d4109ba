"""Where two logs parted is found by halving, and told in sentences."""

import pytest

from streams.regions.commands import told
from streams.regions.parting import Parted, Report, UnknownOrder, common_prefix


@pytest.mark.parametrize("length", [0, 1, 2, 7, 100])
def test_the_first_different_offset_is_found_wherever_it_is(length: int) -> None:
    """With few questions."""
    for parting in range(length + 1):
        asked: list[int] = []

        def equal(offset: int, parting: int = parting, asked: list[int] = asked) -> bool:
            asked.append(offset)
            return offset < parting

        assert common_prefix(equal, 0, length) == parting
        assert len(asked) <= length.bit_length() + 1


def test_the_report_names_each_order_that_only_the_other_region_has() -> None:
    """But not one that its customer has sent again."""
    place = ("account.commands", 0)
    orders = (UnknownOrder(0, 5, 7, "NEW_ORDER", "a-1", sent_again=False), UnknownOrder(0, 6, 7, "NEW_ORDER", "a-2", sent_again=True))
    text = told(Report((Parted(place, 5, 2, 1),), orders, trades_there=3))
    assert "account.commands/0: 5 in common, 2 only there, 1 only here" in text
    assert "unknown here: NEW_ORDER a-1 of account 7 (account.commands/0 offset 5 there)" in text
    assert "a-2" not in text
    assert text.endswith(
        "2 records are only there: 2 commands of customers, of which 1 were sent again here, and 3 trades that did not happen here"
    )


def test_a_copy_that_has_everything_says_so() -> None:
    """After a planned move."""
    assert told(Report((Parted(("account.commands", 0), 5, 0, 1),))).endswith("the other region has nothing that this one has not")
