""" "Did you mean": codes that exist and look like one that does not. Pure.

Bounded by the length of the text, never by the size of the directory: every text one slip of the hand away is looked
up, which is a few thousand dictionary look-ups, about a millisecond.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Container, Iterator

#: Longer texts are not searched for slips of the hand: the longest code has 35 characters.
LONGEST_CODE = 40

_ALPHABET = string.ascii_uppercase + string.digits + "."
_SEPARATORS = re.compile(r"[\s.,;:_/\\-]+")
_ALIKE = str.maketrans({"O": "0", "I": "1", "L": "1", "S": "5", "B": "8"})


def written(text: str) -> str:
    """The form in which codes and aliases are compared: NFC, trimmed, ASCII in upper case."""
    trimmed = unicodedata.normalize("NFC", text).strip()
    return trimmed.upper() if trimmed.isascii() else trimmed  # "ß" must not become the two letters of a code


def folded_name(name: str) -> str:
    """A name without marks, case and doubled spaces, so that "so noi vu" finds "Sở Nội vụ"."""
    marks_apart = unicodedata.normalize("NFD", name.casefold().replace("đ", "d"))
    bare = "".join(character for character in marks_apart if not unicodedata.combining(character))
    return " ".join(bare.split()).removeprefix("ubnd ")


def near_codes(text: str, known: Container[str]) -> Iterator[str]:
    """Codes in ``known`` that ``text`` may have been meant for, the likeliest first; some may come twice."""
    code = written(text)
    if not code or len(code) > LONGEST_CODE:
        return
    for candidate in _rearranged(code):
        if candidate != code and candidate in known:
            yield candidate
    yield from (candidate for candidate in _one_slip_away(code) if candidate in known)
    groups = [group for group in _SEPARATORS.split(code) if group]
    for length in range(len(groups) - 1, 0, -1):  # an office that is not in the directory: its superior
        parent = ".".join(groups[:length])
        if parent in known:
            yield parent


def _rearranged(code: str) -> Iterator[str]:
    """The same groups with other separators, in the other order, without empty ones, digits for letters."""
    groups = [group for group in _SEPARATORS.split(code) if group]
    for order in (groups, groups[::-1]):
        yield ".".join(order)
        filled = [group for group in order if group.strip("0")]
        yield ".".join(filled)
        yield ".".join(group[:1] + group[1:].translate(_ALIKE) for group in filled)


def _one_slip_away(code: str) -> Iterator[str]:
    """Everything that differs by one character swapped with its neighbour, wrong, missing or too many."""
    cuts = [(code[:position], code[position:]) for position in range(len(code) + 1)]
    for before, after in cuts:
        if len(after) > 1:
            yield before + after[1] + after[0] + after[2:]
    for before, after in cuts:
        if after:
            yield before + after[1:]
            for character in _ALPHABET:
                yield before + character + after[1:]
    for before, after in cuts:
        for character in _ALPHABET:
            yield before + character + after
