"""Units, identifiers, instruments, settings, the catalogue: small pieces that everything stands on."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import FRAME_NAMES, RECORD_NAMES
from schemas.ids import account_uuid, asset_uuid, cl_ord_id_digest, instrument_of, order_id_of, order_uuid
from schemas.instruments import BadInstruments, load_instruments, parse_instruments
from schemas.reject_reasons import SENTENCES, Reason
from schemas.settings import Settings, SettingsError, load_settings
from schemas.units import MINOR_PER_UNIT, NotAMultiple, NotANumber, from_steps, minor_to_text, to_decimal, to_steps
from topics.catalogue import TOPICS

ONE = """
[[instrument]]
number = 1
symbol = "X"
name = "X"
tick_size = "{tick}"
lot_size = "1"
max_order_qty = "{qty}"
max_notional = "1000"
reference_price = "10"
protection_percent = 20
"""


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "", "1,5", "0x1", "sNaN", None])
def test_what_is_not_a_finite_number_is_refused(text):
    """No float, no NaN gets in."""
    with pytest.raises(NotANumber):
        to_decimal(text)


@given(steps=st.integers(-(10**15), 10**15), step=st.sampled_from(["0.01", "0.0001", "1", "0.05", "100"]))
def test_steps_and_text_are_inverse(steps, step):
    """Exactly, for every tick size."""
    assert to_steps(Decimal(from_steps(steps, Decimal(step))), Decimal(step)) == steps


@pytest.mark.parametrize(
    ("number", "step"),
    [
        ("0.015", "0.01"),
        ("1e400", "0.01"),
        ("1e-400", "0.01"),
        ("1.5", "1"),
        ("99999999999999999999", "1"),
        ("180.050000000000000000000000000000001", "0.01"),
    ],
)
def test_off_the_grid_or_out_of_range_is_refused(number, step):
    """Off-tick, fractional lot, beyond 64 bits, and by less than decimal's precision."""
    with pytest.raises(NotAMultiple):
        to_steps(Decimal(number), Decimal(step))


@given(amount=st.integers(-(10**18), 10**18))
def test_money_as_text_is_exact(amount):
    """What a customer reads is what is booked."""
    assert Decimal(minor_to_text(amount)) * MINOR_PER_UNIT == amount


@given(number=st.integers(0, (1 << 62) - 1))
def test_order_ids_survive_as_uuids_and_spaces_do_not_mix(number):
    """An account's UUID is no order's."""
    assert order_id_of(order_uuid(number)) == number
    assert order_id_of(account_uuid(number)) is None
    assert instrument_of(asset_uuid(number)) == number
    assert order_id_of("not-a-uuid") is None


@given(text=st.binary(min_size=1, max_size=128).filter(lambda b: not b.endswith(b"\0")), padding=st.integers(0, 20))
def test_padding_does_not_change_a_digest(text, padding):
    """The column's width is no part of the id."""
    assert cl_ord_id_digest(text) == cl_ord_id_digest(text + b"\0" * padding)


def test_digests_of_sequential_ids_do_not_collide():
    """The commonest kind of id spreads; 100,000 of them."""
    assert len({cl_ord_id_digest(b"order-%d" % n) for n in range(100_000)}) == 100_000


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "empty"),
        ("[[instrument", "array declaration"),
        ('[[instrument]]\nnumber = 1\nsymbol = "X"\n', "missing"),
        (ONE.format(tick="5", qty="10"), "X: tick_size"),
        (ONE.format(tick="abc", qty="10"), "abc"),
        (ONE.format(tick="0.01", qty="99999999999"), "X: max_order_qty"),
        (ONE.format(tick="0.01", qty="10") * 2, "twice"),
    ],
)
def test_a_wrong_instrument_list_says_where_and_why(text, problem):
    """Entry and field are named."""
    with pytest.raises(BadInstruments, match=problem) as refused:
        parse_instruments(text, "mine.toml")
    assert "mine.toml" in str(refused.value)


def test_the_built_in_instruments_are_valid_and_have_a_digest():
    """The default works without a file, and its digest tells it from others."""
    built_in, other = load_instruments(None), parse_instruments(ONE.format(tick="0.01", qty="10"), "x")
    assert built_in.by_symbol["AAPL"].price_to_ticks(Decimal("180.05")) == 18_005
    assert built_in.digest != other.digest


def test_every_reason_has_its_sentence():
    """No customer reads a bare code."""
    assert set(SENTENCES) == set(Reason)


def test_every_schema_is_carried_by_a_topic():
    """A schema without a topic is dead, a topic without a schema cannot be read."""
    assert {name for topic in TOPICS for name in topic.schemas} == set(FRAME_NAMES + RECORD_NAMES)


def test_all_wrong_settings_are_reported_at_once(monkeypatch):
    """Misspelt names too."""
    monkeypatch.setenv("OUTCRY_KAFKA_URLS", "x")
    monkeypatch.setenv("OUTCRY_EDGE_PORT", "99999")
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert "OUTCRY_KAFKA_URLS: unknown setting" in str(refused.value)
    assert "OUTCRY_EDGE_PORT" in str(refused.value)


def test_addresses_of_the_running_set_are_found_and_the_environment_wins(monkeypatch, tmp_path):
    """A command run by hand finds what `outcry up` started."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "services.json").write_text('{"kafka_url": "127.0.0.1:1", "redis_url": "redis://127.0.0.1:2/0"}')
    monkeypatch.setenv("OUTCRY_HOME", str(tmp_path))
    monkeypatch.setenv("OUTCRY_REDIS_URL", "redis://elsewhere:6379/0")
    settings = load_settings()
    assert (settings.kafka_url, settings.redis_url) == ("127.0.0.1:1", "redis://elsewhere:6379/0")


def test_every_setting_says_what_it_is():
    """The table of docs/operate.md is made of these."""
    assert all(field.description for field in Settings.model_fields.values())
