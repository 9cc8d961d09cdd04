"""The Merkle tree of RFC 6962 §2.1: roots, inclusion proofs and consistency proofs. Pure.

A leaf is SHA-256(0x00 ‖ entry), an inner node SHA-256(0x01 ‖ left ‖ right), the root of no leaves SHA-256 of nothing.
Whoever makes proofs hands over `node(level, index)`, the hash of the *complete* subtree over the leaves
`index·2^level … (index+1)·2^level`; only such subtrees are ever asked for, so they may come from tiles, from a database
or from memory. Level 0 are the leaves. Whoever reads them asynchronously first asks which ones (`nodes_of_…`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Final, TypeAlias

from schemas.canonical import leaf_hash

__all__ = [
    "EMPTY_ROOT",
    "HASH_SIZE",
    "EvidenceFault",
    "Frontier",
    "Node",
    "consistency_proof",
    "inclusion_proof",
    "leaf_hash",
    "node_hash",
    "nodes_of_consistency",
    "nodes_of_inclusion",
    "root_of",
    "root_of_tree",
    "verify_consistency",
    "verify_inclusion",
]

HASH_SIZE: Final = 32
"""Bytes of every hash in the tree."""

EMPTY_ROOT: Final = sha256().digest()
"""The root of a tree without leaves (RFC 6962 §2.1)."""

_NODE_PREFIX: Final = b"\x01"

Node: TypeAlias = Callable[[int, int], bytes]
"""(level, index) → hash of the complete subtree over the leaves index·2^level up to (index+1)·2^level."""

_Place: TypeAlias = tuple[int, int]


class EvidenceFault(Exception):
    """A piece of evidence does not hold: `what` was examined, what was `found`, what was `expected`."""

    def __init__(self, what: str, *, found: str, expected: str) -> None:
        super().__init__(f"{what}: found {found}, expected {expected}")
        self.what = what
        self.found = found
        self.expected = expected


def node_hash(left: bytes, right: bytes) -> bytes:
    """The inner node above two nodes: SHA-256(0x01 ‖ left ‖ right)."""
    return sha256(_NODE_PREFIX + left + right).digest()


def root_of(leaf_hashes: Iterable[bytes]) -> bytes:
    """The root over these leaf hashes (already hashed leaves), in memory that grows with their logarithm."""
    frontier = Frontier()
    for leaf in leaf_hashes:
        frontier.append(leaf)
    return frontier.root()


class Frontier:
    """The compact state of a growing tree: its complete subtrees from left to right, at most one of each size."""

    __slots__ = ("_peaks", "size")

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        """`peaks` are the hashes of the complete subtrees that make up `size`, the largest first.

        Raises ValueError if there are not as many as `size` has one-bits.
        """
        if len(peaks) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} complete subtrees, not {len(peaks)}")
        self.size = size
        self._peaks = list(peaks)

    @property
    def peaks(self) -> tuple[bytes, ...]:
        """The hashes of the complete subtrees, the largest first."""
        return tuple(self._peaks)

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash at the end."""
        size, node, peaks = self.size, leaf, self._peaks
        while size & 1:
            node = sha256(_NODE_PREFIX + peaks.pop() + node).digest()
            size >>= 1
        peaks.append(node)
        self.size += 1

    def root(self) -> bytes:
        """The root over everything appended so far."""
        if not self._peaks:
            return EMPTY_ROOT
        node = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            node = node_hash(peak, node)
        return node


def root_of_tree(size: int, node: Node) -> bytes:
    """The root of the tree with `size` leaves whose complete subtrees `node` gives."""
    if size == 0:
        return EMPTY_ROOT
    return _subtree(0, size, node)


def inclusion_proof(index: int, size: int, node: Node) -> list[bytes]:
    """PATH(index, D[size]) of RFC 6962 §2.1.1: from the leaf's sibling up.

    Raises ValueError if there is no such leaf in a tree of that size.
    """
    return [_subtree(start, end, node) for start, end in _inclusion_ranges(index, size)]


