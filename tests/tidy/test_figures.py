"""docs/benchmarks.md has the stored figures, and figures that can be trusted."""

import ast
import json
import re

import figures
import pytest
from bench_engine import BENCHES
from harness.result_lines import UNCOMMITTED, WHERE, print_result

LINE = {"bench": "edge", "orders_per_s": 200, "machine": "2 cores", "commit": "0123456789ab", "date": "2026-11-29", "load_average": 0.1}


def test_the_page_is_what_the_command_writes():
    """Nobody edits a table by hand, nobody stores a line without the page: `make figures`."""
    page = figures.PAGE.read_text()
    assert figures.with_figures(page) == page


def test_every_bench_has_its_table_and_every_stored_file_its_bench():
    """A figure that is stored is shown."""
    assert sorted(re.findall(r"<!-- figures: ([\w-]+) -->", figures.PAGE.read_text())) == sorted(figures.COLUMNS)
    assert {path.stem for path in figures.STORED.glob("*")} <= set(figures.COLUMNS)


def test_every_stored_line_says_where_it_was_measured():
    """Machine, commit and date; never a tree that nobody else has."""
    for path in figures.STORED.glob("*"):
        found = figures.read_results(path.read_text().splitlines())
        assert list(found) == [path.stem]


def test_every_name_that_a_bench_prints_has_a_table():
    """Else its lines are refused after an hour of measuring."""
    printed = set()
    for path in (figures.ROOT / "tests" / "bench").glob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "print_result":
                names = [one.value for one in ast.walk(call.args[0]) if isinstance(one, ast.Constant) and one.value in figures.COLUMNS]
                assert names, f"{path.name}: {ast.unparse(call.args[0])} is no bench of figures.py"
                printed |= set(names)
    assert printed | set(BENCHES.values()) == set(figures.COLUMNS)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"commit": "0123456789ab" + UNCOMMITTED}, "in no commit"),
        ({"commit": "unknown"}, "in no commit"),
        ({"bench": "guess"}, "no such bench: guess"),
        ({"machine": None}, "has no machine"),
    ],
)
def test_a_line_that_cannot_be_trusted_is_refused(change, sentence):
    """Figures of code that nobody can check out are worth nothing."""
    line = {name: value for name, value in (LINE | change).items() if value is not None}
    with pytest.raises(ValueError, match=sentence):
        figures.read_results([json.dumps(line)])


def test_a_new_run_replaces_the_lines_of_its_bench_only(tmp_path):
    """The page never mixes two runs of one bench."""
    for rate in (200, 300):
        figures.store(figures.read_results(["# progress", json.dumps(LINE | {"orders_per_s": rate})]), tmp_path)
    (tmp_path / "sinks.jsonl").write_text(json.dumps(LINE | {"bench": "sinks", "sink": "redis"}) + "\n")
    page = "<!-- figures: edge -->\nold\n<!-- end -->\n<!-- figures: sinks -->\n<!-- end -->\n<!-- figures: latency -->\n<!-- end -->\n"
    written = figures.with_figures(page, tmp_path)
    assert "| 300 |" in written and "200" not in written and "old" not in written
    assert "| redis |" in written and figures.NOTHING in written
    assert figures.with_figures(written, tmp_path) == written


def test_a_printed_result_can_be_stored(capsys):
    """What a bench prints has all that the page needs."""
    print_result("edge", {"orders_per_s": 200})
    line = json.loads(capsys.readouterr().out)
    assert set(WHERE) <= set(line)
    assert figures.read_results([json.dumps(line | {"commit": "0123456789ab"})])["edge"][0]["orders_per_s"] == 200
