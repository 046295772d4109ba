"""The documents say what the code says."""

import re
import tomllib
from contextlib import suppress
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import yaml
from tree import PACKAGES, PROJECT, ROOT, of_packages, tracked

from edge.native.wire.encodings import BY_PROTOCOL
from schemas.settings import PREFIX, Settings
from topics.catalogue import TOPICS
from topics.roles import ROLES

OPERATE = (ROOT / "docs/operate.md").read_text()
TEXTS = {".py", ".md", ".toml", ".yaml", ".avsc", ".sql", ".js", ".html", ".css"}


def test_the_operators_page_lists_every_setting_with_its_meaning_and_default():
    """Generated once, held here: a new setting must be described for its users."""
    for name, field in Settings.model_fields.items():
        default = f"`{field.default}`" if field.default not in (None, "") else ""
        assert f"| `{PREFIX}{name.upper()}` | {field.description} | {default} |" in OPERATE


def _documents() -> list[str]:
    found = sorted(path for path in tracked() if path.endswith(".md"))
    assert {"README.md", "docs/rules.md", "tests/scenarios/README.md"} <= set(found)
    return found


def test_every_path_that_the_documents_name_is_there():
    """A newcomer who follows a document finds the file; a pattern finds some."""
    folders = "|".join((*PACKAGES, "docker", "docs", "tests"))
    for document in _documents():
        for path in re.findall(rf"`((?:{folders})/[\w./*<>-]*)`", (ROOT / document).read_text()):
            assert "<" in path or list(ROOT.glob(path.rstrip("/"))), f"{document} names {path}"


def test_every_module_that_the_documents_name_is_there():
    """Also where it is named without its folder: `fast.py`."""
    for document in _documents():
        for name in re.findall(r"`([\w/]+\.(?:py|avsc|md))`", (ROOT / document).read_text()):
            assert any(f"/{path}".endswith(f"/{name}") for path in tracked()), f"{document} names {name}"


def test_every_python_name_that_the_documents_name_can_be_imported():
    """`schemas.codec.FRAMES`, not a module of before a move. Topics, groups of entry points and sub-protocols only look like that."""
    others = (
        {topic.name for topic in TOPICS}
        | set(BY_PROTOCOL)
        | set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"])
    )
    found = 0
    for document in _documents():
        for name in re.findall(rf"`((?:{'|'.join(PACKAGES)})(?:\.\w+)+)", (ROOT / document).read_text()):
            if name not in others:
                found += 1
                assert _python(name) is not None, f"{document} names {name}"
    assert found >= 8


def _python(name: str) -> Any:
    """The module, or what a module has by that name; None if there is neither."""
    module, _, rest = name.rpartition(".")
    with suppress(ModuleNotFoundError):
        return import_module(name)
    return getattr(_python(module), rest, None) if module else None


def test_every_constant_that_the_documents_name_is_in_the_code():
    """A limit or reason that is renamed takes its documents along."""
    code = " ".join((ROOT / path).read_text() for path in tracked() if path.endswith((".py", ".toml", ".avsc", ".yaml")))
    known = set(re.findall(r"\b[A-Z][A-Z0-9_]+\b", code))
    for document in _documents():
        for name in re.findall(
            r"`((?!ALPACA_)[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)`", (ROOT / document).read_text()
        ):  # ALPACA_*: what clients read
            if name not in known and name.removeprefix(PREFIX).lower() not in Settings.model_fields:
                raise AssertionError(f"{document} names {name}")


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
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target, anchor in re.findall(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)", path.read_text()):
            document = path.parent / target if target else path
            assert document.exists(), f"{path.name} links to {target}"
            if anchor:
                headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
                assert anchor in {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}, (
                    f"{path.name}: no heading #{anchor}"
                )


def test_every_command_and_role_can_be_loaded():
    """An entry point, or a program of a role, that names nothing would fail at its first user."""
    points = entry_points(group="outcry.commands")
    assert points
    for point in points:
        assert callable(point.load())
    for role in ROLES.values():
        module, _, function = role.runs.partition(":")
        assert callable(getattr(import_module(module), function))


def test_every_module_says_what_it_is_for():
    """The first line of each module is its one purpose."""
    modules = [path for path in of_packages() if path.endswith(".py") and not path.endswith("_pb2.py")]  # protoc writes what it likes
    assert modules
    for path in modules:
        assert (ROOT / path).read_text().startswith(('"""', 'r"""')), f"{path} has no docstring"


def test_all_that_speak_of_the_first_compile_say_the_same():
    """Half a minute was true once, and stood in a help text for long."""
    for path in ("streams/operate/warm.py", "matchers/warm.py", "docs/replay.md", "docs/design/matching-engine.md"):
        assert "1 to 2.5 minutes of one core" in " ".join((ROOT / path).read_text().split()), path


def test_every_relative_link_of_a_document_leads_to_a_file():
    """To a file, not a folder: `make docs` refuses those. It checks anchors too; this needs no site."""
    for document in (path for path in tracked() if path.endswith(".md")):
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", (ROOT / document).read_text()):
            assert ((ROOT / document).parent / target).is_file(), f"{document} links {target}"


def test_every_direct_requirement_has_an_exact_pin():
    """A clone of today installs the same tomorrow; the site and the benches too."""
    names = [canonical(line.partition("==")[0]) for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line]
    project = PROJECT["project"]
    wanted = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    assert {canonical(re.match(r"[\w.-]+", one)[0]) for one in wanted} - set(names) == set()
    assert len(names) == len(set(names))


def canonical(name: str) -> str:
    """As package indices compare names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_workflow_runs_what_contributors_run_on_every_python_that_is_allowed():
    """The forge's file says nothing of its own: .ci/run, on the versions of requires-python."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yaml").read_text())
    job = workflow["jobs"]["test"]
    assert PROJECT["project"]["requires-python"] == ">=3.11,<3.14"
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    assert ".ci/run" in [step.get("run") for step in job["steps"]]
    commands = (ROOT / ".ci" / "run").read_text()
    assert "make check" in commands
    assert "make test" in commands


def test_the_hooks_of_a_commit_are_what_make_check_runs():
    """No linter that only some people have."""
    checks = set(re.findall(r"\$\(BIN\)/([\w-]+)", (ROOT / "Makefile").read_text().partition("\ncheck:")[2].partition("\n\n")[0]))
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    used = {hook["entry"].split()[0].removeprefix(".venv/bin/") for repo in hooks for hook in repo["hooks"]}
    assert checks == {"ruff", "mypy", "lint-imports", "deptry", "oxlint"}
    assert used - {"pytest"} == checks - {"mypy"}, "mypy takes too long for every commit"


@pytest.mark.parametrize(
    "path", [".devcontainer/devcontainer.json", ".oxlintrc.json", "tests/integration/wire_client/package.json", ".github/dependabot.yaml"]
    + [f".github/ISSUE_TEMPLATE/{name}" for name in ("bug.yaml", "feature.yaml", "config.yml")]
)  # fmt: skip
def test_every_file_of_a_tool_can_be_read(path):
    """A forge or an editor that cannot read its file says nothing."""
    assert yaml.safe_load((ROOT / path).read_text())  # JSON is YAML
