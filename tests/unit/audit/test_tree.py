"""The trees are those of RFC 6962 and RFC 9162: by public vectors, by a plain recursive definition, and by every small size."""

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.records.audit_logs import EDGE_SIZES, plain_root

from audit.findings import Wrong
from audit.tree import (
    EMPTY_ROOT,
    GrowingTree,
    check_consistency,
    check_inclusion,
    consistency_path,
    inclusion_path,
    leaf_hash,
    node_hash,
    root_of,
)

VECTORS = Path(__file__).parent / "vectors"
SIZES_MAX = 600
sizes = st.one_of(st.sampled_from(EDGE_SIZES), st.integers(0, SIZES_MAX))


def _vectors(kind):
    content = json.loads((VECTORS / f"merkle_{kind}.json").read_text())
    return [pytest.param(dict(zip(content["columns"], row, strict=True)), id=f"{at}-{row[0]}") for at, row in enumerate(content["vectors"])]


def _of_first_entries(kind):
    found = [one for one in _vectors(kind) if one.values[0]["start"] == 0 and one.values[0]["end"] > 0]
    assert len(found) > 50
    return found


def _hash(text):
    return base64.b64decode(text or "")


def _hashes(texts):
    return [_hash(text) for text in texts or []]


def _is_right(check, *facts):
    try:
        check(*facts)
    except Wrong:
        return False
    return True


def leaf(number):
    """Of an entry of the made trees."""
    return leaf_hash(b"entry %d" % number)


def nodes(leaves):
    """Reads nodes of a tree that is in memory."""
    return lambda height, number: plain_root(leaves[number << height : (number + 1) << height])


@pytest.mark.parametrize("vector", _vectors("inclusion"))
def test_the_public_vectors_of_inclusion_agree(vector):
    """transparency-dev/merkle, testdata/inclusion."""
    facts = vector["leafIdx"], vector["treeSize"], _hash(vector["leafHash"]), _hashes(vector["proof"]), _hash(vector["root"])
    assert _is_right(check_inclusion, *facts) == (not vector["wantErr"])


@pytest.mark.parametrize("vector", _vectors("consistency"))
def test_the_public_vectors_of_consistency_agree(vector):
    """transparency-dev/merkle, testdata/consistency. Nothing is proven from an empty tree, so size 0 = 0 is refused as they want it."""
    facts = vector["size1"], vector["size2"], _hash(vector["root1"]), _hash(vector["root2"]), _hashes(vector["proof"])
    assert _is_right(check_consistency, *facts) == (not vector["wantErr"])


@pytest.mark.parametrize("vector", _of_first_entries("subtreeinclusion"))
def test_the_public_vectors_of_subtrees_that_begin_at_the_first_entry_agree_for_inclusion(vector):
    """testdata/subtreeinclusion; such a subtree is a tree of its own. Subtrees elsewhere have no use here."""
    facts = vector["leafIdx"], vector["end"], _hash(vector["leafHash"]), _hashes(vector["proof"]), _hash(vector["root"])
    assert _is_right(check_inclusion, *facts) == (not vector["wantErr"])


@pytest.mark.parametrize("vector", _of_first_entries("subtreeconsistency"))
def test_the_public_vectors_of_subtrees_that_begin_at_the_first_entry_agree_for_consistency(vector):
    """testdata/subtreeconsistency, likewise. Left out: the empty subtree, of which they say that it is in every tree. Here it proves nothing."""
    facts = vector["end"], vector["size"], _hash(vector["root1"]), _hash(vector["root2"]), _hashes(vector["proof"])
    assert _is_right(check_consistency, *facts) == (not vector["wantErr"])


def test_the_first_hashes_are_the_published_ones():
    """transparency-dev/merkle, rfc6962/rfc6962_test.go: empty tree, empty leaf, leaf "L123456", node of "N123" and "N456"."""
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert leaf_hash(b"L123456").hex() == "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56"
    assert node_hash(b"N123", b"N456").hex() == "aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb"


@pytest.mark.parametrize("size", EDGE_SIZES)
def test_a_tree_that_grows_has_the_root_of_the_definition(size):
    """Powers of two, and one to either side."""
    tree = GrowingTree()
    for number in range(size):
        tree.append(leaf(number))
    leaves = list(map(leaf, range(size)))
    assert tree.root() == plain_root(leaves) == root_of(nodes(leaves), 0, size)
    assert GrowingTree(size, tree.edge).root() == tree.root()


@settings(deadline=None)  # a busy machine may pause for as long as it likes
@given(sizes, st.data())
def test_every_entry_has_a_proof_and_no_other_place(size, data):
    """Inclusion, both made and checked."""
    leaves = list(map(leaf, range(size)))
    root = plain_root(leaves)
    if not size:
        assert not _is_right(check_inclusion, 0, 0, leaf(0), [], root)
        return
    index = data.draw(st.integers(0, size - 1))
    path = inclusion_path(nodes(leaves), index, size)
    check_inclusion(index, size, leaves[index], path, root)
    other = data.draw(st.integers(0, size + 1))
    if other != index:
        assert not _is_right(check_inclusion, other, size, leaves[index], path, root)
    assert not _is_right(check_inclusion, index, size, leaf(size), path, root)
    assert not _is_right(check_inclusion, index, size, leaves[index], [*path, leaf(0)], root)
    assert not path or not _is_right(check_inclusion, index, size, leaves[index], path[:-1], root)


@settings(deadline=None)
@given(sizes, sizes, st.data())
def test_a_tree_that_has_grown_can_prove_it_and_one_that_was_changed_cannot(one, other, data):
    """Consistency, both made and checked."""
    old, new = sorted((one, other))
    leaves = list(map(leaf, range(new)))
    proof = consistency_path(nodes(leaves), old, new)
    if not old:
        assert proof == []
        return
    old_root, root = plain_root(leaves[:old]), plain_root(leaves)
    check_consistency(old, new, old_root, root, proof)
    changed = list(leaves)
    changed[data.draw(st.integers(0, old - 1))] = leaf(new)
    false_proof = consistency_path(nodes(changed), old, new)
    assert not _is_right(check_consistency, old, new, old_root, plain_root(changed), false_proof)
    assert not _is_right(check_consistency, old, new, old_root, root, [*proof, leaf(0)])
    assert not proof or not _is_right(check_consistency, old, new, old_root, root, proof[:-1])
