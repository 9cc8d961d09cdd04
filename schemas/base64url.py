"""base64url the strict way (RFC 7515 §2, contract §1): one spelling for every byte string.

Without that rule, two different texts could carry the same signed bytes and be taken for two different messages.
"""

import binascii
from typing import Final

from schemas.errors import Refusal

_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
# The characters of plain base64 become one that no alphabet has, so that the strict decoder refuses them.
_FROM_URL: Final = bytes.maketrans(b"-_+/=", b"+/!!!")

_LAST_CHARACTERS: Final = {2: "AQgw", 3: "AEIMQUYcgkosw048"}
"""Length of the last group → what it may end in when the bits that carry nothing are zero."""

_PADDING: Final = {0: b"", 2: b"==", 3: b"="}


def encode(data: bytes) -> str:
    """Text of `data` in base64url, without padding."""
    return binascii.b2a_base64(data, newline=False).translate(_TO_URL).rstrip(b"=").decode("ascii")


def decode(text: str, *, field: str) -> bytes:
    """Bytes of a base64url text.

    Raises Refusal LT-SHAPE naming `field` for padding, plain base64, white space, a length that no byte string has, and
    bits at the end that are not zero.
    """
    rest = len(text) % 4
    if rest == 1:
        raise _refusal(field, f"a length of {len(text)} characters")
    if rest and text[-1] not in _LAST_CHARACTERS[rest]:
        raise _refusal(field, f"a text that ends in {text[-1]!a}")
    try:
        return binascii.a2b_base64(text.encode("ascii").translate(_FROM_URL) + _PADDING[rest], strict_mode=True)
    except ValueError:
        raise _refusal(field, "a character other than letters, digits, '-' and '_'") from None


def _refusal(field: str, found: str) -> Refusal:
    return Refusal(
        code="LT-SHAPE", field=field, found=found, expected="base64url without padding and with no bits left over"
    )
