"""A hook of mkdocs: the pages of the site are the repository's own documents, at their own places, and a generated page of each package's modules."""

import re
import subprocess
from pathlib import Path, PurePosixPath
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT: Final = Path(__file__).parents[1]
PACKAGES: Final = {
    "schemas": "the words: enumerations, reasons, limits, instruments, frames, settings",
    "access": "people, passwords, second factors, tokens",
    "topics": "the log: topics, partitions, the wire format, and the producer library",
    "matchers": "account and book shards, market data, replay and back-tests",
    "surveillance": "detectors and their alerts",
    "sinks": "MySQL, Redis and Elasticsearch: writing and asking",
    "audit": "the audit log: trees, signed checkpoints, witnesses, proofs, the verifier",
    "reports": "regulatory reports: the facts of a day, events, checks, files, tables",
    "forecast": "the load of the coming hour, and the processes that it takes",
    "streams": "roles, commands, services, recovery and proofs, the demo",
    "edge": "HTTP, WebSocket, pages",
    "outcry": "the client of the native API",
}
_LINK: Final = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """README.md, the other documents at the root, docs/, what they link to, and api/."""
    paths = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    pages = [File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)) for path in sorted(paths)]
    pages += [File.generated(config, name, content=text) for name, text in api_pages().items()]
    known = {page.src_uri for page in pages}
    for path in paths:
        for link in _LINK.findall(path.read_text()):
            target = (path.parent / link).resolve()
            if target.is_file() and (place := target.relative_to(ROOT).as_posix()) not in known:  # a missing one is mkdocs' to report
                known.add(place)
                pages.append(File.generated(config, place, abs_src_path=str(target)))
    kept = [file for file in files if file.src_uri.startswith("assets/") or file.generated_by]  # the theme's own
    return Files([*kept, *pages])


def api_pages() -> dict[str, str]:
    """A page for each package with every module that git has, from their docstrings."""
    listed = subprocess.run(["git", "ls-files", "--", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    pages = {}
    for package, purpose in PACKAGES.items():
        modules = sorted(module_of(PurePosixPath(path)) for path in listed if path.startswith(f"{package}/"))
        assert modules, f"no modules in {package}"
        pages[f"api/{package}.md"] = f"# {package}\n\n{purpose[0].upper()}{purpose[1:]}.\n\n" + "\n".join(f"::: {one}\n" for one in modules)
    rows = "\n".join(f"| [{package}]({package}.md) | {purpose} |" for package, purpose in PACKAGES.items())
    pages["api/index.md"] = f"# API\n\nEvery module, from its docstrings.\n\n| package | what it is |\n|---|---|\n{rows}\n"
    return pages


def module_of(path: PurePosixPath) -> str:
    """The dotted name of a file."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
