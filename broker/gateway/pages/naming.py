"""Agencies by what people call them: a code, an alias, or words of the name with or without diacritics.

What a visitor may not open is not offered to him: the auditor of a subtree finds the agencies of the subtree by name,
others only by their code.
"""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from broker.audit.terms import Word, words_of
from broker.directory.records import Agency
from broker.directory.snapshot import Directory
from broker.gateway.pages.guard import Unclear, Visit

OFFERED: Final = 20
"""So many agencies are offered where a name fits several."""
_SPELT_OUT: Final = (
    (re.compile(r"\b(?:ủy|uỷ|uy) ban (?:nhân dân|nhan dan)\b", re.IGNORECASE), "UBND"),
    (re.compile(r"\btp\b\.?", re.IGNORECASE), "thành phố "),
)
"""How people write what names of the directory write otherwise."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An agency that a field of a form names."""

    code: str | None
    """As questions take it; None if the field is empty."""
    agency: Agency | None
    """Which one that is, if the visitor may know."""


def asked(visit: Visit, field: str) -> Asked:
    """The agency in `field`, by code, alias or name. Raises `Unclear` if its words fit several names."""
    text = visit.query(field)
    if text is None:
        return Asked(None, None)
    directory = visit.site.gateway.directory.current
    known = directory.find(text) or directory.closed(text)
    if known is not None:
        return Asked(text, known if visit.may_open(known.code) else None)
    found = fitting(directory, text, visit.codes, OFFERED)
    if len(found) > 1:
        raise Unclear(field=field, written=text, agencies=found)
    return Asked(found[0].code, found[0]) if found else Asked(text, None)


def fitting(directory: Directory, text: str, codes: Container[str] | None, limit: int) -> tuple[Agency, ...]:
    """Agencies of `codes` (None for all) whose names have all these words, or beginnings of words; likeliest first."""
    for written, meant in _SPELT_OUT:
        text = written.sub(meant, text)
    wanted = words_of(text)
    if not wanted:
        return ()
    found = [
        agency
        for agency in directory.agencies()
        if (codes is None or agency.code in codes) and fits(wanted, agency.name)
    ]
    together = _plain(wanted)

    def far_fetched(agency: Agency) -> tuple[bool, bool, int, str]:
        name = _words(agency.name)
        return agency.state == "closed", together not in _plain(name), len(name), agency.code

    found.sort(key=far_fetched)
    return tuple(found[:limit])


def fits(wanted: Sequence[Word], name: str) -> bool:
    """Whether every one of these words, at least one, begins a word of `name`."""
    return bool(wanted) and all(any(_begins(word, one) for one in _words(name)) for word in wanted)


def _begins(word: Word, one: Word) -> bool:
    """Whether `one` begins with `word`; what is written with diacritics must be there so."""
    return one.plain.startswith(word.plain) if word.exact is None else (one.exact or one.plain).startswith(word.exact)


def _plain(words: Sequence[Word]) -> str:
    return " ".join(word.plain for word in words)


@lru_cache(maxsize=30_000)
def _words(name: str) -> tuple[Word, ...]:
    return tuple(words_of(name))
