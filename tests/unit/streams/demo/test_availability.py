"""Out of service is what its customers notice."""

import pytest

from streams.demo.availability import Availability, line_of


def seen(*requests: tuple[float, float, bool]) -> Availability:
    """(sent at, seconds, answered) of each request."""
    found = Availability()
    for sent_s, seconds, answered in requests:
        found.took(sent_s, seconds, answered=answered)
    return found


@pytest.mark.parametrize(
    ("requests", "answered", "out", "longest"),
    [
        ([(0.1, 0.01, True), (1.2, 0.01, True)], 1.0, 0, 0),
        ([(0.1, 0.01, True), (1.2, 0.01, False), (1.9, 0.01, True)], 0.666667, 0, 0),
        ([(0.1, 0.01, True), (1.2, 5.0, True), (2.2, 4.0, True), (3.9, 0.5, True)], 1.0, 2, 2),
        ([(0.1, 0.01, False), (7.2, 0.01, False), (8.0, 0.2, True), (9.0, 0.2, False)], 0.25, 3, 2),
    ],
    ids=[
        "always there",
        "one fails, another does not",
        "answered late is out of service, though answered",
        "seconds without requests say nothing",
    ],
)
def test_a_second_without_a_soon_answer_is_out_of_service(requests, answered, out, longest):
    """Whoever asked in it."""
    figures = seen(*requests).figures()
    assert (figures["answered"], figures["seconds_out"], figures["longest_outage_s"]) == (answered, out, longest)
    assert figures["requests"] == len(requests)
    assert f"out of service {out} of {figures['seconds']} s" in line_of(figures)


def test_without_requests_nothing_is_claimed():
    """Not 100 %."""
    assert Availability().figures()["answered"] is None
    assert line_of(Availability().figures()) == "no requests"
