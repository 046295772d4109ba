"""Ask the processor for memory before it is needed."""

from typing import Any, Final

import numba
from llvmlite import ir
from numba.extending import intrinsic

from matchers.compiled.hash_index import U

LINE: Final = U(64)
"""Bytes of a cache line."""


def _prefetch(typing_context: Any, address: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        name = "llvm.prefetch.p0"
        function = builder.module.globals.get(name) or ir.Function(
            builder.module, ir.FunctionType(ir.VoidType(), [byte, number, number, number]), name
        )
        read, keep, data = number(0), number(3), number(1)
        builder.call(function, [builder.inttoptr(arguments[0], byte), read, keep, data])
        return context.get_dummy_value()

    return numba.types.void(numba.types.uint64), generate


prefetch: Any = intrinsic(_prefetch)
"""Ask for the cache line of an address (u64); any address will do."""
