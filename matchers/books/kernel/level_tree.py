"""Price levels of a side in order: a tree of 64-way nodes over the digits (6 bits) of the key, as high as the keys in use are apart.

Six digits hold every 32-bit key. No price is out of a window, a step costs the same anywhere, and the leaf where a level hangs is in its row, so that
neighbours are found from there. See books.kernel.layout for key, anchor and the arrays.
"""

from typing import Any, Final

from matchers.books.kernel.layout import FREE_NODE, NODES_USED
from matchers.books.kernel.memory import ONE, ZERO
from matchers.compiled.compilation import helper, lowest_bit
from matchers.compiled.hash_index import U

NODES_PER_LEVEL_MAX: Final = 6
_DIGIT: Final = U(63)
_SIX: Final = U(6)
_HEIGHT: Final = U(7)
_ALL: Final = U(0xFFFF_FFFF_FFFF_FFFF)


@helper
def _take_node(s: Any, parent: Any) -> Any:
    node = s.tree[FREE_NODE]
    if node != ZERO:
        s.tree[FREE_NODE] = U(s.node_child[node, ZERO])
        s.node_child[node, ZERO] = 0
    else:
        node = s.tree[NODES_USED]
        s.tree[NODES_USED] = node + ONE
    s.node_parent[node] = parent
    return node


@helper
def tree_find(s: Any, side: Any, key: Any) -> Any:
    """Level row of the key, 0 if there is none. `side`: record of the side."""
    anchor = U(side.anchor)
    shift = (anchor & _HEIGHT) * _SIX
    if (key ^ anchor) >> shift != ZERO:
        return ZERO
    node = U(side.root)
    while shift != ZERO:  # children that are not there are 0, and so are node 0's
        shift -= _SIX
        node = U(s.node_child[node, (key >> shift) & _DIGIT])
        if node == ZERO:
            break
    return node


@helper
def _raise_root(s: Any, side: Any, key: Any) -> None:
    """Make the tree so high that the key is in reach."""
    anchor = U(side.anchor)
    height = anchor & _HEIGHT
    root = U(side.root)
    if s.node_bits[root] == ZERO:  # empty: begin again here
        height = ONE
        anchor = key
    while (key ^ anchor) >> (height * _SIX) != ZERO:
        above = _take_node(s, ZERO)
        digit = (anchor >> (height * _SIX)) & _DIGIT
        s.node_bits[above] = ONE << digit
        s.node_child[above, digit] = root
        s.node_parent[root] = above
        root = above
        height += ONE
    side.root = root
    side.anchor = ((key >> (height * _SIX)) << (height * _SIX)) | height


@helper
def tree_insert(s: Any, side: Any, key: Any, level: Any) -> None:
    """Add a level whose key is not there; its row gets its leaf."""
    anchor = U(side.anchor)
    shift = (anchor & _HEIGHT) * _SIX
    if (key ^ anchor) >> shift != ZERO:
        _raise_root(s, side, key)
        shift = (U(side.anchor) & _HEIGHT) * _SIX
    node = U(side.root)
    shift -= _SIX
    while shift != ZERO:
        digit = (key >> shift) & _DIGIT
        child = U(s.node_child[node, digit])
        if child == ZERO:
            child = _take_node(s, node)
            s.node_bits[node] |= ONE << digit
            s.node_child[node, digit] = child
        node = child
        shift -= _SIX
    digit = key & _DIGIT
    s.node_bits[node] |= ONE << digit
    s.node_child[node, digit] = level
    s.levels[level].node = node


@helper
def tree_remove(s: Any, leaf: Any, key: Any) -> None:
    """Take a key out, and the nodes that are empty then; a root stays."""
    node = leaf
    shift = ZERO
    while True:
        digit = (key >> shift) & _DIGIT
        bits = s.node_bits[node] & ~(ONE << digit)
        s.node_bits[node] = bits
        s.node_child[node, digit] = 0
        parent = U(s.node_parent[node])
        if bits != ZERO or parent == ZERO:
            break
        s.node_child[node, ZERO] = s.tree[FREE_NODE]
        s.tree[FREE_NODE] = node
        node = parent
        shift += _SIX


@helper
def tree_after(s: Any, leaf: Any, key: Any) -> Any:
    """Level row of the next key above one that is there; 0 if it is the last."""
    node = leaf
    shift = ZERO
    bits = s.node_bits[node] & ((_ALL << (key & _DIGIT)) << ONE)
    while bits == ZERO:
        node = U(s.node_parent[node])
        if node == ZERO:
            return ZERO
        shift += _SIX
        bits = s.node_bits[node] & ((_ALL << ((key >> shift) & _DIGIT)) << ONE)
    row = U(s.node_child[node, lowest_bit(bits)])
    while shift != ZERO:
        shift -= _SIX
        row = U(s.node_child[row, lowest_bit(s.node_bits[row])])
    return row