def nodes_of_inclusion(index: int, size: int) -> list[_Place]:
    """The (level, index) that `inclusion_proof` will ask `node` for."""
    return [place for start, end in _inclusion_ranges(index, size) for place in _places(start, end)]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that the leaf hash `leaf` is the one at `index` in the tree of `size` leaves with this root.

    Raises EvidenceFault otherwise (RFC 9162 §2.1.3.2, the same tree as RFC 6962).
    """
    if not 0 <= index < size:
        raise EvidenceFault("inclusion proof", found=f"index {index}", expected=f"an index below the tree size {size}")
    inner = (index ^ (size - 1)).bit_length()
    border = (index >> inner).bit_count()
    _check_proof("inclusion proof", proof, inner + border)
    found = _chain_inner(leaf, proof[:inner], index)
    found = _chain_left(found, proof[inner:])
    _check_root("inclusion proof", found, root)


def consistency_proof(old_size: int, new_size: int, node: Node) -> list[bytes]:
    """PROOF(old_size, D[new_size]) of RFC 6962 §2.1.2. Empty if the sizes are equal or the old tree is empty.

    Raises ValueError if the old tree is the larger one.
    """
    return [_subtree(start, end, node) for start, end in _consistency_ranges(old_size, new_size)]


def nodes_of_consistency(old_size: int, new_size: int) -> list[_Place]:
    """The (level, index) that `consistency_proof` will ask `node` for."""
    return [place for start, end in _consistency_ranges(old_size, new_size) for place in _places(start, end)]


def verify_consistency(old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Check that the tree of `old_size` leaves is a prefix of the one of `new_size` leaves.

    Raises EvidenceFault otherwise (RFC 9162 §2.1.4.2).
    """
    what = "consistency proof"
    if not 0 <= old_size <= new_size:
        raise EvidenceFault(what, found=f"an old tree of {old_size} leaves", expected=f"at most {new_size}")
    if old_size in (0, new_size):
        _check_proof(what, proof, 0)
        _check_root(what, old_root, EMPTY_ROOT if old_size == 0 else new_root)
        return
    inner = ((old_size - 1) ^ (new_size - 1)).bit_length()
    shift = (old_size & -old_size).bit_length() - 1
    inner -= shift
    border = ((old_size - 1) >> (inner + shift)).bit_count()
    start = 0 if old_size == 1 << shift else 1
    _check_proof(what, proof, start + inner + border)
    seed = old_root if start == 0 else proof[0]
    rest = proof[start:]
    mask = (old_size - 1) >> shift
    old = _chain_inner_right(seed, rest[:inner], mask)
    _check_root(f"{what} (old tree)", _chain_left(old, rest[inner:]), old_root)
    new = _chain_inner(seed, rest[:inner], mask)
    _check_root(f"{what} (new tree)", _chain_left(new, rest[inner:]), new_root)


def _chain_inner(seed: bytes, proof: Sequence[bytes], index: int) -> bytes:
    """Up while the path may turn either way: bit i of `index` says on which side the proof's hash stands."""
    for level, sibling in enumerate(proof):
        seed = node_hash(sibling, seed) if index >> level & 1 else node_hash(seed, sibling)
    return seed


def _chain_inner_right(seed: bytes, proof: Sequence[bytes], index: int) -> bytes:
    """As `_chain_inner`, leaving out what lies right of the path: the old tree did not have it."""
    for level, sibling in enumerate(proof):
        if index >> level & 1:
            seed = node_hash(sibling, seed)
    return seed


def _chain_left(seed: bytes, proof: Sequence[bytes]) -> bytes:
    """Up along the right border of the tree, where every sibling stands to the left."""
    for sibling in proof:
        seed = node_hash(sibling, seed)
    return seed


def _check_proof(what: str, proof: Sequence[bytes], length: int) -> None:
    if len(proof) != length:
        raise EvidenceFault(what, found=f"{len(proof)} hashes", expected=str(length))
    for hash_ in proof:
        if len(hash_) != HASH_SIZE:
            raise EvidenceFault(what, found=f"a hash of {len(hash_)} bytes", expected=f"{HASH_SIZE} bytes")


def _check_root(what: str, found: bytes, expected: bytes) -> None:
    if found != expected:
        raise EvidenceFault(what, found=f"root {found.hex()}", expected=f"root {expected.hex()}")


def _inclusion_ranges(index: int, size: int) -> list[_Place]:
    """The ranges of leaves whose subtree hashes are the proof, from the leaf's sibling up."""
    if not 0 <= index < size:
        raise ValueError(f"there is no leaf {index} in a tree of {size}")
    ranges: list[_Place] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    return ranges[::-1]


def _consistency_ranges(old_size: int, new_size: int) -> list[_Place]:
    """SUBPROOF(m, D[n], b) as ranges of leaves."""
    if not 0 <= old_size <= new_size:
        raise ValueError(f"a tree of {old_size} leaves is no prefix of one of {new_size}")
    if old_size in (0, new_size):
        return []
    ranges: list[_Place] = []
    start, end, whole = 0, new_size, True
    while old_size != end:
        middle = start + _split(end - start)
        if old_size <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start, whole = middle, False
    if not whole:
        ranges.append((start, end))
    return ranges[::-1]


def _split(count: int) -> int:
    """The largest power of two below `count` (RFC 6962's k)."""
    return 1 << (count - 1).bit_length() - 1


def _places(start: int, end: int) -> list[_Place]:
    """The complete subtrees that make up the leaves `start … end` of RFC 6962's recursion, left to right."""
    places: list[_Place] = []
    while start < end:
        level = (end - start).bit_length() - 1
        places.append((level, start >> level))
        start += 1 << level
    return places


def _subtree(start: int, end: int, node: Node) -> bytes:
    places = _places(start, end)
    found = node(*places[-1])
    for place in reversed(places[:-1]):
        found = node_hash(node(*place), found)
    return found
