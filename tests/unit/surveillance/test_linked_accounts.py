"""The accounts around an alert: who is shown, what links them, and what is left out."""

from surveillance.linked_accounts import Link, SignIn, TradedPair, linked


def test_subjects_come_first_then_who_shares_something_then_who_traded_most() -> None:
    """However many others there are; how many were left out is said."""
    partners = [TradedPair(7, 90, 3, 500, 1), TradedPair(91, 7, 1, 900, 1), TradedPair(92, 8, 1, 10, 1), TradedPair(7, 8, 2, 70, 1)]
    signed_in = [SignIn(8, "10.0.0.1", 5), SignIn(60, "10.0.0.1", 9), SignIn(8, "10.0.0.1", 7)]
    graph = linked([8, 7], partners, [(7, 50), (8,)], signed_in, 5)
    assert graph.subjects == (7, 8)
    assert graph.accounts == (7, 8, 50, 60, 91)
    assert graph.left_out == 2
    assert graph.links == (Link("owner", "owner 7", (7, 50)), Link("address", "10.0.0.1", (8, 60), 3, 5, 9))


def test_accounts_that_nothing_links_to_a_subject_are_never_shown() -> None:
    """Others share an address, or trade with one another."""
    signed_in = [SignIn(90, "10.0.0.1", 5), SignIn(91, "10.0.0.1", 6), SignIn(7, "10.0.0.2", 6)]
    graph = linked([7], [TradedPair(90, 91, 1, 1, 1)], [(7,)], signed_in, 60)
    assert (graph.accounts, graph.links, graph.left_out) == ((7,), (), 0)


def test_a_link_of_which_only_one_account_is_shown_is_none() -> None:
    """And the bound counts for subjects too."""
    graph = linked([1, 2, 3], [], [(1, 9)], [], 2)
    assert (graph.subjects, graph.accounts, graph.links, graph.left_out) == ((1, 2), (1, 2), (), 2)
