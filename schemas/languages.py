"""The two languages in which people are told something at a terminal, and what is told in both. Pure.

What programs read (JSON, CSV, error codes, exit codes, logs) is not decided here: its keys are English. Sentences that
are put together where they arise (a finding, a problem) are English there; `Sentences` is the table by which a command
line or a page puts them into Vietnamese.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from typing import Final, Literal, NamedTuple

Language = Literal["vi", "en"]
LanguageOrBoth = Literal["vi", "en", "both"]

LOCALE: Final = ("LC_ALL", "LC_MESSAGES", "LANG")
"""Which variables say a terminal's language; the first that is not empty decides (POSIX, 8.2)."""

LONGEST: Final = 600
"""Characters of a sentence with what is filled in. A longer one stays as it is: strangers' words may stand in it, and
to find the places of a sentence takes a power of its length."""

DEEPEST: Final = 4
"""So deep sentences stand in each other's places; what is deeper stays as it is, for the same reason."""

FIGURES: Final = frozenset({"count", "digest", "index", "leaf", "level", "position", "root", "size", "thumbprint"})
"""Places of numbers and hashes: so narrow that what somebody wrote is not taken for a sentence."""

_NO_LANGUAGE: Final = ("C", "POSIX")
_PLACE: Final = re.compile(r"{(\w+)}")


class Words(NamedTuple):
    """One notion in both languages."""

    en: str
    vi: str

    def told(self, language: LanguageOrBoth) -> str:
        """In one language, or in both."""
        return {"en": self.en, "vi": self.vi, "both": f"{self.vi} / {self.en}"}[language]


def language_of(environment: Mapping[str, str]) -> Language | None:
    """The language of a terminal with these variables; None where they name none (nothing, `C`, `POSIX`).

    English stands for every language but Vietnamese.
    """
    locale = next((value for name in LOCALE if (value := environment.get(name))), "")
    name = locale.partition(".")[0].partition("@")[0]
    if not name or name in _NO_LANGUAGE:
        return None
    return "vi" if name.partition("_")[0].lower() in ("vi", "vietnamese") else "en"


def as_it_stands(place: str, value: str) -> str:
    """What stands in a place of a sentence, repeated: a number, a name, what somebody wrote."""
    return value


class Sentences:
    """A table of English sentences, with places `{…}` for what is filled in, and their Vietnamese.

    `place` says how the value of a place is put over. A place called `clause` is a sentence of this table itself, one
    whose name begins with `word`, and a figure (`FIGURES`), holds no blank.
    """

    def __init__(self, table: Mapping[str, str], *, place: Callable[[str, str], str] = as_it_stands) -> None:
        self._table = table
        self._place = place
        self._known = lru_cache(maxsize=4096)(self._look_up)

    def vietnamese(self, text: str) -> str | None:
        """`text` in Vietnamese, None if it is not known."""
        return self._known(text)

    def told(self, text: str, language: Language) -> str:
        """`text` in a language; as it is where its Vietnamese is not known."""
        return text if language == "en" else self.vietnamese(text) or text

    @cached_property
    def _patterns(self) -> tuple[tuple[re.Pattern[str], str], ...]:
        """Made when the first sentence is asked for: most programs that have a table never do."""
        return tuple((_pattern(english), told) for english, told in self._table.items() if "{" in english)

    def _look_up(self, text: str, depth: int = 0) -> str | None:
        if text in self._table:
            return self._table[text]
        if len(text) > LONGEST:
            return None
        for pattern, vietnamese in self._patterns:
            if match := pattern.fullmatch(text):
                places = {name: self._filled(name, value, depth) for name, value in match.groupdict().items()}
                return vietnamese.format(**places)
        return None

    def _filled(self, name: str, value: str, depth: int) -> str:
        if name == "clause":
            known = self._look_up(value, depth + 1) if depth < DEEPEST else None
            return known or value
        return self._place(name, value)


def _pattern(template: str) -> re.Pattern[str]:
    pieces = _PLACE.split(template)
    return re.compile(
        "".join(_place_of(piece) if odd % 2 else re.escape(piece) for odd, piece in enumerate(pieces)), re.DOTALL
    )


def _place_of(name: str) -> str:
    return rf"(?P<{name}>\S+)" if name.startswith("word") or name in FIGURES else f"(?P<{name}>.*?)"
