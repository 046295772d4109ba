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


@cache
def source_digest(module: str) -> str:
    """A digest of every source that can be compiled into the kernels of a module: its own, what it imports from our packages, and the frames' schemas."""
    digest = hashlib.blake2b(digest_size=16)
    for source in [*sorted(_imported(module)), *sorted(files("schemas").glob("*.avsc"))]:  # type: ignore[attr-defined]  # a directory
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()


def _imported(module: str) -> set[Path]:
    """The sources of a module and of all that it imports from our packages, directly or not."""
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        package, _, leaf = name.partition(".")
        path = Path(str(files(package).joinpath(f"{leaf or '__init__'}.py"))) if package in _PACKAGES else None
        if path is None or name in found or not path.is_file():  # a name within a module, or not ours
            continue
        found[name] = path
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.ImportFrom) and node.module:
                waiting += [node.module, *(f"{node.module}.{one.name}" for one in node.names)]
            elif isinstance(node, ast.Import):
                waiting += [one.name for one in node.names]
    return set(found.values())


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
