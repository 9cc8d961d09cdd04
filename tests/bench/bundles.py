"""How large a bundle is and how long its check takes, for one document to many communes that all answered.

    python -m tests.bench.bundles [--recipients 3355] [--statuses 2] [--log 1000000]

The log, the certificates and the signatures are real and made in memory; no server is needed.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc
from hashlib import sha256

from broker.evidence.bundle import collect
from broker.evidence.bundle.assemble import assemble, scope_of
from broker.evidence.bundle.check import check
from broker.evidence.merkle import inclusion_proof, node_hash
from broker.evidence.notes import Checkpoint, sign_note
from broker.evidence.standalone import check_bundle as standalone
from tests.kit.evidence_story import EXCHANGE, LOG, Paper


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipients", type=int, default=3355)
    parser.add_argument("--statuses", type=int, default=2)
    parser.add_argument("--log", type=int, default=1_000_000, help="entries of the log")
    options = parser.parse_args()

    paper = Paper()
    paper.enrol(EXCHANGE, level="exchange")
    ministry = paper.enrol("BO")
    offices = [paper.enrol(f"X{number:05d}", level="commune") for number in range(options.recipients)]
    letter = paper.letter(ministry, [(office.code, office.code) for office in offices])
    for code in ("01", "03", "05", "06")[: options.statuses]:
        for office in offices:
            paper.status(office, letter, code)
    told = [event for _, event in paper.logged]
    step = max(1, options.log // len(told))
    size = max(options.log, len(told) * step)
    levels = _tree(size, {number * step: event.leaf for number, event in enumerate(told)})

    def node(level: int, index: int) -> bytes:
        return levels[level].get(index) or _filler(level, index)

    material = paper.material(proofs=False)
    material.entries = {(0, at * step): entry for (_, at), entry in material.entries.items()}
    began = time.perf_counter()
    material.paths = {place: inclusion_proof(place[1], size, node) for place in material.entries}
    root = _root(size, node)
    note = sign_note(Checkpoint(paper.origin, size, root).encode(), LOG, paper.log_key)
    material.heads[0] = collect.Head(origin_id=0, origin=paper.origin, size=size, note=note.decode())
    about = {"from": letter.from_, "id": str(letter.id), "digest": letter.digest}
    bundle = assemble(material, scope=scope_of(about, None), identity=paper.identity(), made_at=paper.clock)
    made = time.perf_counter() - began

    lines = bundle.count(b"\n")
    hashes = sum(len(line) for line in bundle.splitlines() if line.startswith(b'{"list"'))
    print(f"{options.recipients} recipients, {options.statuses} statuses each, a log of {size:,} entries")
    print(
        f"bundle: {len(bundle) / 1e6:.1f} MB, {lines:,} lines, of it {hashes / 1e6:.1f} MB hashes; made in {made:.1f} s"
    )
    for name, checker in (
        ("ours, without root", lambda: next(iter(check(bundle, keys=paper.keys()).faults), None)),
        ("ours, with root", lambda: next(iter(check(bundle, keys=paper.keys(), roots=[paper.root()]).faults), None)),
        ("standalone, with root", lambda: _standalone(bundle, paper)),
    ):
        began = time.perf_counter()
        problem = checker()
        assert problem is None, problem
        print(f"check, {name}: {time.perf_counter() - began:.1f} s")
    tracemalloc.start()
    check(bundle, keys=paper.keys())
    print(f"memory of a check: {tracemalloc.get_traced_memory()[1] / 1e6:.0f} MB")


def _standalone(bundle: bytes, paper: Paper) -> None:
    standalone.Checker(bundle, [standalone.read_key(paper.vkey())], [paper.root()]).check()


def _filler(level: int, index: int) -> bytes:
    """A subtree of entries that are not ours: any hash will do, always the same."""
    return sha256(b"%d %d" % (level, index)).digest()


def _tree(size: int, leaves: dict[int, bytes]) -> list[dict[int, bytes]]:
    """Level by level the complete subtrees that hold one of our leaves; all others are fillers."""
    levels = [dict(leaves)]
    while len(levels) <= size.bit_length():
        below, level = levels[-1], len(levels) - 1
        above: dict[int, bytes] = {}
        for index in {index >> 1 for index in below}:
            if (index + 1) << (level + 1) <= size:
                left, right = (below.get(one) or _filler(level, one) for one in (2 * index, 2 * index + 1))
                above[index] = node_hash(left, right)
        levels.append(above)
    return levels


def _root(size: int, node: object) -> bytes:
    from broker.evidence.merkle import root_of_tree

    return root_of_tree(size, node)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
