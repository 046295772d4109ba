"""Searches for what is newest are quick because the indices are sorted as they are."""

from sinks.elastic.indices import ACCOUNT_EVENTS, templates
from sinks.elastic.search import sort_of
from sinks.elastic.search_words import Wanted


def test_indices_are_sorted_as_the_usual_search_asks() -> None:
    """Elasticsearch stops early only where the order of the search is that of the index."""
    settings = templates()[f"outcry-{ACCOUNT_EVENTS}"]["template"]["settings"]
    asked = [(field, how["order"], how.get("missing", "_last")) for one in sort_of(Wanted()) for field, how in one.items()]
    assert asked == list(zip(settings["sort.field"], settings["sort.order"], settings["sort.missing"], strict=True))
