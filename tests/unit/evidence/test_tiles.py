"""Tiles have the paths and bytes of C2SP tlog-tiles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.evidence.merkle import EvidenceFault, inclusion_proof, leaf_hash, root_of, root_of_tree, verify_inclusion
from broker.evidence.tiles import (
    FULL,
    HEIGHT,
    Tile,
    decode_entries,
    decode_hashes,
    encode_entries,
    encode_hashes,
    fold,
    parse_path,
    tile_of,
    tiles_between,
    tiles_of,
)


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(0, 1_234_067), "tile/0/x001/x234/067"),
        (Tile(1, 999), "tile/1/999"),
        (Tile(1, 1000), "tile/1/x001/000"),
        (Tile(63, 5, 255), "tile/63/005.p/255"),
        (Tile("entries", 12, 1), "tile/entries/012.p/1"),
    ],
)
def test_paths_are_those_of_the_specification(tile: Tile, path: str) -> None:
    assert tile.path == path
    assert parse_path(path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/0",
        "tile/00/000",
        "tile/64/000",
        "tile/0/x000/001",
        "tile/0/001/002",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000/",
        "/tile/0/000",
        "tile/-1/000",
        "tile/entries/x001",
        "tile/0/٠٠٠",
    ],
)
def test_a_path_that_names_no_tile_is_refused(path: str) -> None:
    with pytest.raises(EvidenceFault):
        parse_path(path)


@given(st.integers(0, 10**12), st.integers(0, 63), st.integers(1, 256))
def test_a_path_says_which_tile_it_is(number: int, level: int, width: int) -> None:
    assert parse_path(Tile(level, number, width).path) == Tile(level, number, width)


def test_a_tree_of_70000_leaves_has_the_tiles_of_the_specification_s_example() -> None:
    tiles = list(tiles_of(70_000))
    hashes = [tile for tile in tiles if tile.level != "entries"]
    assert sum(1 for tile in hashes if tile.level == 0 and not tile.partial) == 273
    assert [tile for tile in hashes if tile.partial] == [Tile(0, 273, 112), Tile(1, 1, 17), Tile(2, 0, 1)]
    assert Tile(1, 0) in hashes
    assert sum(1 for tile in tiles if tile.level == "entries") == 274


def test_a_tree_of_256_leaves_has_a_full_tile_and_one_hash_above_it() -> None:
    assert set(tiles_of(256)) == {Tile(0, 0), Tile(1, 0, 1), Tile("entries", 0)}
    assert list(tiles_of(0)) == []


@given(st.integers(0, 200_000), st.integers(0, 2_000))
def test_tiles_between_two_sizes_are_those_that_only_the_larger_tree_has(old: int, more: int) -> None:
    assert set(tiles_between(old, old + more)) == set(tiles_of(old + more)) - set(tiles_of(old))


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=256))
def test_a_bundle_gives_its_entries_back(entries: list[bytes]) -> None:
    tile = Tile("entries", 0, len(entries))
    data = encode_entries(entries)
    assert decode_entries(tile, data) == entries
    with pytest.raises(EvidenceFault):
        decode_entries(tile, data + b"\x00")
    with pytest.raises(EvidenceFault):
        decode_entries(tile, data[:-1])


def test_an_entry_that_does_not_fit_is_refused() -> None:
    assert decode_entries(Tile("entries", 0, 1), encode_entries([bytes(65_535)])) == [bytes(65_535)]
    with pytest.raises(ValueError, match="65536"):
        encode_entries([bytes(65_536)])


def test_a_tile_of_another_width_is_refused() -> None:
    with pytest.raises(EvidenceFault, match="expected 64 bytes"):
        decode_hashes(Tile(0, 0, 2), bytes(63))


@pytest.mark.parametrize("size", [1, 255, 256, 257, 700, 65_536, 65_537, 70_000])
def test_roots_and_proofs_come_out_of_tiles(size: int) -> None:
    rows = [[leaf_hash(number.to_bytes(4, "big")) for number in range(size)]]
    while len(rows[-1]) >= FULL:
        row = rows[-1]
        rows.append([fold(row[at : at + FULL]) for at in range(0, len(row) - FULL + 1, FULL)])
    reads: list[Tile] = []

    def read(tile: Tile) -> bytes:
        reads.append(tile)
        assert isinstance(tile.level, int)
        assert tile in set(tiles_of(size))
        return encode_hashes(rows[tile.level][tile.number * FULL : tile.number * FULL + tile.width])

    def node(level: int, index: int) -> bytes:
        tile, inside = tile_of(level, index, size), level % HEIGHT
        first = (index << inside) - tile.number * FULL
        return fold(decode_hashes(tile, read(tile))[first : first + (1 << inside)])

    root = root_of(rows[0])
    assert root_of_tree(size, node) == root
    for index in {0, size // 2, size - 1}:
        reads.clear()
        proof = inclusion_proof(index, size, node)
        verify_inclusion(rows[0][index], index, size, proof, root)
        assert len(set(reads)) <= 6
