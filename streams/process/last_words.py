"""How a process that cannot continue says why: one line in its log that the supervisor finds, and an exit code that says who has to act."""

import re
import sys
from contextlib import suppress
from typing import Final

from schemas.errors import OutcryError, StaleData
from schemas.instruments import BadInstruments

MARK: Final = "outcry: "
"""Begins the line, like the message of a known failure on the command line."""
NEEDS_A_PERSON: Final = 78
"""Exit code (EX_CONFIG of sysexits.h): the next start will fail the same way until somebody has fixed the cause."""
_TRACEBACK: Final = "Traceback (most recent call last)"


def say(error: BaseException) -> int:
    """Write the line to standard error, whatever state that is in. Returns the exit code to use."""
    sentence = str(error) if isinstance(error, OutcryError) else f"{type(error).__name__}: {error}"
    with suppress(OSError, ValueError):  # a full disk, a closed file: the exit code is left
        print(MARK + " ".join(sentence.split()), file=sys.stderr, flush=True)
    return NEEDS_A_PERSON if isinstance(error, StaleData | BadInstruments) else 1


def found_in(lines: list[str]) -> str:
    """The line of a log that says why its program ended: the one written by `say`, else the exception of the last traceback, else the last line."""
    said = next((line.removeprefix(MARK) for line in reversed(lines) if line.startswith(MARK)), "")
    if said:
        return said
    plain = [part for line in lines for part in _unfolded(line)]
    starts = [index for index, line in enumerate(plain) if line.startswith(_TRACEBACK)]
    after = plain[starts[-1] + 1 :] if starts else []
    return next((line for line in after if line and not line[0].isspace()), plain[-1] if plain else "")


def _unfolded(line: str) -> list[str]:
    """The lines of a traceback that an event of ours has as its field `exception`; any other line as it is."""
    folded = re.search(rf'exception="({re.escape(_TRACEBACK)}.*?)"(?: \w+=|$)', line)
    return folded[1].replace(r"\"", '"').split(r"\n") if folded else [line]
