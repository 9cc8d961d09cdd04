"""What a bundle holds, put together: messages read, events by kind and by whom they are about. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from itertools import chain, islice, repeat, zip_longest
from typing import Any

from broker.evidence.bundle.facts import Facts, at_of
from broker.evidence.bundle.judging import Judge, Judged
from broker.evidence.bundle.lines import Bundle, EventLine, Fault, Message
from schemas.errors import Refusal
from schemas.manifest import DocumentManifest, NoticeManifest, StatusManifest, parse_manifest
from schemas.slip import Slip, parse_slip
from schemas.times import parse_rfc3339


class Gathered:
    """A bundle's messages and events by their digests."""

    def __init__(self, bundle: Bundle, facts: Facts, judge: Judge) -> None:
        self.bundle = bundle
        self.facts = facts
        self._judge = judge
        self.recipient: str | None = bundle.scope.get("recipient")
        """The one recipient whose story alone this is, or None."""
        agencies = bundle.scope.get("archive", {}).get("agencies")
        self.subtree: frozenset[str] | None = frozenset(agencies) if isinstance(agencies, list) else None
        """The agencies to which an archive of a subtree is limited, or None."""
        self.documents: dict[str, DocumentManifest] = {}
        """By digest, as the others."""
        self.statuses: dict[str, StatusManifest] = {}
        self.notices: dict[str, NoticeManifest] = {}
        self._slips: list[tuple[Message, Slip]] = []
        self._promised: dict[str, datetime] = {}
        """Digest of a document → until when its acceptance was to be in the log, as the first message here says."""
        self.unread: list[Fault] = []
        """Messages that are not what their line says."""
        self._read()
        self.events: dict[str, list[EventLine]] = {}
        """By kind, in the order of the log."""
        for event in bundle.events:
            self.events.setdefault(event.body["event"], []).append(event)
        self.withheld = {one.digest: one for one in bundle.withheld}

    @cached_property
    def accepted(self) -> Mapping[str, list[EventLine]]:
        """Acceptance events by the document's digest, in the order of their parts."""
        return _grouped(self.events.get("accepted", []), "document")

    @cached_property
    def recorded(self) -> Mapping[str, list[EventLine]]:
        """Events of recorded statuses by the status message's digest."""
        return _grouped(self.events.get("status_recorded", []), "message")

    @cached_property
    def dispatched(self) -> Mapping[str, list[EventLine]]:
        """Events of confirmed publishes by the message's digest."""
        return _grouped(self.events.get("dispatched", []), "message")

    @cached_property
    def owners(self) -> Mapping[str, Mapping[str, str]]:
        """Digest of a document → recipient → in whose mailbox it goes, as far as the events here tell."""
        owners = {
            digest: {code: owner for event in events for code, owner in event.body["recipients"]}
            for digest, events in self.accepted.items()
        }
        for event in self.events.get("rerouted", []):
            told = owners.get(event.body["document"]["digest"], {})
            told.update({one["successors"][0]: one["owner"] for one in event.body["deliveries"] if "owner" in one})
        return owners

    @cached_property
    def addressed(self) -> Mapping[str, Mapping[str, str | None]]:
        """Digest of a document → recipient → what its acceptance tells of how it was written, or None: by its code."""
        told: dict[str, dict[str, str | None]] = {}
        for digest, events in self.accepted.items():
            for body in (event.body for event in events if "due_arrival" in event.body):
                codes = [code for code, _ in body["recipients"]]
                runs = (
                    islice(repeat(text), min(many, len(codes))) for text, many in body.get("addressed", ()) if many > 0
                )
                told.setdefault(digest, {}).update(zip_longest(codes, islice(chain(*runs), len(codes))))
        return told

    def _read(self) -> None:
        for message in (*self.bundle.documents, *self.bundle.statuses, *self.bundle.notices, *self.bundle.slips):
            try:
                if message.type == "slip":
                    self._slips.append((message, parse_slip(message.signed.payload)))
                    continue
                manifest = parse_manifest(message.signed.payload)
            except Refusal as refusal:
                self.unread.append(fault("shape", message, f"{refusal.field}: {refusal.found}", str(refusal.expected)))
                continue
            digest = message.signed.digest
            match manifest:
                case DocumentManifest() if message.type == "document":
                    self.documents[digest] = manifest
                case StatusManifest() if message.type == "status":
                    self.statuses[digest] = manifest
                case NoticeManifest() if message.type == "notice":
                    self.notices[digest] = manifest
                case _:
                    self.unread.append(fault("shape", message, f"a {manifest.kind}", f"a {message.type}"))

    def wanted(self, digest: str) -> frozenset[str] | None:
        """Whose stories alone the scope lets a bundle tell of a document; None for everybody's."""
        if self.recipient is not None:
            return frozenset({self.recipient})
        if self.subtree is None or self.accepted[digest][0].body["document"]["from"] in self.subtree:
            return None
        return self.subtree

    def judged(self) -> tuple[Judged, ...]:
        """The verdict on every signed message, in the order of the lines. Only for a bundle without faults."""
        judged = [
            *(self._of_an_agency(one, self.documents, self.accepted) for one in self.bundle.documents),
            *(self._of_an_agency(one, self.statuses, self.recorded) for one in self.bundle.statuses),
        ]
        for message in self.bundle.notices:
            notice = self.notices[message.signed.digest]
            speaker, sent_at = notice.from_, notice.sent_at
            judged.append(
                self._judge.judge(message, speaker=speaker, signed_at=sent_at, received_at=sent_at, exchange=True)
            )
        made_at = parse_rfc3339(self.bundle.made_at)
        for message in self.bundle.slips:
            enrolment = self.facts.enrolment(message.signed.thumbprint)
            speaker = enrolment.code if enrolment is not None else "?"
            judged.append(
                self._judge.judge(message, speaker=speaker, signed_at=made_at, received_at=made_at, exchange=True)
            )
        return tuple(judged)

    def _of_an_agency(
        self,
        message: Message,
        read: Mapping[str, DocumentManifest] | Mapping[str, StatusManifest],
        told: Mapping[str, list[EventLine]],
    ) -> Judged:
        """The verdict on a document or a status, received when the first of its events says, by whom that names."""
        manifest, event = read[message.signed.digest], told[message.signed.digest][0].body
        return self._judge.judge(
            message,
            speaker=manifest.from_,
            signed_at=manifest.sent_at,
            received_at=at_of(event),
            submitter=event["submitter"],
        )


