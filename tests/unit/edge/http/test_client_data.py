"""What clients send, in messages to them."""

import pytest

from edge.http.client_data import decode_json, quoted


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ('"a"', '"a"'),
        ("180.055", '"180.055"'),
        ("7", '"7"'),
        ('{"a": 1}', "an object"),
        ("[1]", "a list"),
        ('"' + "x" * 50 + '"', '"' + "x" * 40 + '..."'),
    ],
    ids=["text", "a number with a point", "a whole number", "object", "list", "long"],
)
def test_a_value_is_quoted_as_it_was_written_and_shortened(sent: str, said: str) -> None:
    """No word of our own language."""
    assert quoted(decode_json(sent)) == said
