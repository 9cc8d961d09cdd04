"""Fuzzing target of the edXML codec: whatever comes in, an answer comes out.

By hand, with atheris installed: `python tests/fuzz/edxml_target.py [corpus folder] [-runs=N]`. The test suite runs the
same target on mutations of good files.
"""

import sys
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


def main() -> None:
    """Run under atheris until it is stopped or finds something."""
    try:
        import atheris
    except ImportError:
        sys.exit("This needs atheris: pip install atheris")
    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
