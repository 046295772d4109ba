"""Whether the kernels are compiled, told without importing numba: as `make` does, by what the files were when they were.

`outcry warm` takes three seconds of processor time to find that there is nothing to do, at each start of a set. This takes milliseconds. It may
say "no" where numba would find its cache good, never the other way round: any file of ours, of the cache, and the processor count.
"""

import hashlib
import json
import os
import sys
from contextlib import suppress
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from schemas.settings import Settings
from streams.process.files import write_atomically

_SOURCES = ("matchers", "schemas")
_SUFFIXES = {".py", ".avsc"}
_CACHE_SUFFIXES = {".nbi", ".nbc"}


def are_compiled(settings: Settings) -> bool:
    """Whether nothing has changed since `note_compiled`."""
    try:
        return _note_path(settings).read_text() == _now()
    except OSError:
        return False


def note_compiled(settings: Settings) -> None:
    """Remember that the kernels of these sources are in the cache. A full disk takes no note."""
    with suppress(OSError):
        write_atomically(_note_path(settings), _now())


def _note_path(settings: Settings) -> Path:
    installed = hashlib.blake2b(str(_root()).encode(), digest_size=8).hexdigest()
    return settings.cache_dir / "kernels" / f"{installed}.json"


def _root() -> Path:
    return Path(str(files("matchers"))).parent


def _now() -> str:
    """What compiled code depends on, and the code. Without files of code there is nothing to remember: that never equals a note."""
    found = {}
    cached = os.environ.get("NUMBA_CACHE_DIR")
    for place in [*(_root() / name for name in _SOURCES), *([Path(cached)] if cached else [])]:
        for folder, _, names in os.walk(place):
            for name in names:
                path = Path(folder, name)
                if path.suffix in _SUFFIXES | _CACHE_SUFFIXES:
                    about = path.stat()
                    found[str(path)] = [about.st_size, about.st_mtime_ns]
    if not any(Path(name).suffix in _CACHE_SUFFIXES for name in found):
        raise FileNotFoundError("nothing is compiled here")
    made_with = [sys.version, version("numba"), version("llvmlite"), version("numpy"), _processor()]
    return json.dumps({"made_with": made_with, "files": dict(sorted(found.items()))}, indent=1)


def _processor() -> str:
    """A kernel uses the instructions of the processor that it was compiled on."""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
        return "\n".join(line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part")))
    return ""
