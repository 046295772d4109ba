"""The documents say what the code says."""

import re
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from schemas.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PACKAGES = ("schemas", "topics", "matchers", "surveillance", "sinks", "streams", "edge")
TEXTS = {".py", ".md", ".toml", ".yaml", ".avsc", ".sql", ".js", ".html", ".css"}


def test_the_readme_lists_every_setting_with_its_meaning_and_default():
    """Generated once, held here: a new setting must be described for its users."""
    for name, field in Settings.model_fields.items():
        default = f"`{field.default}`" if field.default not in (None, "") else ""
        assert f"| `{PREFIX}{name.upper()}` | {field.description} | {default} |" in README


def test_every_path_that_the_documents_name_is_there():
    """A newcomer who follows a document finds the file."""
    for document in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/rules.md"):
        for path in re.findall(
            r"`((?:schemas|topics|matchers|surveillance|sinks|streams|edge|docker|tests)/[\w./-]*)`", (ROOT / document).read_text()
        ):
            assert (ROOT / path).exists(), f"{document} names {path}"


def _texts():
    """Every file of ours that is read by people, but this one."""
    for folder in (*PACKAGES, "docs", "docker", "tests"):
        yield from (path for path in (ROOT / folder).rglob("*") if path.suffix in TEXTS and path != Path(__file__))
    yield from (path for path in ROOT.iterdir() if path.suffix in TEXTS or path.name == "Makefile")


def _words(path):
    """A file's text in one line, without the marks that begin the lines of a comment."""
    return re.sub(r"\s*\n[ \t]*(#:?[ \t])?\s*", " ", path.read_text())


def test_what_the_repository_refers_to_is_in_it():
    """No page that only its authors have, and no section that is not there."""
    found = 0
    for path in _texts():
        words, where = _words(path), path.relative_to(ROOT)
        assert not re.search(r"matching[-_]rules|house[- ]style|production column", words, re.IGNORECASE), (
            f"{where} refers to a page elsewhere"
        )
        for document, sections in re.findall(r"\b(docs/\w+\.md)[`)]*(?:\]?\([\w./#-]+\))?((?:,? sections? [\d, andto]+)?)", words):
            assert (ROOT / document).exists(), f"{where} refers to {document}"
            for number in re.findall(r"\d+", sections):
                found += 1
                assert re.search(rf"^## {number}\. ", (ROOT / document).read_text(), re.MULTILINE), (
                    f"{where} refers to {document}, section {number}"
                )
    assert found >= 12, "the references that are known to be there were not recognised"


def test_every_link_between_documents_leads_to_its_file_and_heading():
    """A heading that is renamed takes its links along."""
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for target, anchor in re.findall(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)", path.read_text()):
            document = path.parent / target if target else path
            assert document.exists(), f"{path.name} links to {target}"
            if anchor:
                headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
                assert anchor in {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}, (
                    f"{path.name}: no heading #{anchor}"
                )


@pytest.mark.parametrize("group", ["outcry.commands", "outcry.roles"])
def test_every_command_and_role_can_be_loaded(group):
    """An entry point that names nothing would fail at its first user."""
    points = entry_points(group=group)
    assert points
    for point in points:
        assert callable(point.load())


def test_every_module_says_what_it_is_for():
    """The first line of each module is its one purpose."""
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            assert path.read_text().startswith(('"""', 'r"""')), f"{path.relative_to(ROOT)} has no docstring"
