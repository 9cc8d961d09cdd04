"""Agency codes: the canonical left-to-right form, and the older 13-character form with which the directory has to cope.

A code is an opaque text: it is compared exactly and never parsed to decide whether an agency exists or to whom it
belongs (design §7). The conversions here serve importers and the edXML codec, which meet both forms; whether the
result is somebody's code, only the directory knows. In the wild are also `28.22.H17`, `01.02.G22`, `000.A53.000`,
`vxp.saas.03`: those are canonical codes or aliases like any other.
"""

import re
import unicodedata
from typing import Final

from schemas.errors import Refusal

CODE_PATTERN: Final = r"^[0-9A-Z]+(\.[0-9A-Z]+)*$"
"""Groups of A–Z and 0–9 separated by dots (Decision 20/2020)."""

CODE_LIMIT: Final = 35
"""Characters in a code at most (Decision 20/2020)."""

_CODE: Final = re.compile(CODE_PATTERN.removeprefix("^").removesuffix("$"), re.ASCII)
_QCVN102: Final = re.compile(r"[0-9A-Z]{3}\.[0-9A-Z]{2}\.[0-9A-Z]{2}\.[A-Z][0-9]{2}", re.ASCII)
_WIDTHS: Final = (3, 2, 2, 3)
"""Characters of the older form's groups, read from its right end as the new form is read from its left."""

_EXPECTED: Final = f"groups of A-Z and 0-9 separated by dots, at most {CODE_LIMIT} characters, such as H53.31.20"
_EXPECTED_QCVN102: Final = "the 13-character form of QCVN 102:2016, such as 000.20.31.H53"


def is_canonical(text: str) -> bool:
    """Whether `text` is written exactly as a canonical code is."""
    return len(text) <= CODE_LIMIT and _CODE.fullmatch(text) is not None


def canonical_code(text: str, *, field: str | None = None) -> str:
    """`text` as a canonical code: NFC, without surrounding blanks, in capitals.

    Raises Refusal LT-SCHEMA if that is not groups of A–Z and 0–9 separated by dots, at most 35 characters.
    """
    trimmed = unicodedata.normalize("NFC", text).strip()
    # Only ASCII may be raised to capitals: "ß".upper() would turn a letter that no code has into two that codes have.
    code = trimmed.upper() if trimmed.isascii() else trimmed
    if not is_canonical(code):
        raise Refusal(code="LT-SCHEMA", field=field, found=text, expected=_EXPECTED)
    return code


def is_qcvn102(text: str) -> bool:
    """Whether `text` has the older form `V1V2V3.Z1Z2.Y1Y2.MXX`, in capitals."""
    return _QCVN102.fullmatch(text) is not None


def from_qcvn102(old: str) -> str:
    """The canonical form of a code of the older form: groups reversed, trailing all-zero groups dropped.

    `000.20.31.H53` is `H53.31.20`, `000.00.00.H53` is `H53`. Raises Refusal LT-SCHEMA for any other form.
    """
    code = canonical_code(old)
    if not is_qcvn102(code):
        raise Refusal(code="LT-SCHEMA", found=old, expected=_EXPECTED_QCVN102)
    groups = code.split(".")[::-1]
    while not groups[-1].strip("0"):
        groups.pop()
    return ".".join(groups)


def to_qcvn102(new: str) -> str | None:
    """The older form of a canonical code, or None if it has none: the older form has four groups of fixed width."""
    groups = new.split(".")
    if len(groups) > len(_WIDTHS) or not groups[-1].strip("0"):
        return None
    zeros = ["0" * width for width in _WIDTHS[len(groups) :]]
    old = ".".join([*groups, *zeros][::-1])
    return old if is_qcvn102(old) else None
