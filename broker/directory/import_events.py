"""What an import tells the log, in the transaction that writes it. Pure.

`agencies.imported` names every agency of whom the import changed anything, and says how much the events after it tell:
who may receive and sign for whom (`mandates.imported`), who has a mailbox (`mailboxes.imported`), who ends on which day
(`closings.imported`), who has which tier (`tiers.imported`) and superior (`superiors.imported`), who follows whom
(`successions.imported`). An import that does not count one of these is of before that was told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Final, TypeVar

from broker.directory.changing import Telling
from broker.directory.planning import ImportPlan, tier_of
from broker.directory.records import AgencyId, Extent
from schemas.events import RECIPIENTS_PER_EVENT
from schemas.exchange_events import Facts

T = TypeVar("T", int, str)

MANDATES_PER_EVENT: Final = RECIPIENTS_PER_EVENT - 1
"""Agencies that one event names after their hub, so that no event is ever split and loses it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportedMandate:
    """A mandate that an import has given, as its row says it now."""

    hub_id: AgencyId
    hub: str
    agency: str
    may_receive: bool
    may_sign: bool
    valid_from: date


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """What an import has written that its plan does not say by itself."""

    mandates: Sequence[ImportedMandate]
    #: (does not exist any more, superior's code or nothing, code) of those that are new, or whose superior changed.
    superiors: Sequence[tuple[bool, str, str]]
    #: (extent, day, old code, new code)
    successions: Sequence[tuple[Extent, date, str, str]]


def import_tellings(plan: ImportPlan, written: Written, *, today: date, rows_sha256: str) -> list[Telling]:
    """The events of an import, the one that names the agencies first; `rows_sha256` is hex."""
    mandates, superiors = written.mandates, written.superiors
    mailboxes = _mailboxes(plan, today)
    tiers = _tiers(plan, today)
    closings = [(row.valid_until, row.code) for row in plan.added if row.valid_until is not None]
    touched = (
        *(row.code for row in plan.added),
        *(row.code for row, _ in plan.updated),
        *(mandate.agency for mandate in mandates),
        *(row.code for row, _, _ in plan.new_aliases),
    )
    facts: Facts = {
        "rows_sha256": rows_sha256,
        "added": len(plan.added),
        "updated": len(plan.updated),
        "mandates": len(mandates),
        "mailboxes": len(mailboxes),
        "closings": len(closings),
        "tiers": len(tiers),
        "superiors": len(superiors),
        "successions": len(written.successions),
    }
    return [
        Telling(change="agencies.imported", codes=list(dict.fromkeys(touched)), facts=facts),
        *_told_mandates(mandates),
        *(
            Telling(change="mailboxes.imported", codes=[code for _, code in some], facts={"mailbox": has})
            for has, some in groupby(sorted(mailboxes), key=lambda one: one[0])
        ),
        *(
            Telling(change="closings.imported", codes=[code for _, code in some], facts={"on": on.isoformat()})
            for on, some in groupby(sorted(closings), key=lambda one: one[0])
        ),
        *_told_places("tiers.imported", "tier", tiers),
        *_told_places("superiors.imported", "superior", superiors),
        *(
            Telling(
                change="successions.imported",
                codes=[code for _, _, *pair in some for code in pair],  # an event's limit is even: none tears a pair
                facts={"extent": extent.replace(" ", "-"), "on": on.isoformat()},
            )
            for (extent, on), some in groupby(sorted(written.successions), key=lambda one: one[:2])
        ),
    ]


def _mailboxes(plan: ImportPlan, today: date) -> list[tuple[bool, str]]:
    """Who has a mailbox and who has none, of those that are new and exist, or of whom this changed."""
    added = [(bool(row.has_mailbox), row.code) for row in plan.added if not row.over(today)]
    changed = [
        (row.has_mailbox, row.code)
        for row, agency in plan.updated
        if row.has_mailbox is not None and row.has_mailbox != agency.has_mailbox
    ]
    return added + changed


def _tiers(plan: ImportPlan, today: date) -> list[tuple[bool, int, str]]:
    """(does not exist any more, tier or 0, code) of those that are new, or whose tier this changed."""
    added = [(row.over(today), tier_of(row) or 0, row.code) for row in plan.added]
    changed = [(False, tier_of(row, old) or 0, row.code) for row, old in plan.updated if tier_of(row, old) != old.tier]
    return added + changed


def _told_places(change: str, fact: str, places: Sequence[tuple[bool, T, str]]) -> Iterator[Telling]:
    """One event for all of whom it says the same; what is 0 or empty is told as nothing."""
    for (closed, value), some in groupby(sorted(places), key=lambda one: one[:2]):
        yield Telling(change=change, codes=[code for _, _, code in some], facts={fact: value or None, "closed": closed})


def _told_mandates(mandates: Sequence[ImportedMandate]) -> Iterator[Telling]:
    """Per hub, rights and first day: the hub's code first, then those of its agencies."""

    def alike(one: ImportedMandate) -> tuple[str, AgencyId, bool, bool, date]:
        return one.hub, one.hub_id, one.may_receive, one.may_sign, one.valid_from

    for (hub, hub_id, receive, sign, since), group in groupby(sorted(mandates, key=alike), key=alike):
        codes = [one.agency for one in group]
        for start in range(0, len(codes), MANDATES_PER_EVENT):
            yield Telling(
                change="mandates.imported",
                codes=[hub, *codes[start : start + MANDATES_PER_EVENT]],
                facts={"receive": receive, "sign": sign, "from": since.isoformat()},
                agency_id=hub_id,
            )
