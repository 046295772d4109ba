"""The documents say what the code says."""

import re
from importlib.metadata import entry_points

import pytest
from tree import PACKAGES, ROOT, of_packages, tracked

from schemas.settings import PREFIX, Settings

README = (ROOT / "README.md").read_text()


def test_the_readme_lists_every_setting_with_its_meaning_and_default():
    """Generated once, held here: a new setting must be described for its users."""
    for name, field in Settings.model_fields.items():
        default = f"`{field.default}`" if field.default not in (None, "") else ""
        assert f"| `{PREFIX}{name.upper()}` | {field.description} | {default} |" in README


def test_every_path_that_the_documents_name_is_there():
    """A newcomer who follows a document finds the file."""
    documents = [path for path in tracked() if path.endswith(".md") and (path.count("/") == 0 or path.startswith(("docs/", ".github/")))]
    assert "README.md" in documents
    for document in documents:
        for path in re.findall(rf"`((?:{'|'.join(PACKAGES)}|docker|docs|tests)/[\w./-]*)`", (ROOT / document).read_text()):
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
    modules = [path for path in of_packages() if path.endswith(".py")]
    assert modules
    for path in modules:
        assert (ROOT / path).read_text().startswith(('"""', 'r"""')), f"{path} has no docstring"


def test_all_that_speak_of_the_first_compile_say_the_same():
    """Half a minute was true once, and stood in a help text for long."""
    for path in ("streams/warm.py", "matchers/warm.py", "docs/replay.md", "ARCHITECTURE.md"):
        assert "1 to 2.5 minutes of one core" in " ".join((ROOT / path).read_text().split()), path
