"""Everything that is in a database, and what questions come to if one simply looks through all of it.

Written from what users are told, not from the program: it shares no code with it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from broker.audit.search import Wanted


@dataclass(frozen=True, slots=True)
class Sent:
    """One delivery."""

    recipient: int
    state: str
    overdue: bool
    confirmed: bool


@dataclass(frozen=True, slots=True)
class Paper:
    """One document."""

    document_id: int
    sender: int
    accepted_at: datetime
    number: str
    notation: str
    words: tuple[str, ...]
    folded: tuple[str, ...]
    test: bool
    deliveries: tuple[Sent, ...]


@dataclass(frozen=True, slots=True)
class Memory:
    """All of it."""

    papers: tuple[Paper, ...]
    """Newest first."""
    codes: dict[str, int]
    parents: dict[int, int | None]
    levels: dict[int, str]
    tiers: dict[int, int]

    @classmethod
    async def of(cls, connection: asyncpg.Connection) -> Memory:
        """Read a database."""
        sent: dict[int, list[Sent]] = {}
        rows = await connection.fetch("SELECT * FROM delivery ORDER BY document_id, recipient_id")
        for row in rows:
            state = "recalled" if row["recalled"] else row["processing"]
            overdue = row["overdue_at"] is not None and row["arrived_at"] is None and row["closed_at"] is None
            one = Sent(row["recipient_id"], state, overdue, row["arrived_at"] is not None)
            sent.setdefault(row["document_id"], []).append(one)
        papers = [
            Paper(
                row["document_id"],
                row["sender_id"],
                row["accepted_at"],
                row["number"],
                row["notation"],
                tuple(words(row["subject"])),
                tuple(fold(word) for word in words(row["subject"])),
                row["test"],
                tuple(sent.get(row["document_id"], ())),
            )
            for row in await connection.fetch("SELECT * FROM document ORDER BY accepted_at DESC, document_id DESC")
        ]
        agencies = await connection.fetch("SELECT * FROM agency ORDER BY state = 'closed' DESC")
        return cls(
            tuple(papers),
            {row["code"]: row["agency_id"] for row in agencies},
            {row["agency_id"]: row["parent_id"] for row in agencies},
            {row["agency_id"]: row["level"] for row in agencies},
            {row["agency_id"]: row["tier"] for row in agencies},
        )

    def below(self, top: int) -> set[int]:
        """An agency and everything below it."""
        found = set()
        for agency in self.parents:
            above: int | None = agency
            while above is not None and above != top:
                above = self.parents[above]
            if above == top:
                found.add(agency)
        return found

    def seen(self, paper: Paper, view: set[int] | None) -> tuple[Sent, ...]:
        """The deliveries of a document that the auditor of `view` may see."""
        if view is None or paper.sender in view:
            return paper.deliveries
        return tuple(one for one in paper.deliveries if one.recipient in view)

    def search(self, wanted: Wanted, view: set[int] | None) -> list[int]:
        """The documents that fit, newest first."""
        return [paper.document_id for paper in self.papers if self._fits(paper, wanted, view)]

    def _fits(self, paper: Paper, wanted: Wanted, view: set[int] | None) -> bool:
        seen = self.seen(paper, view)
        if view is not None and paper.sender not in view and not seen:
            return False
        if wanted.since is not None and paper.accepted_at < wanted.since:
            return False
        if wanted.until is not None and paper.accepted_at >= wanted.until:
            return False
        if wanted.number is not None and paper.number != wanted.number:
            return False
        if wanted.notation is not None and paper.notation.lower() != wanted.notation.lower():
            return False
        if wanted.sender is not None and paper.sender != self.codes[wanted.sender]:
            return False
        if wanted.subject is not None and not subject_fits(paper, wanted.subject, phrase=wanted.phrase):
            return False
        states = [state for state in (wanted.state, "overdue" if wanted.overdue else None) if state]
        below = None if wanted.under is None else self.below(self.codes[wanted.under])
        if wanted.recipient is not None:
            to = [one for one in seen if one.recipient == self.codes[wanted.recipient]]
            if not to or not all(any(stands(one, state) for one in to) for state in states):
                return False
            return below is None or paper.sender in below or any(one.recipient in below for one in seen)
        if below is None:
            return all(any(stands(one, state) for one in seen) for state in states)
        to = [one for one in seen if one.recipient in below]
        if not states:
            return paper.sender in below or bool(to)
        return all(
            any(stands(one, state) for one in to) or (paper.sender in below and any(stands(one, state) for one in seen))
            for state in states
        )


def stands(one: Sent, state: str) -> bool:
    """Whether a delivery is in a state, or overdue."""
    return one.overdue if state == "overdue" else one.state == state


def words(text: str) -> list[str]:
    """Words with their diacritics."""
    return re.findall(r"[^\W_]+", unicodedata.normalize("NFC", text).lower())


def fold(word: str) -> str:
    """A word without diacritics."""
    apart = unicodedata.normalize("NFD", word.replace("đ", "d"))
    return "".join(c for c in apart if unicodedata.category(c) != "Mn")


def subject_fits(paper: Paper, asked: str, *, phrase: bool) -> bool:
    """All words are there, the last perhaps only its beginning."""
    wanted = words(asked)
    open_end = not asked[-1].isspace()

    def places(number: int, word: str) -> Iterable[int]:
        mine = paper.folded if word == fold(word) else paper.words
        begins = open_end and number == len(wanted) - 1 and len(word) > 1
        return [n for n, other in enumerate(mine) if (other.startswith(word) if begins else other == word)]

    found = [set(places(number, word)) for number, word in enumerate(wanted)]
    if not phrase:
        return all(found)
    return any(all(first + n in found[n] for n in range(len(found))) for first in found[0])
