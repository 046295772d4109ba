"""Price levels of a book side in order: a tree of 64-way nodes over the digits of the price, so that any price costs six steps and none is out of a window.

Node: node_bits u64 (which digits there are) and node_child[64] (nodes; at the last depth level rows). Six digits of six bits hold 36 bits,
PRICE_TICKS_MAX needs 32. The root of a side is never freed; other nodes are freed when their last digit goes.
"""

from typing import Any, Final

import numpy as np

from matchers.kernel_book_layout import FREE_NODE, NODES_USED
from matchers.kernel_compile import helper, leading_zeros, lowest_bit
from matchers.kernel_hash_index import U

DEPTHS: Final = 6
NODES_PER_LEVEL_MAX: Final = DEPTHS - 1
"""How many nodes a new level may need."""

_ZERO: Final = U(0)
_ONE: Final = U(1)
_LAST: Final = DEPTHS - 1


@helper
def _digit(price: Any, depth: Any) -> Any:
    return (price >> (6 * (_LAST - depth))) & 63


@helper
def tree_find(node_bits: Any, node_child: Any, root: Any, price: Any) -> Any:
    """Level row of the price, 0 if there is none."""
    node = np.int64(root)
    for depth in range(DEPTHS):
        digit = _digit(price, depth)
        if (node_bits[node] >> U(digit)) & _ONE == _ZERO:
            return np.int64(0)
        node = np.int64(node_child[node, digit])
    return node


@helper
def tree_insert(tree: Any, node_bits: Any, node_child: Any, root: Any, price: Any, level: Any) -> None:
    """Add a level whose price is not there."""
    node = np.int64(root)
    for depth in range(_LAST):
        digit = _digit(price, depth)
        if (node_bits[node] >> U(digit)) & _ONE == _ZERO:
            new = tree[FREE_NODE]
            if new != 0:
                tree[FREE_NODE] = node_child[new, 0]
            else:
                new = tree[NODES_USED]
                tree[NODES_USED] += 1
            node_bits[node] |= _ONE << U(digit)
            node_child[node, digit] = new
        node = np.int64(node_child[node, digit])
    digit = _digit(price, _LAST)
    node_bits[node] |= _ONE << U(digit)
    node_child[node, digit] = level


@helper
def tree_remove(tree: Any, node_bits: Any, node_child: Any, root: Any, price: Any) -> None:
    """Take a price out that is there, and the nodes that are empty then."""
    keep = np.int64(root)  # the deepest node that stays: the root, or one with another digit
    keep_depth = 0
    node = np.int64(root)
    for depth in range(_LAST):
        bits = node_bits[node]
        if bits & (bits - _ONE) != _ZERO:
            keep = node
            keep_depth = depth
        node = np.int64(node_child[node, _digit(price, depth)])
    bits = node_bits[node]
    if bits & (bits - _ONE) != _ZERO:
        keep = node
        keep_depth = _LAST
    digit = _digit(price, keep_depth)
    node = np.int64(node_child[keep, digit])
    node_bits[keep] &= ~(_ONE << U(digit))
    for depth in range(keep_depth + 1, DEPTHS):  # these had no other digit
        below = np.int64(node_child[node, _digit(price, depth)])
        node_bits[node] = _ZERO
        node_child[node, 0] = tree[FREE_NODE]
        tree[FREE_NODE] = node
        node = below


@helper
def tree_above(node_bits: Any, node_child: Any, root: Any, price: Any) -> Any:
    """Level row of the lowest price above, 0 if there is none."""
    found = np.int64(0)
    found_digit = np.int64(0)
    found_depth = 0
    node = np.int64(root)
    for depth in range(DEPTHS):
        digit = _digit(price, depth)
        higher = (node_bits[node] >> U(digit)) >> _ONE
        if higher != _ZERO:
            found = node
            found_digit = digit + 1 + np.int64(lowest_bit(higher))
            found_depth = depth
        if (node_bits[node] >> U(digit)) & _ONE == _ZERO:
            break
        node = np.int64(node_child[node, digit])
    if found == 0:
        return np.int64(0)
    node = np.int64(node_child[found, found_digit])
    for _ in range(found_depth + 1, DEPTHS):
        node = np.int64(node_child[node, np.int64(lowest_bit(node_bits[node]))])
    return node


@helper
def tree_below(node_bits: Any, node_child: Any, root: Any, price: Any) -> Any:
    """Level row of the highest price below, 0 if there is none."""
    found = np.int64(0)
    found_digit = np.int64(0)
    found_depth = 0
    node = np.int64(root)
    for depth in range(DEPTHS):
        digit = _digit(price, depth)
        lower = node_bits[node] & ((_ONE << U(digit)) - _ONE)
        if lower != _ZERO:
            found = node
            found_digit = 63 - np.int64(leading_zeros(lower))
            found_depth = depth
        if (node_bits[node] >> U(digit)) & _ONE == _ZERO:
            break
        node = np.int64(node_child[node, digit])
    if found == 0:
        return np.int64(0)
    node = np.int64(node_child[found, found_digit])
    for _ in range(found_depth + 1, DEPTHS):
        node = np.int64(node_child[node, 63 - np.int64(leading_zeros(node_bits[node]))])
    return node
