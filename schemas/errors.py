"""The error catalogue (contract §8): every code that the exchange can answer with, in one table.

A notice, an HTTP answer, the command line and docs/reference/errors.md all take their texts from here, so a code that
is not in the table cannot be sent. The entries themselves are in `schemas.error_texts`. This module decides nothing:
the checks raise `Refusal`, and whoever talks to the agency turns it into a notice or an HTTP answer.

    Exception
    ├── schemas.problem.Problem   a person at this end must put something right
    └── Refusal                   a message is not taken; the agency at the other end must be told why
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from schemas.error_texts import ENTRIES, ErrorEntry, Fault

__all__ = ["CATALOGUE", "FOUND_LIMIT", "ErrorEntry", "Fault", "Refusal"]

CATALOGUE: Final[Mapping[str, ErrorEntry]] = MappingProxyType({entry.code: entry for entry in ENTRIES})
"""Every error code with its meaning; the order is the order of docs/reference/errors.md."""

FOUND_LIMIT: Final = 200
"""Characters of a found value that are repeated to the sender: enough to recognise it, too few to leak a text."""


class Refusal(Exception):
    """A message, or one item of it, is not taken.

    `code` is a key of `CATALOGUE` (another one is a programming error: KeyError). `field` is the path in the
    message (`to.3`, `parts.0.sha256`), `found` and `expected` are short clauses in English; `found` is cut to
    `FOUND_LIMIT` characters and may hold the value of that one field and nothing else of the document.
    `candidates` are codes or ids that were perhaps meant: suggestions, successors, the documents that fit.
    """

    def __init__(
        self,
        *,
        code: str,
        field: str | None = None,
        found: str | None = None,
        expected: str | None = None,
        candidates: tuple[str, ...] = (),
    ) -> None:
        self.entry: ErrorEntry = CATALOGUE[code]
        self.code = code
        self.field = field
        self.found = found if found is None or len(found) <= FOUND_LIMIT else f"{found[: FOUND_LIMIT - 1]}…"
        self.expected = expected
        self.candidates = candidates
        super().__init__(code)

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return _rebuilt, (self.code, self.field, self.found, self.expected, self.candidates)

    def detail(self) -> dict[str, object]:
        """What goes into a notice item's `detail` (contract §2.5): the place, and both texts with what to do."""
        detail: dict[str, object] = {"field": self.field, "found": self.found, "expected": self.expected}
        if self.candidates:
            detail["candidates"] = list(self.candidates)
        detail["en"] = f"{self.entry.en} {self.entry.remedy_en}"
        detail["vi"] = f"{self.entry.vi} {self.entry.remedy_vi}"
        return detail

    def diagnostics(self) -> str:
        """One paragraph in English for a person at a terminal."""
        sentences = [f"{self.code}: {self.entry.en}"]
        place = f"In {self.field}: " if self.field else ""
        if self.found is not None or self.expected is not None:
            halves = (
                *((f"found {self.found}",) if self.found is not None else ()),
                *((f"expected {self.expected}",) if self.expected is not None else ()),
            )
            clause = f"{place}{', '.join(halves)}."
            sentences.append(clause[0].upper() + clause[1:])
        elif self.field:
            sentences.append(f"In {self.field}.")
        if self.candidates:
            sentences.append(f"Perhaps meant: {', '.join(self.candidates)}.")
        sentences.append(self.entry.remedy_en)
        return " ".join(sentences)

    def __str__(self) -> str:
        return self.diagnostics()


def _rebuilt(
    code: str, field: str | None, found: str | None, expected: str | None, candidates: tuple[str, ...]
) -> Refusal:
    return Refusal(code=code, field=field, found=found, expected=expected, candidates=candidates)
