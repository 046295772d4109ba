"""Topics: what is collected until a flush, what a newer event replaces, what is written once."""

from edge.fanout.topics import Topic


def test_a_topic_that_may_not_be_conflated_keeps_every_event_in_order() -> None:
    """Written once for all."""
    topic = Topic(lambda events: b"".join(events))
    assert [topic.add(event) for event in (b"a", b"b", b"a")] == [False, False, False]
    assert (topic.is_waiting, topic.take(), topic.is_waiting) == (True, b"aba", False)


def test_a_newer_event_replaces_the_one_of_the_same_key_in_the_order_of_the_newest() -> None:
    """By the key that the protocol names."""
    topic = Topic(lambda events: b" ".join(events), key=lambda event: event[:1])
    assert [topic.add(event) for event in (b"a1", b"b1", b"a2")] == [False, False, True]
    assert topic.take() == b"b1 a2"
