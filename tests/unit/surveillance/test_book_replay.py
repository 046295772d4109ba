"""The book around an alert: at each step it is the reference book at that place in the log, and the accounts' own orders are theirs."""

from support.book_session import MS, OWN, frames, session

from schemas.enums import Side
from surveillance import book_replay
from surveillance.book_replay import BookReplay


def shown(view):
    """Levels that the market sees, and the orders of OWN, of a reference book."""
    levels = {
        (Side(side).name.lower(), one.price): (one.qty, one.order_count) for side in Side for one in view.levels(side) if one.order_count
    }
    own = {
        order.order_id: (Side(order.side).name.lower(), order.price, order.leaves_qty, order.account)
        for side in Side for level in view.levels(side) for order in level.orders if order.account == OWN
    }  # fmt: skip
    return levels, own


def followed(document):
    """(offset, levels, own orders) at the beginning and after each step."""
    levels = {(side, price): (qty, orders) for side, price, qty, orders in document["start"]["levels"]}
    own = {order[0]: tuple(order[1:]) for order in document["start"]["own"]}
    yield -1, dict(levels), dict(own)
    for step in document["steps"]:
        for side, price, qty, orders in step["levels"]:
            levels[side, price] = qty, orders
            if not qty:
                del levels[side, price]
        for order in step["own"]:
            own[order[0]] = tuple(order[1:])
            if not order[3]:
                del own[order[0]]
        yield step["offset"], dict(levels), dict(own)


def test_each_step_is_the_reference_book_at_its_place_in_the_log():
    """Also where another replica has written the frames again, and where the replay begins within the session."""
    taken = list(frames(session()))
    books = {offset: shown(view) for offset, _, _, view in taken}
    for begin in (0, 50 * MS):
        replay = BookReplay(1, frozenset({OWN}), begin, 125 * MS)
        for offset, rows, first_seq, _ in taken:
            replay.take(offset, rows, first_seq)
            replay.take(offset, rows, first_seq)
        assert replay.over
        steps = list(followed(replay.document()))
        assert len(steps) > 50
        assert any(own for _, _, own in steps)
        for offset, levels, own in steps[1:]:
            assert (levels, own) == books[offset], offset
    assert steps[0][1:] == next(books[offset] for offset in sorted(books, reverse=True) if offset < steps[1][0])


def test_an_event_says_whose_it_is_only_of_the_accounts_that_the_alert_is_about():
    """Others have no number."""
    replay = BookReplay(1, frozenset({OWN}), 0, 300 * MS)
    for offset, rows, first_seq, _ in frames(session()):
        replay.take(offset, rows, first_seq)
    events = [event for step in replay.document()["steps"] for event in step["events"]]
    assert {event["kind"] for event in events} >= {"NEW", "TRADE", "CANCELED"}
    assert {account for event in events for account in event.get("own", [])} == {OWN}
    assert any("own" not in event for event in events)
    assert all("account" not in event for event in events)


def test_another_instrument_is_not_in_it_and_the_steps_are_bounded(monkeypatch):
    """What is left out is told."""
    monkeypatch.setattr(book_replay, "STEPS_MAX", 20)
    taken = list(frames(session(count=60)))
    replay, other = BookReplay(1, frozenset({OWN}), 0, 1 << 62), BookReplay(2, frozenset({OWN}), 0, 1 << 62)
    for offset, rows, first_seq, _ in taken:
        replay.take(offset, rows, first_seq)
        other.take(offset, rows, first_seq)
    assert (len(replay.document()["steps"]), replay.full) == (20, True)
    assert [event["kind"] for step in other.document()["steps"] for event in step["events"]] == ["SECURITY_STATUS"]
