"""What `make test` shares out to processes (tests/support/scopes.py): nothing that needs to stay together is torn apart."""

import pytest
from support.scopes import CHAOS, OWN_SETS, SERVICES, SHARED_SET, scope_of, turn_of
from tree import ROOT


@pytest.mark.parametrize(
    ("nodeid", "scope"),
    [
        ("tests/integration/test_pipeline.py::test_a[x/y::z]", SERVICES),
        ("tests/integration/own_sets/test_demo.py::test_a", OWN_SETS + "test_demo.py"),
        ("tests/integration/own_sets/edge_process/test_cases.py::test_a", OWN_SETS + "edge_process"),
        ("tests/chaos/test_chaos.py::test_a", CHAOS + "test_chaos.py"),
        ("tests/unit/edge/http/test_http.py::Class::test_a", "tests/unit/edge/http/test_http.py"),
        ("tests/properties/test_books_agree.py::test_a[1]", "tests/properties/test_books_agree.py::test_a[1]"),
    ],
)
def test_tests_that_share_a_fixture_of_services_stay_together(nodeid, scope):
    """Everything else may go anywhere, a module at a time."""
    assert scope_of(nodeid) == scope


def test_the_longest_work_begins_first():
    """Tests in any order come out as: the shared exchange, chaos, what is slow, sets of their own, the rest."""
    chaos, own, shared = CHAOS + "test_chaos.py", OWN_SETS + "test_demo.py", SHARED_SET + "test_pipeline.py"
    slow, quick = "tests/properties/b.py", "tests/unit/a.py"
    assert sorted([quick, slow, shared, own, chaos], key=lambda one: turn_of(one, {slow})) == [shared, chaos, slow, own, quick]


def test_who_starts_a_set_is_in_the_folder_for_it():
    """A set that is started among those that share one would run beside it in the same process, and hold up all of them."""
    assert (ROOT / CHAOS).exists()
    assert any((ROOT / OWN_SETS).glob("*/conftest.py"))
    for path in (ROOT / SHARED_SET).glob("test_*.py"):
        assert "LocalSet(" not in path.read_text(), path.name
