"""Parts of kernels as plain Python, so that they can be tested one by one: helpers have no entry points of their own."""

from collections.abc import Callable
from typing import Any

import numpy as np


def interpreted(function: Any) -> Callable[..., Any]:
    """A helper as plain Python: the helpers and intrinsics that it calls are replaced by plain ones too."""
    made = _plain(function, {})

    def call(*arguments: Any) -> Any:
        with np.errstate(over="ignore"):
            return made(*arguments)

    return call


def _plain(function: Any, made: dict[str, Any]) -> Any:
    """`made`: what has been replaced already, by name."""
    source = function.py_func
    if source.__qualname__ in made:
        return made[source.__qualname__]
    scope = dict(source.__globals__)
    plain = made[source.__qualname__] = type(source)(source.__code__, scope, source.__name__)
    for name in source.__code__.co_names:
        if hasattr(scope.get(name), "py_func"):
            scope[name] = _plain(scope[name], made)
    bits = {"lowest_bit": _lowest_bit, "leading_zeros": _leading_zeros}
    scope |= {name: one for name, one in bits.items() if name in scope}
    return plain


def _lowest_bit(word: Any) -> Any:
    return np.uint64((int(word) & -int(word)).bit_length() - 1)


def _leading_zeros(word: Any) -> Any:
    return np.uint64(64 - int(word).bit_length())
