"""Which private parts of Faust, mode and aiokafka we use: each is listed here, so that a new version is read with this list in hand."""

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import streams.transport

ASKED = {
    "_committed_offset", "_ensure_consumer", "_subscription", "_get", "_open_for_partition", "_coordinator", "_pending_exception",
    "_coordination_task", "_closing",
}  # fmt: skip
"""Attributes of objects that are not ours."""
REPLACED = {
    "ChangelogRecovery._restart_recovery", "ChangelogRecovery._slurp_changelogs",
    "FastConsumer._add_gap", "FastConsumer._getmany", "FastConsumer._seek", "FastConsumer._to_message",
    "SnapshotTable._new_store_by_url", "SnapshotTable._on_changelog_sent",
    "TableStore._get", "TableStore._open_for_partition",
}  # fmt: skip
"""Private methods of theirs that our classes have in their place."""
LIBRARIES = ("faust", "mode", "aiokafka")


def modules() -> Iterator[tuple[str, ast.Module, object]]:
    """Every module of the only package that imports Faust."""
    for found in pkgutil.iter_modules(streams.transport.__path__, "streams.transport."):
        module = importlib.import_module(found.name)
        yield found.name, ast.parse(inspect.getsource(module)), module


def private(name: str) -> bool:
    """Begins with one underscore."""
    return name.startswith("_") and not name.startswith("__")


def is_function(one: type, key: str) -> bool:
    """A private method, or a task of mode's, written in this class."""
    return private(key) and key != "_abc_impl"


def test_what_we_ask_of_their_objects_is_listed():
    """`os._exit` is Python's own."""
    asked = {
        node.attr
        for _, tree, _ in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and private(node.attr) and ast.unparse(node.value) not in ("self", "cls", "os")
    }
    assert asked == ASKED


def test_what_we_replace_of_their_classes_is_listed():
    """A method of ours is theirs where a base class from one of the libraries has it."""
    replaced = set()
    for name, _, module in modules():
        for one in vars(module).values():
            if inspect.isclass(one) and one.__module__ == name:
                theirs = [base for base in one.__mro__[1:] if base.__module__.partition(".")[0] in LIBRARIES]
                replaced |= {
                    f"{one.__name__}.{key}" for key in vars(one) if is_function(one, key) and any(key in vars(base) for base in theirs)
                }
    assert replaced == REPLACED
