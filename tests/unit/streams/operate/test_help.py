"""`outcry --help` is what a newcomer types first: at once, and what the commands say of themselves."""

import subprocess
import sys
from importlib.metadata import entry_points

from streams.__main__ import docstring_of


def test_the_list_of_commands_imports_none_of_them():
    """Importing them all takes seconds."""
    program = "import sys, streams.__main__ as s\ntry:\n s.main()\nfinally:\n print(sorted({'numba', 'faust', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program, "--help"], capture_output=True, text=True, check=True)
    assert "  worker        Run ROLE until TERM or Ctrl-C." in done.stdout.splitlines()
    assert done.stdout.splitlines()[-1] == "[]"


def test_every_command_is_listed_with_its_own_first_sentence():
    """Read from the source, as click reads it from the function."""
    for point in entry_points(group="outcry.commands"):
        command = point.load()
        read = type(command)(command.name, help=docstring_of(point))
        assert read.get_short_help_str(200) == command.get_short_help_str(200) != "", point.name
