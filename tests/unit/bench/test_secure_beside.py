"""How the secure set is compared with the plain one: rounds in turn, ratios of pairs."""

from bench_secure import PLAIN, SECURE, compared, order_of


def round_of(cpu_ms: float, p50_ms: float | None, **failures: int) -> dict[str, object]:
    """What one_round of latency.py gives, as far as it is compared."""
    by_process = {"kafka": cpu_ms / 2, "edge": cpu_ms / 2}
    return {
        "orders": 10, "cpu_ms_per_order": cpu_ms, "p50_ms": p50_ms, "p99_ms": 4.0, "answer_p50_ms": 1.0, "answer_p99_ms": 2.0, "failures": failures,
        "cpu_ms_per_order_by_process": by_process,
    }  # fmt: skip


def test_rounds_take_turns_and_every_other_pair_begins_with_the_other_set():
    """So neither is always the one that follows."""
    assert order_of(3) == [PLAIN, SECURE, SECURE, PLAIN, PLAIN, SECURE]


def test_a_ratio_is_the_median_of_pairs_and_not_the_ratio_of_medians():
    """A pair during which the machine was slow counts like the others."""
    found = compared(
        [round_of(1.0, 10.0), round_of(10.0, 50.0), round_of(2.0, 10.0)], [round_of(1.1, 11.0), round_of(12.0, 55.0), round_of(2.6, 20.0)]
    )
    assert found["cpu_ms_per_order_ratios"] == [1.1, 1.2, 1.3]
    assert found["cpu_ms_per_order_ratio"] == 1.2
    assert (found["cpu_ms_per_order_plain"], found["cpu_ms_per_order_secure"]) == (2.0, 2.6)
    assert found["p50_ms_ratios"] == [1.1, 1.1, 2.0]
    assert found["p99_ms_ratio"] == 1.0
    assert found["orders"] == 30
    assert found["cpu_ms_per_order_by_process"] == {PLAIN: {"kafka": 1.0, "edge": 1.0}, SECURE: {"kafka": 1.3, "edge": 1.3}}


def test_a_round_without_an_execution_has_no_ratio_and_its_failures_are_told():
    """It is left out, never taken for nothing."""
    found = compared([round_of(1.0, None, **{"503": 2}), round_of(1.0, 2.0)], [round_of(1.5, 3.0), round_of(1.5, 3.0, **{"503": 1})])
    assert found["p50_ms_ratios"] == [1.5]
    assert found["failures"] == {PLAIN: {"503": 2}, SECURE: {"503": 1}}
    assert compared([round_of(1.0, None)], [round_of(1.0, None)])["p50_ms_ratio"] is None
