"""The tree is RFC 6962's: the vectors others use too, and properties against the RFC's own recursion."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.evidence.merkle import (
    EMPTY_ROOT,
    EvidenceFault,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    nodes_of_consistency,
    nodes_of_inclusion,
    root_of,
    root_of_tree,
    verify_consistency,
    verify_inclusion,
)

ENTRIES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
CONSISTENCY = {
    (1, 1): [],
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}


def mth(leaves: list[bytes]) -> bytes:
    """RFC 6962 §2.1, word for word."""
    if not leaves:
        return sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path(index: int, leaves: list[bytes]) -> list[bytes]:
    """RFC 6962 §2.1.1, word for word."""
    if len(leaves) == 1:
        return []
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if index < k:
        return [*path(index, leaves[:k]), mth(leaves[k:])]
    return [*path(index - k, leaves[k:]), mth(leaves[:k])]


def subproof(old: int, leaves: list[bytes], whole: bool) -> list[bytes]:
    """RFC 6962 §2.1.2, word for word."""
    if old == len(leaves):
        return [] if whole else [mth(leaves)]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if old <= k:
        return [*subproof(old, leaves[:k], whole), mth(leaves[k:])]
    return [*subproof(old - k, leaves[k:], False), mth(leaves[:k])]


class Counted:
    """Subtree hashes of some leaves, remembering which were asked for."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.leaves = leaves
        self.asked: list[tuple[int, int]] = []

    def __call__(self, level: int, index: int) -> bytes:
        self.asked.append((level, index))
        covered = self.leaves[index << level : (index + 1) << level]
        assert len(covered) == 1 << level, "only complete subtrees are asked for"
        return mth(covered)


def some_leaves(count: int) -> list[bytes]:
    return [leaf_hash(number.to_bytes(4, "big")) for number in range(count)]


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_the_published_vectors(size: int) -> None:
    assert root_of(LEAVES[:size]).hex() == ROOTS[size]
    assert root_of_tree(size, Counted(LEAVES[:size])).hex() == ROOTS[size]


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_inclusion_proofs_are_those_of_the_published_vectors(index: int, size: int) -> None:
    proof = inclusion_proof(index, size, Counted(LEAVES[:size]))
    assert [hash_.hex() for hash_ in proof] == INCLUSION[index, size]
    verify_inclusion(LEAVES[index], index, size, proof, bytes.fromhex(ROOTS[size]))


@pytest.mark.parametrize(("old", "new"), CONSISTENCY)
def test_consistency_proofs_are_those_of_the_published_vectors(old: int, new: int) -> None:
    proof = consistency_proof(old, new, Counted(LEAVES[:new]))
    assert [hash_.hex() for hash_ in proof] == CONSISTENCY[old, new]
    verify_consistency(old, bytes.fromhex(ROOTS[old]), new, bytes.fromhex(ROOTS[new]), proof)


def test_the_empty_tree_is_a_prefix_of_every_tree() -> None:
    verify_consistency(0, EMPTY_ROOT, 5, bytes.fromhex(ROOTS[5]), [])
    with pytest.raises(EvidenceFault):
        verify_consistency(0, LEAVES[0], 5, bytes.fromhex(ROOTS[5]), [])


@pytest.mark.parametrize("size", [*range(1, 20), 31, 32, 33, 63, 64, 65])
def test_every_proof_is_the_rfc_recursion_and_asks_for_what_it_announced(size: int) -> None:
    leaves = some_leaves(size)
    root = mth(leaves)
    for index in range(size):
        node = Counted(leaves)
        proof = inclusion_proof(index, size, node)
        assert proof == path(index, leaves)
        assert sorted(node.asked) == sorted(nodes_of_inclusion(index, size))
        verify_inclusion(leaves[index], index, size, proof, root)
    for old in range(1, size + 1):
        node = Counted(leaves)
        proof = consistency_proof(old, size, node)
        assert proof == subproof(old, leaves, True)
        assert sorted(node.asked) == sorted(nodes_of_consistency(old, size))
        verify_consistency(old, mth(leaves[:old]), size, root, proof)


@given(st.integers(0, 300), st.integers(0, 300))
def test_a_frontier_that_was_stored_continues_to_the_same_root(first: int, second: int) -> None:
    leaves = some_leaves(first + second)
    frontier = Frontier()
    for leaf in leaves[:first]:
        frontier.append(leaf)
    again = Frontier(frontier.size, frontier.peaks)
    for leaf in leaves[first:]:
        again.append(leaf)
    assert again.root() == mth(leaves)


@settings(max_examples=300)
@given(st.data())
def test_any_changed_inclusion_proof_is_refused(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 70))
    index = data.draw(st.integers(0, size - 1))
    leaves = some_leaves(size)
    root, leaf, proof = mth(leaves), leaves[index], path(index, leaves)
    change = data.draw(st.sampled_from(["leaf", "index", "size", "root", "flip", "drop", "add", "swap", "short"]))
    at = data.draw(st.integers(0, max(0, len(proof) - 1)))
    if change == "leaf":
        leaf = leaf_hash(b"another")
    elif change == "root":
        root = leaf_hash(b"another")
    elif change == "add":
        proof = [*proof[:at], leaf_hash(b"more"), *proof[at:]]
    elif change == "index":
        index = data.draw(st.integers(-2, size + 2).filter(lambda other: other != index))
    elif change == "size":
        # Another size may ask for the very same path; it is the index above all that a size must not outgrow.
        size = data.draw(st.integers(0, index))
    elif not proof:
        return
    elif change == "flip":
        proof = [*proof[:at], bytes([proof[at][0] ^ 1]) + proof[at][1:], *proof[at + 1 :]]
    elif change == "drop":
        proof = [*proof[:at], *proof[at + 1 :]]
    elif change == "short":
        proof = [*proof[:at], proof[at][:-1], *proof[at + 1 :]]
    elif len(proof) > 1:
        proof = [*proof[1:], proof[0]]
    else:
        return
    with pytest.raises(EvidenceFault):
        verify_inclusion(leaf, index, size, proof, root)


@settings(max_examples=300)
@given(st.data())
def test_any_changed_consistency_proof_is_refused(data: st.DataObject) -> None:
    new = data.draw(st.integers(2, 70))
    old = data.draw(st.integers(1, new - 1))
    leaves = some_leaves(new)
    old_root, new_root, proof = mth(leaves[:old]), mth(leaves), subproof(old, leaves, True)
    change = data.draw(st.sampled_from(["old root", "new root", "flip", "drop", "add", "swap"]))
    at = data.draw(st.integers(0, len(proof) - 1))
    if change == "old root":
        old_root = leaf_hash(b"another")
    elif change == "new root":
        new_root = leaf_hash(b"another")
    elif change == "add":
        proof = [*proof[:at], leaf_hash(b"more"), *proof[at:]]
    elif change == "flip":
        proof = [*proof[:at], bytes([proof[at][0] ^ 1]) + proof[at][1:], *proof[at + 1 :]]
    elif change == "drop":
        proof = [*proof[:at], *proof[at + 1 :]]
    elif len(proof) > 1:
        proof = [*proof[1:], proof[0]]
    else:
        return
    with pytest.raises(EvidenceFault):
        verify_consistency(old, old_root, new, new_root, proof)


def test_a_fault_says_what_was_found_and_expected() -> None:
    with pytest.raises(EvidenceFault) as caught:
        verify_inclusion(LEAVES[0], 0, 8, [], bytes.fromhex(ROOTS[8]))
    assert (caught.value.what, caught.value.found, caught.value.expected) == ("inclusion proof", "0 hashes", "3")
