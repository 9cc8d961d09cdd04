"""What the log says of the directory: who was enrolled, revoked, mandated, and who the exchange is. Pure.

Everything rests on events of the log, but for mandates that an import gave: their event names no hub, so the
exchange's own sealed word (`Statement`) stands in, and the verdict says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from broker.evidence.bundle.format import EventLine, Statement
from schemas.times import parse_rfc3339

VIETNAM: Final = timezone(timedelta(hours=7))


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """A certificate was enrolled for an agency."""

    code: str
    custody: str
    at: datetime
    entry: EventLine


class Facts:
    """The directory as far as the bundle's events tell it."""

    def __init__(self, events: Iterable[EventLine], statements: Sequence[Statement]) -> None:
        self._enrolled: dict[str, Enrolment] = {}
        self._revoked: dict[str, datetime] = {}
        self._mandates: dict[tuple[str, str], list[tuple[datetime, bool, EventLine]]] = {}
        self._stated = {(line.kind, line.who, line.agency): line for line in statements}
        self._heirs: dict[str, dict[str, EventLine]] = {}
        self._exchange: set[str] = set()
        for event in events:
            if event.body["event"] == "directory_changed":
                self._learn(event)
        for told in self._mandates.values():
            told.sort(key=lambda one: (one[0], one[2].log, one[2].index))

    def _learn(self, event: EventLine) -> None:
        body = event.body
        change, codes, facts = body["change"], body["codes"], body.get("facts", {})
        at = parse_rfc3339(body["at"])
        match change:
            case "certificate.enrolled" if codes:
                name = str(facts.get("thumbprint"))
                if name not in self._enrolled or at < self._enrolled[name].at:
                    self._enrolled[name] = Enrolment(
                        code=codes[0], custody=str(facts.get("custody")), at=at, entry=event
                    )
            case "certificate.revoked":
                name = str(facts.get("thumbprint"))
                self._revoked[name] = min(at, self._revoked.get(name, at))
            case "mandate.given" if len(codes) == 2:
                self._mandate(codes[1], codes[0], at, facts.get("sign") is True, event)
            case "mandate.ended" if len(codes) == 2:
                self._mandate(codes[1], codes[0], at, False, event)
            case "agency.closed" if codes:
                self._heirs.setdefault(codes[0], {}).update((heir, event) for heir in codes[1:])
            case "agency.added" if codes:
                if facts.get("level") == "exchange":
                    self._exchange.add(codes[0])
                if isinstance(hub := facts.get("hub"), str):
                    self._mandate(hub, codes[0], at, True, event)

    def _mandate(self, hub: str, agency: str, at: datetime, sign: bool, event: EventLine) -> None:
        self._mandates.setdefault((hub, agency), []).append((at, sign, event))

    def enrolment(self, thumbprint: bytes) -> Enrolment | None:
        """For whom the log says that this certificate was enrolled."""
        return self._enrolled.get(thumbprint.hex())

    def revoked_at(self, thumbprint: bytes) -> datetime | None:
        """Since when the log says that it speaks for nobody."""
        return self._revoked.get(thumbprint.hex())

    def is_exchange(self, code: str) -> bool:
        """Whether the log says that this code is the exchange itself."""
        return code in self._exchange

    def may_sign(self, hub: str, agency: str, at: datetime) -> str | None:
        """On what it rests that the hub might sign for the agency at that time; None if nothing says so."""
        told = [one for one in self._mandates.get((hub, agency), ()) if one[0] <= at]
        if told:
            _, sign, event = told[-1]
            return f"mandate of {hub} for {agency}, log entry {event.index}" if sign else None
        return self._statement("mandate", hub, agency, at)

    def last_told(self, hub: str, agency: str, at: datetime) -> datetime | None:
        """When, before that time, an event last gave or ended what the hub may do for the agency; None if none did."""
        return max((one[0] for one in self._mandates.get((hub, agency), ()) if one[0] <= at), default=None)

    def succeeds(self, heir: str, agency: str, at: datetime) -> str | None:
        """On what it rests that one agency took over from the other by that time; None if nothing says so."""
        event = self._heirs.get(agency, {}).get(heir)
        if event is not None and at_of(event.body) <= at:
            return f"{heir} took over from {agency}, log entry {event.index}"
        return self._statement("succession", heir, agency, at)

    def _statement(self, kind: str, who: str, agency: str, at: datetime) -> str | None:
        line = self._stated.get((kind, who, agency))
        day = at.astimezone(VIETNAM).date().isoformat()
        if line is not None and line.since <= day and (line.until is None or day < line.until):
            return f"{kind} of {who} for {agency}, on the exchange's sealed word alone"
        return None


def at_of(body: Any) -> datetime:
    """When an event says that it happened."""
    return parse_rfc3339(body["at"])
