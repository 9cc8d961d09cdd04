"""The terms by which a document is found, and the question as an expression over them. Pure.

A document is indexed under words of its subject, its number and notation, its sender and recipients, the agencies above
them, and where its deliveries stand. Every question becomes one text-search expression over these, so that PostgreSQL
intersects their lists whatever is combined. Terms that are no words begin with a sign that no word contains:

    ung  =ứng        a word of the subject without diacritics, and as written if it has any; both at its place
    #n12  #tbnv-vp   number, notation
    @s5   @S5        sender; an agency above the sender
    @r5   @R5        a recipient; an agency above a recipient
    !refused  !refused@r5  !refused@R5      some delivery stands so; the one to 5; one to an agency below 5
    %test            a rehearsal
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, Final

STATES: Final = (
    "accepted",
    "dispatched",
    "arrived",
    "received",
    "assigned",
    "processing",
    "completed",
    "refused",
    "held",
    "cancelled",
    "recalled",
    "moved",
)
"""Every state of a delivery as reports tell it, in the order of the database's `delivery_standing`."""

CONFIRMED: Final = 16
OVERDUE: Final = 32
STATE_MASK: Final = 15
"""What `delivery_standing` adds to a state, and what takes it off again."""

LONGEST_WORD: Final = 60
"""Letters of a word that count; nobody searches by more."""
WORDS_OF_A_SUBJECT: Final = 300
WORDS_OF_A_QUESTION: Final = 12
SHORTEST_PREFIX: Final = 2
NEXT_TO: Final = " <-> "
GOES_ON: Final = ":*"

_WORD: Final = re.compile(r"[^\W_]+")
_TASTE: Final = {
    unicodedata.normalize("NFC", f"{first}{second}{tone}"): unicodedata.normalize("NFC", f"{first}{tone}{second}")
    for first, second in ("oa", "oe", "uy")
    for tone in "\u0300\u0301\u0303\u0309\u0323"
}
"""Where the tone of an open syllable is written is a matter of taste: hoà is hòa, thuỷ is thủy (but quý is quý)."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word as it is indexed."""

    plain: str
    """Lower case, without any diacritics; đ is d."""
    exact: str | None
    """Lower case with its diacritics, if it has any; hoà and hòa are one word."""


def words_of(text: str) -> list[Word]:
    """The words of `text` in their order. Composed and decomposed spelling are the same."""
    return [_word(match[0][:LONGEST_WORD]) for match in _WORD.finditer(_lower(text))]


def _lower(text: str) -> str:
    """Composed and in lower case; the Icelandic ð, which many keyboards write where đ is meant, is one."""
    return unicodedata.normalize("NFC", text.lower()).replace("ð", "đ")


@lru_cache(maxsize=20_000)
def _word(written: str) -> Word:
    if written.isascii():
        return Word(written, None)
    apart = unicodedata.normalize("NFD", written)
    plain = "".join(c for c in apart if not unicodedata.combining(c)).replace("đ", "d")
    tail = written[-2:]
    exact = written[:-2] + _TASTE[tail] if tail in _TASTE and written[-3:-2] != "q" else written
    return Word(plain, None if exact == plain else exact)


def label(text: str) -> str:
    """A number or notation as it is compared: composed, lower case, without blanks."""
    return "".join(_lower(text).split())[:LONGEST_WORD]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the index says of one document."""

    number: str
    notation: str
    subject: str
    sender_id: int
    test: bool
    recipient_ids: Sequence[int]
    standings: Sequence[int]
    """One for each recipient, see `delivery_standing`."""

    @classmethod
    def of(cls, row: Any) -> Standing:
        """Out of a row that has these columns, and may have others."""
        return cls(**{column.name: row[column.name] for column in fields(cls)})


def terms_of(document: Standing, above: Mapping[int, Sequence[int]]) -> str:
    """All terms of `document` as the text of a tsvector; `above` names the agencies above each agency."""
    places: dict[str, list[int]] = {}
    for place, word in enumerate(words_of(document.subject)[:WORDS_OF_A_SUBJECT], start=1):
        places.setdefault(word.plain, []).append(place)
        if word.exact is not None:
            places.setdefault(f"={word.exact}", []).append(place)
    others = {f"@s{document.sender_id}"}
    if document.test:
        others.add("%test")
    others.update([f"@S{higher}" for higher in above.get(document.sender_id, ())])
    for recipient, standing in zip(document.recipient_ids, document.standings, strict=True):
        higher = above.get(recipient, ())
        others.add(f"@r{recipient}")
        others.update([f"@R{one}" for one in higher])
        for state in named(standing):
            others.update((f"!{state}", f"!{state}@r{recipient}"))
            others.update([f"!{state}@R{one}" for one in higher])
    told = [f"'{term}':{','.join(map(str, at))}" for term, at in places.items()]
    told += [f"'{term}'" for term in others]
    # Only these may hold a quotation mark.
    told += [_quoted(sign + label(text)) for sign, text in (("#n", document.number), ("#t", document.notation)) if text]
    return " ".join(told)


_NAMED: Final = {
    place + flags: (state, "overdue") if flags == OVERDUE else (state,)
    for place, state in enumerate(STATES)
    for flags in (0, CONFIRMED, OVERDUE)
}


def named(standing: int) -> tuple[str, ...]:
    """The states under which a delivery is found: its own, and `overdue`."""
    return _NAMED[standing]


def _quoted(term: str) -> str:
    return "'" + term.replace("\\", "\\\\").replace("'", "''") + "'"


# ── The question ─────────────────────────────────────────────────────────────────────────────────────────────────────


def word_conditions(subject: str, *, phrase: bool) -> list[str]:
    """The words of a question, each as one condition; as a phrase all of them are one.

    A word written with diacritics must be there so; one without fits any. The last word may be the beginning of one,
    unless a blank follows it.
    """
    words = words_of(subject)[:WORDS_OF_A_QUESTION]
    if not words:
        return []
    chosen = [_quoted(w.plain if w.exact is None else f"={w.exact}") for w in words]
    if not subject[-1].isspace() and len(words[-1].plain) >= SHORTEST_PREFIX:
        chosen[-1] += GOES_ON
    return [f"({NEXT_TO.join(chosen)})"] if phrase else chosen


def in_words(condition: str) -> list[str]:
    """A phrase as its words; any other condition as it is."""
    return condition[1:-1].split(NEXT_TO) if NEXT_TO in condition else [condition]


def may_go_on(condition: str) -> bool:
    """Whether its last word may be the beginning of another one."""
    return condition.rstrip(")").endswith(GOES_ON)


def number_condition(number: str) -> str:
    """Documents with this number."""
    return _quoted(f"#n{label(number)}")


def notation_condition(notation: str) -> str:
    """Documents with this notation."""
    return _quoted(f"#t{label(notation)}")


def any_of(signs: str, agencies: Iterable[int], *, state: str | None = None) -> str:
    """Documents that carry one of the agency terms: `signs` is any of s, S, r and R; with `state` about deliveries."""
    prefix = "" if state is None else f"!{state}"
    return one_of([_quoted(f"{prefix}@{sign}{agency}") for agency in agencies for sign in signs])


def state_condition(state: str) -> str:
    """Documents with some delivery in this state."""
    return _quoted(f"!{state}")


def one_of(conditions: Sequence[str]) -> str:
    """At least one of the conditions, of which there must be one."""
    return conditions[0] if len(conditions) == 1 else f"({' | '.join(conditions)})"


def all_of(conditions: Sequence[str]) -> str:
    """All of the conditions, as the text of a tsquery; empty if there is none."""
    return " & ".join(conditions)
