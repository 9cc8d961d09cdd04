"""How much of a stranger's file is looked at before it is refused. Every bound is a named number with its reason.

The bounds are checked while the file streams through, so that what exceeds one costs no more than what came before it.
"""

from dataclasses import dataclass
from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """The bounds of one reading; sizes in bytes."""

    # The whole file: a hundred megabytes of attachments in base64.
    file: int = 136 * MIB
    # Everything that is not attachment data: 5,000 recipients with all their addresses take about 5 MiB.
    markup: int = 8 * MIB
    # One tag, comment or attribute: expat has to hold it whole.
    token: int = 256 * KIB
    # Line ends, which cost expat more than anything else: 2.2 million are in the largest file of 64-character lines.
    lines: int = 2_200_000
    # References such as `&#13;`, which some write at each of those ends.
    references: int = 2_200_000
    # Elements inside each other; the format needs ten.
    depth: int = 32
    # Elements and attributes: 5,000 recipients with eight fields each, and as many in the list of a change.
    elements: int = 65_000
    # Different names of elements: the format has a hundred.
    names: int = 1_000
    # Tags, comments, instructions and sections: two for each element, and half as many again.
    tags: int = 200_000
    # Characters of one element's text, attachments apart.
    text: int = 64 * KIB
    # Files in a message: the parts that a manifest takes.
    attachments: int = 100
    # One unpacked file, and all of them together. The largest seen in the field has 28.7 MB.
    unpacked: int = 100 * MIB
    unpacked_total: int = 200 * MIB
    # How many times larger than its packed form a file may be, once it is larger than `ratio_from`.
    ratio: int = 200
    ratio_from: int = MIB
    # Faults that are told; a file with more is not worth more words.
    faults: int = 200


LIMITS: Final = Limits()
"""The bounds that are used unless a caller brings others."""
