"""Who might sign for whom at a time: what the directory's events tell, and the rows where an import of before told no
mandates. Pure.

The rules are those by which a message is taken in and by which a bundle is checked (`bundle/facts.py`): the sender's
own certificate, or one of a hub that had a mandate to sign for it then. What happened later, a revocation, a closing,
the end of a mandate, takes nothing back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import orjson

from broker.evidence.bundle.facts import VIETNAM, Enrolment, Facts
from broker.evidence.bundle.lines import EventLine
from schemas.errors import Refusal
from schemas.times import parse_rfc3339

SLACK: Final = timedelta(minutes=1)
"""How far the clocks of those who change the directory and of those who take messages in may differ, and how long these
may take to notice."""

FOREVER: Final = datetime(9999, 12, 31, tzinfo=UTC)

IMPORT: Final = "agencies.imported"
TOLD: Final = "mandates"
"""The fact by which an import says that it has told its mandates (`mandates.imported`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MandateRow:
    """A mandate as the directory's rows have it, which know only how it ended up."""

    hub: str
    agency: str
    may_sign: bool
    since: date
    until: date | None


class Signers:
    """Answers for one database, from its surviving `directory_changed` events in their order, and its mandates."""

    def __init__(self, bodies: Iterable[bytes], rows: Iterable[MandateRow]) -> None:
        events = [event for place, body in enumerate(bodies) if (event := _event(place, body)) is not None]
        self._facts = Facts(events, ())
        self._rows: dict[tuple[str, str], list[MandateRow]] = {}
        for row in rows:
            self._rows.setdefault((row.hub, row.agency), []).append(row)
        self._imports = [
            parse_rfc3339(event.body["at"])
            for event in events
            if event.body["change"] == IMPORT and TOLD not in event.body.get("facts", {})
        ]

    def enrolment(self, thumbprint: bytes) -> Enrolment | None:
        """For whom an event tells that this certificate was enrolled."""
        return self._facts.enrolment(thumbprint)

    def may_sign(self, signer: str, sender: str, at: datetime) -> bool:
        """Whether a certificate of `signer` might speak for `sender` when the message was accepted."""
        if signer == sender:
            return True
        times = (at - SLACK, at, at + SLACK)
        if any(self._facts.may_sign(signer, sender, time) is not None for time in times):
            return True
        told = self._facts.last_told(signer, sender, at)
        if not any((told is None or told <= imported) and imported <= at + SLACK for imported in self._imports):
            return False
        # Later events may have changed what the row says of signing. An end is a day, and began during it.
        changed = self._facts.last_told(signer, sender, FOREVER) is not None
        day = at.astimezone(VIETNAM).date()
        return any(
            (row.may_sign or changed) and row.since <= day and (row.until is None or day <= row.until)
            for row in self._rows.get((signer, sender), ())
        )


def _event(place: int, body: bytes) -> EventLine | None:
    """One event and its place among them; None for bytes that are none, which is told where the log is verified."""
    try:
        value: dict[str, Any] = orjson.loads(body)
        parse_rfc3339(value["at"])
        sound = isinstance(value["change"], str) and isinstance(value["codes"], list)
        sound = sound and isinstance(value.get("facts", {}), dict)
    except (ValueError, KeyError, TypeError, Refusal):
        return None
    return EventLine(line=0, log=0, index=place, path=(), body=value, leaf=b"") if sound else None
