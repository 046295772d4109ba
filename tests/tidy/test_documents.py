"""The documents say what the code says."""

import re
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from schemas.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_readme_lists_every_setting_with_its_meaning_and_default():
    """Generated once, held here: a new setting must be described for its users."""
    for name, field in Settings.model_fields.items():
        default = f"`{field.default}`" if field.default not in (None, "") else ""
        assert f"| `{PREFIX}{name.upper()}` | {field.description} | {default} |" in README


def test_every_path_that_the_documents_name_is_there():
    """A newcomer who follows a document finds the file."""
    for document in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"):
        for path in re.findall(
            r"`((?:schemas|topics|matchers|surveillance|sinks|streams|edge|docker|tests)/[\w./-]*)`", (ROOT / document).read_text()
        ):
            assert (ROOT / path).exists(), f"{document} names {path}"


@pytest.mark.parametrize("group", ["outcry.commands", "outcry.roles"])
def test_every_command_and_role_can_be_loaded(group):
    """An entry point that names nothing would fail at its first user."""
    points = entry_points(group=group)
    assert points
    for point in points:
        assert callable(point.load())


def test_every_module_says_what_it_is_for():
    """The first line of each module is its one purpose."""
    for package in ("schemas", "topics", "matchers", "surveillance", "sinks", "streams", "edge"):
        for path in (ROOT / package).rglob("*.py"):
            assert path.read_text().startswith(('"""', 'r"""')), f"{path.relative_to(ROOT)} has no docstring"
