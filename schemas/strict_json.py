"""Reads JSON the one strict way that the contract allows (§1): no two programs can read one message differently.

It decides about bytes only. It knows no message, no manifest and no schema, and it never repairs what it reads.
"""

import json
import re
from math import isinf
from typing import Any, Final, NoReturn

from schemas.errors import Refusal

MAX_DEPTH: Final = 32
"""Objects and arrays inside one another; `[[]]` has depth 2."""

MAX_INTEGER: Final = 2**53
"""Beyond it a reader that keeps numbers as doubles would see another number than was signed."""

_MAX_INTEGER_CHARACTERS: Final = len(str(-MAX_INTEGER))

# May match a backslash that is itself escaped: it only says that a closer look is needed.
_SUSPICIOUS_ESCAPE: Final = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_SURROGATE_OR_NUL: Final = re.compile("[\x00\ud800-\udfff]")


class _NotStrict(ValueError):
    """Carries what was found and what was expected from a hook of the decoder to `loads`."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(found)
        self.found = found
        self.expected = expected


def loads(data: bytes, *, what: str) -> Any:
    """Read one JSON text from UTF-8 bytes.

    `what` names the thing being read ("message", "manifest", …) and becomes the refusal's field.
    The caller bounds the size of `data`; time and memory are linear in it.
    Raises Refusal LT-SHAPE for everything that is not strict after contract §1: invalid UTF-8, a byte order mark,
    duplicate member names, U+0000, unpaired surrogates, NaN and Infinity, integers beyond ±2^53, numbers too large for
    a double, nesting deeper than 32, and anything that is not JSON.
    """
    try:
        return _read(data)
    except _NotStrict as problem:
        found, expected = problem.found, problem.expected
    except json.JSONDecodeError as problem:
        found, expected = f"{problem.msg} at character {problem.pos}", "one JSON text (RFC 8259)"
    except UnicodeDecodeError as problem:
        found, expected = f"{problem.reason} at byte {problem.start}", "UTF-8"
    raise Refusal(code="LT-SHAPE", field=what, found=found, expected=expected)


def _read(data: bytes) -> Any:
    if data.startswith(b"\xef\xbb\xbf"):
        raise _NotStrict("a byte order mark", "UTF-8 without a byte order mark")
    text = data.decode("utf-8")
    try:
        value = _DECODER.decode(text)
    except RecursionError:  # The decoder's own bound, far above ours.
        raise _too_deep() from None
    if not _has_few_brackets(data):
        _check_depth(value)
    # Valid UTF-8 holds no surrogates and the decoder refuses raw control characters: only escapes can bring them in.
    if b"\\" in data and _SUSPICIOUS_ESCAPE.search(data):
        _check_characters(value)
    return value


def _has_few_brackets(data: bytes) -> bool:
    """Whether there are too few brackets for deep nesting; a large message of few members is through in no time."""
    count = 0
    for bracket in (b"{", b"["):
        position = data.find(bracket)
        while position >= 0:
            count += 1
            if count > MAX_DEPTH:
                return False
            position = data.find(bracket, position + 1)
    return True


def _check_depth(value: Any) -> None:
    """Go down level by level, through objects and arrays only."""
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
    if level:
        raise _too_deep()


def _too_deep() -> _NotStrict:
    return _NotStrict(f"nesting deeper than {MAX_DEPTH}", f"at most {MAX_DEPTH} levels of objects and arrays")


def _check_characters(value: Any) -> None:
    """Look through every string, member names included, for what an escape may have brought in."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            unwanted = _SURROGATE_OR_NUL.search(item)
            if unwanted is not None:
                raise _NotStrict(
                    f"the character U+{ord(unwanted.group()):04X}", "text without U+0000 and unpaired surrogates"
                )
        elif isinstance(item, dict):
            waiting.extend(item)
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise _NotStrict(f"the member {name[:80]!a} twice in one object", "every member name once")
            seen.add(name)
    return members


def _integer(digits: str) -> int:
    if len(digits) <= _MAX_INTEGER_CHARACTERS:
        number = int(digits)
        if -MAX_INTEGER <= number <= MAX_INTEGER:
            return number
    raise _NotStrict(f"the integer {digits[:40]}", "integers between -2^53 and 2^53")


def _float(digits: str) -> float:
    number = float(digits)
    if isinf(number):
        raise _NotStrict(f"the number {digits[:40]}", "numbers that a double can hold")
    return number


def _constant(name: str) -> NoReturn:
    raise _NotStrict(name, "a number, or null")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
)
