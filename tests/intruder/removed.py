"""Remove a protection from the running code, by an edit of its source, and put it back: so that an attack can be seen to succeed without it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any
from unittest.mock import patch

from prometheus_client import REGISTRY


@dataclass(frozen=True)
class Edit:
    """A piece of a module's source, which must be there once, and what stands there without the protection."""

    module: ModuleType
    protection: str
    without: str


@contextmanager
def removed(*edits: Edit) -> Iterator[None]:
    """Functions of the modules run with the edited source inside the block. Only code is exchanged: objects stay what they are."""
    before: list[tuple[FunctionType, CodeType]] = []
    try:
        for module in {edit.module.__name__: edit.module for edit in edits}.values():
            source = Path(str(module.__file__)).read_text()
            for edit in (edit for edit in edits if edit.module is module):
                assert source.count(edit.protection) == 1, f"{module.__name__} has not once: {edit.protection}"
                source = source.replace(edit.protection, edit.without)
            names: dict[str, Any] = {"__name__": module.__name__, "__file__": module.__file__}
            with patch.object(REGISTRY, "register"):  # metrics are there already
                exec(compile(source, str(module.__file__), "exec"), names)
            edited = _functions(module.__name__, names)
            for name, function in _functions(module.__name__, vars(module)).items():
                code = edited[name].__code__
                if code.co_code != function.__code__.co_code or code.co_consts != function.__code__.co_consts:
                    before.append((function, function.__code__))
                    function.__code__ = code
        yield
    finally:
        for function, code in reversed(before):
            function.__code__ = code


def _functions(module: str, names: dict[str, Any]) -> dict[str, FunctionType]:
    """The module's own functions and methods, by their qualified names."""
    found: dict[str, FunctionType] = {}
    for name, value in names.items():
        for inner, one in {name: value, **{f"{name}.{key}": part for key, part in _parts(value).items()}}.items():
            function = one.fget if isinstance(one, property) else one
            if isinstance(function, FunctionType) and function.__module__ == module and function.__name__ == inner.rpartition(".")[2]:
                found[inner] = function
    return found


def _parts(value: Any) -> dict[str, Any]:
    return dict(vars(value)) if isinstance(value, type) else {}
