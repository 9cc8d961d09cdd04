"""Fuzzing target of the edXML codec: whatever comes in, an answer comes out.

`python -m tests.fuzz.edxml_target [--seconds N] [--corpus FOLDER] [libFuzzer's options]` runs until it finds something.
With atheris installed (`pip install atheris`) it is guided by coverage; without, it mutates the corpus at random. The
corpus is made at the start: good files and attacks of `tests.fuzz.attacks`. What breaks a promise is kept as
`crash-<digest>` in the corpus folder. The test suite runs the same target on a few hundred mutations.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path
from typing import Final

from schemas.edxml.carried import carried_by
from schemas.edxml.documents import document_manifest
from schemas.edxml.limits import MIB, Limits
from schemas.edxml.reading import read
from schemas.edxml.records import Document
from schemas.edxml.rendering import render_document
from schemas.edxml.statuses import status_draft, status_manifest
from schemas.edxml.writing import write
from schemas.errors import Refusal
from tests.fuzz.attacks import corpus

SMALL: Final = Limits(unpacked=4 * MIB, unpacked_total=8 * MIB)


def one_input(data: bytes) -> None:
    """Read `data` and do everything with it that can be done. Raises if the codec breaks one of its promises."""
    reading = read(data, limits=SMALL)
    for fault in reading.faults:
        assert fault.place.line >= 1 and fault.place.column >= 1, fault
        assert fault.en.isprintable() and fault.vi.isprintable(), fault
        fault.as_dict()
    if not reading.good:
        assert reading.errors, "refused without a reason"
        try:
            reading.accepted()
        except Refusal as refusal:
            refusal.detail()
            return
        raise AssertionError("accepted what is not good")
    message = reading.accepted()
    assert message.verdict is not None and not message.verdict.good
    carried_by(message)
    again = read(write(message), limits=SMALL)
    assert again.good, again.errors
    try:
        if isinstance(message, Document):
            converted = document_manifest(reading)
            rendered = render_document(converted.payload, converted.contents)
            assert rendered.original is None or b"".join(rendered.original.pieces()) == data
        else:
            status_draft(reading)
            status_manifest(reading)
    except Refusal as refusal:
        refusal.detail()


def mutated(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """`data` with a few bytes changed, doubled, cut out, or taken from another file."""
    bent = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        at = chance.randint(0, len(bent))
        length = chance.choice((1, 1, 2, 4, 16, 100, 1000))
        match chance.randrange(5):
            case 0:
                bent[at : at + length] = chance.randbytes(min(length, 16))
            case 1:
                del bent[at : at + length]
            case 2:
                bent[at:at] = bent[at : at + length]
            case 3:
                other = chance.choice(others)
                begin = chance.randint(0, len(other))
                bent[at:at] = other[begin : begin + length]
            case _ if at < len(bent):
                bent[at] ^= 1 << chance.randrange(8)
    return bytes(bent)


def run_at_random(beginnings: list[bytes], *, seconds: float, seed: int, crashes: Path) -> int:
    """Mutate for so long; returns how many inputs were answered. What is not answered is kept and raised."""
    chance, ends, count = random.Random(seed), time.monotonic() + seconds, 0
    while time.monotonic() < ends:
        data = mutated(chance.choice(beginnings), beginnings, chance)
        try:
            one_input(data)
        except BaseException:
            kept = crashes / f"crash-{sha256(data).hexdigest()[:16]}"
            kept.write_bytes(data)
            print(f"kept as {kept}", file=sys.stderr)
            raise
        count += 1
    return count


def main() -> None:
    """Run until it is stopped, has found something, or its time is over."""
    parser = argparse.ArgumentParser(description="Fuzz the edXML codec.")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32)
    parser.add_argument("--corpus", type=Path, default=None)
    told, further = parser.parse_known_args()
    folder = told.corpus or Path(tempfile.mkdtemp(prefix="edxml-corpus-"))
    folder.mkdir(parents=True, exist_ok=True)
    for data in corpus():
        (folder / sha256(data).hexdigest()[:16]).write_bytes(data)
    beginnings = [path.read_bytes() for path in sorted(folder.iterdir()) if not path.name.startswith("crash-")]
    try:
        import atheris
    except ImportError:
        print(f"{len(beginnings)} beginnings, seed {told.seed}, {told.seconds:g} s, without atheris: at random")
        count = run_at_random(beginnings, seconds=told.seconds, seed=told.seed, crashes=folder)
        print(f"{count} inputs, all answered")
        return
    atheris.instrument_all()
    limit = f"-max_total_time={int(told.seconds)}"
    atheris.Setup([sys.argv[0], str(folder), limit, f"-artifact_prefix={folder}/", *further], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
