"""RFC 3161 timestamps of a bundle's checkpoints, for who trusts an authority: when its tree was there at the latest.

Beside the check itself, because verifying a token needs more than public keys and hashes (CMS). Reads nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from broker.evidence.bundle.anchors import Anchor
from broker.evidence.bundle.check import Checked
from broker.evidence.bundle.lines import Fault
from broker.evidence.merkle import EvidenceFault
from broker.evidence.timestamps import verify_timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamped:
    """An authority says that a checkpoint was there by then."""

    origin: str
    size: int
    at: datetime


def stamps_of(checked: Checked, roots: Sequence[x509.Certificate]) -> tuple[list[Stamped], list[Fault]]:
    """The timestamps that lead to one of the authorities' `roots`, and those that do not hold."""
    stamped: list[Stamped] = []
    faults: list[Fault] = []
    for anchor in checked.anchors:
        for token in anchor.timestamps:
            try:
                at = _verified(anchor, token, roots)
                stamped.append(Stamped(origin=anchor.origin, size=anchor.size, at=at))
            except EvidenceFault as fault:
                what = f"timestamp of {anchor.origin} at {anchor.size}"
                faults.append(Fault(reason="timestamp", line=0, what=what, found=fault.found, expected=fault.expected))
    return stamped, faults


def _verified(anchor: Anchor, token: bytes, roots: Sequence[x509.Certificate]) -> datetime:
    """Verify a token over the note as it was when it was stamped: witnesses' lines may have come after that."""
    last: EvidenceFault | None = None
    for note in _without_last_lines(anchor.note):
        try:
            return verify_timestamp(note.encode(), token, roots)
        except EvidenceFault as fault:
            last = last or fault
    raise last or EvidenceFault("timestamp", found="no note", expected="a checkpoint")


def _without_last_lines(note: str) -> Iterator[str]:
    text, _, signatures = note.rpartition("\n\n")
    lines = signatures.splitlines(keepends=True)
    for count in range(len(lines), 0, -1):
        yield f"{text}\n\n{''.join(lines[:count])}"
