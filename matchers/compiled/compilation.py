"""How kernels are compiled, and when a kernel compiled earlier may be used again.

numba's cache on disk looks only at the file of the function itself. A kernel also has its helpers, the enumerations and the limits compiled into it, and one
made from older rules would fork a shard from its log, so the cache is stamped with a digest of all the sources that can be in the kernel.
"""

import ast
import hashlib
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, TypeVar

import numba
from numba.extending import intrinsic

Function = TypeVar("Function", bound=Callable[..., Any])

_PACKAGES: Final = ("matchers", "schemas")
_FRAME: Final = "_frame.avsc"


class UnknownSource(AssertionError):
    """A source that the stamp would have to cover cannot be found. A stamp without it would let old rules run, so nothing is compiled."""


@cache
def source_digest(module: str) -> str:
    """A digest of every source that can be compiled into the kernels of a module: its own, what it imports from our packages, and the frames' schemas.

    Other records reach no kernel: a new one, or a new field of one, is no reason to compile anything. Raises UnknownSource.
    """
    digest = hashlib.blake2b(digest_size=16)
    for place, path in sorted((imported_sources(module) | frame_schemas()).items()):
        source = path.read_bytes()
        digest.update(f"{place}\0{len(source)}\0".encode() + source)
    return digest.hexdigest()


def frame_schemas() -> dict[str, Path]:
    """The files in which frames are described, by their path below the packages: numpy rows, and kernels with them, are made from these. Raises UnknownSource."""
    found = {path.relative_to(_root("schemas").parent).as_posix(): path for path in _root("schemas").rglob(f"*{_FRAME}")}
    if not found:
        raise UnknownSource(f"{_root('schemas')} has no schemas of frames")
    return found


def imported_sources(module: str) -> dict[str, Path]:
    """The sources of a module and of all that it imports from our packages, directly or not, by their path below the packages.

    Packages count too: those that are imported, and those that imported modules are in. Raises UnknownSource.
    """
    if module.partition(".")[0] not in _PACKAGES:
        raise UnknownSource(f"{module} has kernels, and is in none of {', '.join(_PACKAGES)}")
    found: dict[str, Path] = {}
    waiting = [(module, "its own kernels")]
    while waiting:
        name, wanted_by = waiting.pop()
        if name in found or name.partition(".")[0] not in _PACKAGES:
            continue
        path = _source(name)
        if path is None:
            raise UnknownSource(f"no source of {name} for {wanted_by}")
        found[name] = path
        parent = name.rpartition(".")[0]
        waiting += [(one, name) for one in (*_imports(name, path), *([parent] if parent else []))]
    return {path.relative_to(_root(name.partition(".")[0]).parent).as_posix(): path for name, path in found.items()}


def _imports(name: str, path: Path) -> list[str]:
    """Absolute names of the modules that a module imports. In `from a import b`, b is one if there is such a module, else a name in a."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    names = []
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names += [one.name for one in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            names += [origin, *(one for one in (f"{origin}.{part.name}" for part in node.names) if _source(one) is not None)]
    return names


def _source(name: str) -> Path | None:
    """The file of a module or package of ours; None if there is no such module."""
    top, *rest = name.split(".")
    if top not in _PACKAGES:
        return None
    place = _root(top).joinpath(*rest)
    candidates = (place / "__init__.py", *([place.with_name(f"{place.name}.py")] if rest else []))
    return next((path for path in candidates if path.is_file()), None)


@cache
def _root(package: str) -> Path:
    return Path(str(files(package)))


def helper(function: Function) -> Function:
    """A part of kernels, always inlined: a call would copy all arrays' descriptors (State is over 1 KB) to the stack.

    It has no entry points of its own for Python and C, which would double the time to compile.
    """
    options = {"nogil": True, "error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True, "forceinline": True}
    compiled: Function = numba.njit(**options)(function)  # type: ignore[call-overload]
    return compiled


def routine(function: Function) -> Function:
    """A part of kernels that is called rather than inlined, if it is more than a few instructions: what is rare must not swell what is not."""
    options = {"nogil": True, "error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    compiled: Function = numba.njit(**options)(function)  # type: ignore[call-overload]
    return compiled


def kernel(function: Function) -> Function:
    """An entry point, called from Python; compiled code is cached on disk."""
    compiled: Any = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    cache_file = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
    if cache_file is not None and hasattr(cache_file, "_source_stamp"):
        cache_file._source_stamp = source_digest(function.__module__)
    elif hasattr(compiled, "_cache"):  # a numba that keeps its stamp elsewhere: compile at every start rather than run old rules
        compiled._cache.disable()
    entry: Function = compiled
    return entry


def _bit_count(name: str) -> Any:
    """An LLVM operation on a u64 that is not zero."""

    def typed(typing_context: Any, word: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return getattr(builder, name)(arguments[0], context.get_constant(numba.types.boolean, 0))

        return numba.types.uint64(numba.types.uint64), generate

    return intrinsic(typed)


lowest_bit = _bit_count("cttz")
"""Number of the lowest set bit of a u64 that is not zero."""

leading_zeros = _bit_count("ctlz")
"""How many zero bits a u64 that is not zero begins with."""


def _borrowed(typing_context: Any, array: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        view.meminfo = view.meminfo.type(None)
        view.parent = view.parent.type(None)
        return view._getvalue()

    return array(array), generate


borrowed: Any = intrinsic(_borrowed)
"""The same array without its owner, for use within one kernel call: numba then counts no references, which otherwise costs more than the work.

The caller of the kernel keeps the owner alive.
"""
