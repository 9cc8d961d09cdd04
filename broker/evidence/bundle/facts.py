"""What the log says of the directory: who was enrolled, revoked, mandated, and who the exchange is. Pure.

Everything rests on events of the log, but for mandates that an import gave before imports told them, and for
successions that one brought: their event names nobody, so the exchange's own sealed word (`Statement`) stands in, and
the verdict says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from broker.evidence.bundle.lines import EventLine, Statement
from schemas.times import parse_rfc3339

VIETNAM: Final = timezone(timedelta(hours=7))

NEVER: Final = "never"
"""Later than every day, as texts compare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """A certificate was enrolled for an agency."""

    code: str
    custody: str
    at: datetime
    entry: EventLine


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mandate:
    """What an event says that a hub may do for an agency from then on."""

    at: datetime
    sign: bool
    since: str
    """The first day; empty for at once. One that is to come changes nothing until then."""
    event: EventLine


class Facts:
    """The directory as far as the bundle's events tell it."""

    def __init__(self, events: Iterable[EventLine], statements: Sequence[Statement]) -> None:
        self._enrolled: dict[str, Enrolment] = {}
        self._revoked: dict[str, datetime] = {}
        self._mandates: dict[tuple[str, str], list[_Mandate]] = {}
        self._stated: dict[tuple[str, str, str], list[Statement]] = {}
        for line in statements:
            self._stated.setdefault((line.kind, line.who, line.agency), []).append(line)
        self._heirs: dict[str, dict[str, EventLine]] = {}
        self._exchange: set[str] = set()
        for event in events:
            if event.body["event"] == "directory_changed":
                self._learn(event)

    def _learn(self, event: EventLine) -> None:
        body = event.body
        change, codes, facts = body["change"], body["codes"], body.get("facts", {})
        at = parse_rfc3339(body["at"])
        since = _first_day(facts)
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
                self._mandate(codes[1], codes[0], at, facts.get("sign") is True, since, event)
            case "mandate.ended" if len(codes) == 2:
                self._mandate(codes[1], codes[0], at, False, "", event)
            case "mandates.imported":
                for agency in codes[1:]:
                    self._mandate(codes[0], agency, at, facts.get("sign") is True, since, event)
            case "agency.closed" if codes:
                self._heirs.setdefault(codes[0], {}).update((heir, event) for heir in codes[1:])
            case "agency.added" if codes:
                if facts.get("level") == "exchange":
                    self._exchange.add(codes[0])
                if isinstance(hub := facts.get("hub"), str):
                    self._mandate(hub, codes[0], at, True, since, event)

    def _mandate(self, hub: str, agency: str, at: datetime, sign: bool, since: str, event: EventLine) -> None:
        told = _Mandate(at=at, sign=sign, since=since, event=event)
        self._mandates.setdefault((hub, agency), []).append(told)

    def _told(self, hub: str, agency: str, at: datetime) -> _Mandate | None:
        """What the last event that counts at that time says of the hub and the agency."""
        day = _day(at)
        counting = (one for one in self._mandates.get((hub, agency), ()) if one.at <= at and one.since <= day)
        return max(counting, key=lambda one: (one.at, one.event.log, one.event.index), default=None)

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
        told = self._told(hub, agency, at)
        if told is not None:
            return f"mandate of {hub} for {agency}, log entry {told.event.index}" if told.sign else None
        return self._statement("mandate", hub, agency, at)

    def last_told(self, hub: str, agency: str, at: datetime) -> datetime | None:
        """When, before that time, an event last gave or ended what the hub may do for the agency; None if none did."""
        told = self._told(hub, agency, at)
        return told.at if told is not None else None

    def succeeds(self, heir: str, agency: str, at: datetime) -> str | None:
        """On what it rests that one agency took over from the other by that time; None if nothing says so."""
        event = self._heirs.get(agency, {}).get(heir)
        if event is not None and at_of(event.body) <= at:
            return f"{heir} took over from {agency}, log entry {event.index}"
        return self._statement("succession", heir, agency, at)

    def _statement(self, kind: str, who: str, agency: str, at: datetime) -> str | None:
        day = _day(at)
        # An end is a day and began during it; when, an event says that counts before any statement.
        stated = self._stated.get((kind, who, agency), ())
        if any(line.since <= day and (line.until is None or day <= line.until) for line in stated):
            return f"{kind} of {who} for {agency}, on the exchange's sealed word alone"
        return None


def _day(at: datetime) -> str:
    """The day in Vietnamese time on which the directory judges validity."""
    try:
        return at.astimezone(VIETNAM).date().isoformat()
    except OverflowError:  # the last hours of the year 9999
        return at.date().isoformat()


def _first_day(facts: Mapping[str, Any]) -> str:
    """The day from which a mandate holds; empty for at once, and one that never comes for what is no day."""
    since = facts.get("from", "")
    return since if isinstance(since, str) else NEVER


def at_of(body: Any) -> datetime:
    """When an event says that it happened."""
    return parse_rfc3339(body["at"])