def concerns(body: Mapping[str, Any], wanted: frozenset[str], owners: Mapping[str, Mapping[str, str]]) -> bool:
    """Whether an event belongs to the story of these recipients. `owners` as `Agreement.owners` has them."""
    match body["event"]:
        case "accepted":
            return body.get("part", 1) == 1 or any(code in wanted for code, _ in body["recipients"])
        case "dispatched" if body["message"]["digest"] in owners:
            if (named := body.get("recipients")) is not None:
                return not wanted.isdisjoint(named)
            mailboxes = {owners[body["message"]["digest"]].get(code, code) for code in wanted}
            return not (wanted | mailboxes).isdisjoint(body["owners"])
        case "status_recorded":
            return any(item["recipient"] in wanted for item in body["items"])
        case "overdue":
            return not wanted.isdisjoint(body["recipients"])
        case "rerouted":
            return any(not wanted.isdisjoint((one["closed"], *one["successors"])) for one in body["deliveries"])
    return True


def _grouped(events: list[EventLine], about: str) -> dict[str, list[EventLine]]:
    groups: dict[str, list[EventLine]] = {}
    for event in events:
        groups.setdefault(event.body[about]["digest"], []).append(event)
    for group in groups.values():
        group.sort(key=lambda event: (event.body.get("part", 1) if about == "document" else 0, event.log, event.index))
    return groups


def fault(reason: str, message: Message, found: str, expected: str) -> Fault:
    """What does not hold of a message."""
    return Fault(reason=reason, line=message.line, what=message.type, found=found, expected=expected)
