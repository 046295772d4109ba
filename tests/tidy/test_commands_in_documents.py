"""Every command that a document shows can be typed, and prose fits a screen."""

import re
import shlex
import subprocess
import sys

import click
import pytest
from tree import ROOT, tracked

from streams.__main__ import outcry

DOCUMENTS = tuple(path for path in sorted(tracked()) if path.endswith(".md"))
COLUMNS_MAX = 120


def code_of(text: str) -> list[str]:
    """Lines of fenced blocks, and code spans, also those that are broken over two lines."""
    prose, *fenced = re.split(r"^ *```.*$", text, flags=re.MULTILINE)
    spans = [line for block in fenced[0::2] for line in block.splitlines()]
    for part in (prose, *fenced[1::2]):
        spans += [re.sub(r"\s+", " ", span) for span in re.findall(r"`([^`]+)`", part)]
    return spans


def shown(program: str) -> list[tuple[str, str]]:
    """(document, command line from the program on) wherever a document shows it."""
    found = []
    for document in DOCUMENTS:
        for span in code_of((ROOT / document).read_text()):
            for part in re.split(r" && |; ", span.partition(" #")[0]):
                if match := re.search(rf"(?:^|\s|/)({program}(?: .*|$))", part):
                    found.append((document, match[1]))
    return found


def problem_of(line: str) -> str | None:
    """What is wrong with an `outcry` command line: an unknown sub-command or option."""
    command: click.Command = outcry
    for word in shlex.split(line.replace("...", ""))[1:]:
        if isinstance(command, click.Group) and re.fullmatch(r"[a-z][a-z-]*", word):
            found = command.get_command(click.Context(command), word)
            if found is None:
                return f"no sub-command {word}"
            command = found
        elif word.startswith("--"):
            options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}
            if word.partition("=")[0] not in options:
                return f"no option {word}"
    return None


def test_every_outcry_command_in_the_documents_exists_with_its_options():
    """A reader who types it gets no usage error."""
    lines = shown("outcry")
    assert len(lines) >= 60
    assert {line: problem for _, line in lines if (problem := problem_of(line))} == {}


@pytest.mark.parametrize("line", ["outcry nonsense", "outcry accounts nonsense", "outcry up --nonsense", "outcry session open --all"])
def test_a_command_that_does_not_exist_would_be_found(line):
    """Or the test above could not fail."""
    assert problem_of(line)


def test_every_make_target_in_the_documents_exists():
    """`make help` has it, too."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    used = {word for _, line in shown("make") for word in re.findall(r"^make ([a-z][a-z-]*)", line)}
    assert len(used) >= 15
    assert used - targets == set()


@pytest.mark.slow
def test_every_script_in_the_documents_exists_with_its_options():
    """As they say it themselves, by --help."""
    lines = {line for _, line in shown("python") if re.match(r"python tests/", line)}
    assert len(lines) >= 4
    for line in lines:
        script, *words = shlex.split(line)[1:]
        assert (ROOT / script).exists(), line
        options = [word for word in words if word.startswith("--")]
        if options:
            said = subprocess.run([sys.executable, ROOT / script, "--help"], capture_output=True, text=True, check=True).stdout
            assert all(option in said for option in options), line


def test_no_line_of_prose_is_wider_than_a_screen():
    """Tables and code may be."""
    for document in DOCUMENTS:
        fenced = False
        for number, line in enumerate((ROOT / document).read_text().splitlines(), 1):
            fenced ^= line.lstrip().startswith("```")
            if not fenced and not line.startswith("|"):
                assert len(line) <= COLUMNS_MAX, f"{document}:{number} has {len(line)} columns"
