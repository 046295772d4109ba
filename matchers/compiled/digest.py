"""cl_ord_id text in the kernels: validity and the digest of schemas.ids.cl_ord_id_digest. Text is a row of little-endian u64 words."""

from typing import Any

import numpy as np

from matchers.compiled.compilation import helper, kernel
from matchers.compiled.hash_index import U, mix

_HIGH_BITS = U(0x8080808080808080)
_TO_HIGH_BIT_FROM_SPACE = U(0x6060606060606060)  # 0x20 + 0x60 = 0x80
_TO_HIGH_BIT_FROM_DEL = U(0x0101010101010101)  # 0x7F + 0x01 = 0x80
_ZERO = U(0)
_BYTE = U(0xFF)


@helper
def text_words(text: Any, row: Any) -> Any:
    """How many words the text of this row has; 0 if it is empty or not printable ASCII throughout."""
    words = text.shape[1]
    while words > 0 and text[row, words - 1] == _ZERO:
        words -= 1
    for at in range(words - 1):  # all but the last word are full
        word = text[row, at]
        if word & _HIGH_BITS != _ZERO or (word + _TO_HIGH_BIT_FROM_SPACE) & _HIGH_BITS != _HIGH_BITS:
            return 0
        if (word + _TO_HIGH_BIT_FROM_DEL) & _HIGH_BITS != _ZERO:
            return 0
    rest = text[row, words - 1] if words > 0 else _ZERO
    while rest != _ZERO:
        byte = rest & _BYTE
        if byte < U(0x20) or byte > U(0x7E):
            return 0
        rest >>= U(8)
    return words


@helper
def text_digest(text: Any, row: Any, words: Any) -> Any:
    """Two u64 over the first `words` words of a row."""
    low = U(0x9E3779B97F4A7C15)
    high = U(0xC2B2AE3D27D4EB4F)
    for at in range(words):
        word = text[row, at]
        low = mix(low ^ word)
        high = mix(high + word)
    return low, high


@kernel
def check_texts(text: Any, out: Any) -> None:
    """Words and digest of every row into out u64[n, 3]; the kernel's rule made visible to tests."""
    for row in range(text.shape[0]):
        words = text_words(text, row)
        low, high = text_digest(text, row, words)
        out[row, 0] = np.uint64(words)
        out[row, 1] = low
        out[row, 2] = high
