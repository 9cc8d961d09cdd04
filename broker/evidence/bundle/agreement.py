"""Do the signed messages and the logged events of a bundle tell one story, and is everything in it part of it? Pure.

A message without its event was never accepted; an event without its message has nobody's signature; what belongs to
neither has no business in the bundle. Both sides are compared field by field where both speak.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import cached_property
from typing import Any

from broker.evidence.bundle.facts import at_of
from broker.evidence.bundle.gathered import Gathered, concerns, fault
from broker.evidence.bundle.lines import EventLine, Fault, Message
from schemas.events import written_as
from schemas.manifest import StatusManifest
from schemas.manifest.notice import NoticeRecipient
from schemas.slip import Slip, SlipRecipient
from schemas.states import StatusCode
from schemas.times import parse_rfc3339


class Agreement(Gathered):
    """A bundle's messages and events, put together. Ask `faults` before anything else."""

    def faults(self) -> Iterator[Fault]:
        """Everything that does not fit, in the order of the lines within each question."""
        yield from self.unread
        if self.unread:
            return
        yield from self._scope_faults()
        for message in self.bundle.documents:
            yield from self._document_faults(message)
        for message in self.bundle.statuses:
            yield from self._status_faults(message)
        for message in self.bundle.notices:
            yield from self._notice_faults(message)
        for message, slip in self._slips:
            yield from self._slip_faults(message, slip)
        for event in self.bundle.events:
            yield from self._event_faults(event)
        yield from self._spare_faults()

    def _scope_faults(self) -> Iterator[Fault]:
        named = self.bundle.scope.get("document")
        if named is None:
            return
        if not isinstance(named, dict):
            yield Fault(reason="shape", line=1, what="scope", found="another document", expected="from, id and digest")
            return
        digest = str(named.get("digest"))
        first = self.accepted.get(digest)
        if first is None or first[0].body["document"] != named:
            found = f"no acceptance of {named.get('id')} with digest {digest}"
            yield Fault(reason="missing", line=1, what="scope", found=found, expected="the document that is proved")
            return
        if self.recipient is not None and not self._is_recipient(self.recipient):
            found = f"recipient {self.recipient}, whom no event here names"
            yield Fault(reason="missing", line=1, what="scope", found=found, expected="the event that names it")
        concerned = {
            other: {one["digest"] for event in events for one in event.body.get("concerns", ())}
            for other, events in self.accepted.items()
        }
        related = {digest}
        # A change of a change may stand in the next year's log: no order of the lines, but until nothing is added.
        while more := {other for other, named in concerned.items() if other not in related and named & related}:
            related |= more
        for other, events in self.accepted.items():
            if other not in related:
                found = f"document {events[0].body['document']['id']}, which changes nothing here"
                yield _event_fault("unused", events[0], found, "the document itself, and changes of it")

    def _is_recipient(self, code: str) -> bool:
        """Whether an acceptance, or a move to a successor, names this recipient."""
        return any(code in owners for owners in self.owners.values()) or any(
            code in (one["closed"], *one["successors"])
            for event in self.events.get("rerouted", [])
            for one in event.body["deliveries"]
        )

    def _document_faults(self, message: Message) -> Iterator[Fault]:
        digest = message.signed.digest
        manifest = self.documents[digest]
        events = self.accepted.get(digest, [])
        if not events or events[0].body.get("part", 1) != 1:
            yield fault("missing", message, "no event that it was accepted", "its acceptance in the log")
            return
        first = events[0].body
        told = {
            "from": first["document"]["from"],
            "id": first["document"]["id"],
            "thumbprint": first["thumbprint"],
            "action": first["action"],
            "priority": first["priority"],
            "test": first["test"],
            "sent_at": parse_rfc3339(first["sent_at"]),
            "parts": first.get("parts_digests", []),
        }
        signed = {
            "from": manifest.from_,
            "id": str(manifest.id),
            "thumbprint": message.signed.thumbprint.hex(),
            "action": manifest.action.value,
            "priority": manifest.document.priority,
            "test": manifest.test,
            "sent_at": manifest.sent_at,
            "parts": [part.sha256 for part in manifest.parts],
        }
        for name, value in signed.items():
            if told[name] != value:
                yield fault("mismatch", message, f"{name} {value}", f"{told[name]}, as the log says")
        yield from self._recipient_faults(events)

    def _recipient_faults(self, events: list[EventLine]) -> Iterator[Fault]:
        """Without narrower scope every part of the list of recipients is there, and they add up."""
        if self.wanted(events[0].body["document"]["digest"]) is not None:
            return
        parts = [event.body.get("part", 1) for event in events]
        wanted = events[0].body.get("parts", 1)
        count = sum(len(event.body["recipients"]) for event in events)
        if parts != list(range(1, wanted + 1)) or count != events[0].body["count"]:
            found = f"parts {parts} with {count} recipients"
            expected = f"{wanted} parts with {events[0].body['count']} recipients"
            yield _event_fault("missing", events[0], found, expected)

    def _status_faults(self, message: Message) -> Iterator[Fault]:
        digest = message.signed.digest
        manifest = self.statuses[digest]
        if digest not in self.recorded:
            yield fault("missing", message, "no event that it was recorded", "its record in the log")
        for event in self.recorded.get(digest, []):
            body = event.body
            if (body["message"]["from"], body["message"]["id"]) != (manifest.from_, str(manifest.id)):
                yield fault("mismatch", message, f"{manifest.from_} {manifest.id}", "the sender and id of the log")
            if body["thumbprint"] != message.signed.thumbprint.hex():
                found = f"certificate {message.signed.thumbprint.hex()}"
                yield fault("mismatch", message, found, f"{body['thumbprint']}, as the log says")
            for item in body["items"]:
                yield from self._item_faults(message, manifest, event, item)
        yield from self._untold_faults(message, manifest)

    def _untold_faults(self, message: Message, manifest: StatusManifest) -> Iterator[Fault]:
        """Every item of a status message is judged and logged, refused ones with their error: none is passed over."""
        told = {item["item"] for event in self.recorded.get(message.signed.digest, []) for item in event.body["items"]}
        for number, item in enumerate(manifest.items):
            if number in told or item.concerns.digest not in self.accepted:
                continue
            codes, speaker = self.wanted(item.concerns.digest), item.for_ or manifest.from_
            if codes is None or (speaker in codes and speaker in self.owners[item.concerns.digest]):
                found = f"no event that tells of item {number}"
                yield fault("missing", message, found, "every signed item in the log")

    def _item_faults(
        self, message: Message, manifest: StatusManifest, event: EventLine, item: Mapping[str, Any]
    ) -> Iterator[Fault]:
        if not 0 <= item["item"] < len(manifest.items):
            yield _event_fault("mismatch", event, f"item {item['item']}", f"one of {len(manifest.items)} items")
            return
        signed = manifest.items[item["item"]]
        concerned = {"from": signed.concerns.from_, "id": str(signed.concerns.id), "digest": signed.concerns.digest}
        named = {name: item["document"][name] for name in concerned}
        if (concerned, signed.code.value, signed.at) != (named, item["code"], parse_rfc3339(item["at"])):
            found = f"item {item['item']}: {item['code']} at {item['at']} about {named['id']}"
            expected = f"{signed.code.value} at {signed.at.isoformat()} about {concerned['id']}, as signed"
            yield _event_fault("mismatch", event, found, expected)
            return
        if "error" in item or signed.code is StatusCode.TAKE_BACK:
            return
        speaker, recipient, at = signed.for_ or manifest.from_, item["recipient"], at_of(event.body)
        if speaker != recipient and self.facts.succeeds(speaker, recipient, at) is None:
            found = f"item {item['item']} about the delivery to {recipient}"
            yield _event_fault("mismatch", event, found, f"{speaker}, for whom the item speaks")
            return
        said_by = manifest.from_
        if item["document"]["digest"] not in self.accepted or said_by in (speaker, recipient):
            return
        # An update may add recipients: their mailboxes stand in its own acceptance.
        if any(owners.get(recipient) == said_by for owners in self.owners.values()):
            return
        if self.facts.may_sign(said_by, recipient, at) is None:
            found = f"item {item['item']} by {said_by} about the delivery to {recipient}"
            yield _event_fault("policy", event, found, "the recipient, its mailbox's owner or a mandated hub")

    def _notice_faults(self, message: Message) -> Iterator[Fault]:
        known = {*self.accepted, *self.recorded}
        concerned = False
        for position, item in enumerate(self.notices[message.signed.digest].items):
            digest = getattr(item.concerns, "digest", None)
            if digest not in known:
                continue
            concerned = True
            events = self.accepted.get(digest)
            if item.event.value != "accepted" or events is None or events[0].body.get("part", 1) != 1:
                continue
            told = events[0].leaf.hex(), at_of(events[0].body)
            if (item.leaf, item.first_accepted_at) != told:
                found = f"item {position}: leaf {item.leaf}, accepted at {item.first_accepted_at}"
                yield fault("mismatch", message, found, f"leaf {told[0]}, accepted at {told[1]}")
            if item.log_by is not None:
                yield from self._promise_faults(message, digest, item.log_by, events[0])
            yield from self._addressed_faults(message, digest, () if item.recipients is None else item.recipients.list)
        if not concerned:
            yield fault("unused", message, "nothing about a document or status here", "a notice that belongs here")

    def _promise_faults(self, message: Message, digest: str, log_by: datetime, first: EventLine) -> Iterator[Fault]:
        """Until when the log was to hold an acceptance is promised once, in the same words, and not before it."""
        told = parse_rfc3339(first.body["log_by"]) if "log_by" in first.body else log_by
        promised = self._promised.setdefault(digest, told)
        if log_by != promised or log_by < at_of(first.body):
            found = f"log_by {log_by.isoformat()}"
            expected = f"one promise for {digest}, as {promised.isoformat()}, not before {first.body['at']}"
            yield fault("mismatch", message, found, expected)

    def _addressed_faults(
        self, message: Message, digest: str, recipients: Iterable[SlipRecipient | NoticeRecipient]
    ) -> Iterator[Fault]:
        """Recipients are written as the acceptance tells, unless it does not name them, or is one of before."""
        told = self.addressed.get(digest, {})
        for one in recipients:
            written = None if one.addressed_as == one.code else written_as(one.addressed_as)
            if one.code in told and told[one.code] != written:
                found = f"{one.code} addressed as {one.addressed_as[:80]}"
                yield fault("mismatch", message, found, "how its acceptance in the log tells")

    def _slip_faults(self, message: Message, slip: Slip) -> Iterator[Fault]:
        events = self.accepted.get(slip.document.digest)
        if events is None:
            yield fault("unused", message, f"document {slip.document.id}", "a document of this bundle")
            return
        first = events[0]
        told = {
            "from": first.body["document"]["from"],
            "id": first.body["document"]["id"],
            "accepted_at": at_of(first.body),
            "leaf": first.leaf.hex(),
        }
        said = {
            "from": slip.document.from_,
            "id": str(slip.document.id),
            "accepted_at": slip.accepted_at,
            "leaf": slip.leaf,
        }
        for name, value in said.items():
            if told[name] != value:
                yield fault("mismatch", message, f"{name} {value}", f"{told[name]}, as the log says")
        yield from self._promise_faults(message, slip.document.digest, slip.log_by, first)
        yield from self._addressed_faults(message, slip.document.digest, slip.recipients or ())
        line = self.bundle.by_thumbprint.get(bytes.fromhex(first.body["thumbprint"]))
        if line is None or b64decode(slip.certificate) != line.der:
            yield fault("mismatch", message, "another certificate", "that of the document's signer")
        publishes = self.dispatched.get(slip.document.digest, [])
        named = None if slip.recipients is None else [one.code for one in slip.recipients]
        if not any(
            event.body["attempt"] == slip.attempt and (named is None or event.body.get("recipients") == named)
            for event in publishes
        ):
            yield fault("missing", message, f"no publish {slip.attempt} that fits", "its dispatch in the log")

    def _event_faults(self, event: EventLine) -> Iterator[Fault]:
        body = event.body
        match body["event"]:
            case "accepted":
                digest = body["document"]["digest"]
                fits = digest in self.documents or digest in self.withheld
                wanted = "its signed document, or why it is withheld"
            case "status_recorded":
                digest = body["message"]["digest"]
                about = [item for item in body["items"] if item["document"]["digest"] in self.accepted]
                if not about:
                    yield _event_fault("unused", event, "statuses of other documents", "a document of this bundle")
                    return
                fits = digest in self.statuses or digest in self.withheld
                wanted = "its signed status message, or why it is withheld"
            case "dispatched":
                digest = body["message"]["digest"]
                fits = digest in self.accepted or digest in self.recorded or digest in self.notices
                wanted = "a message of this bundle"
            case "overdue" | "rerouted":
                fits, wanted = body["document"]["digest"] in self.accepted, "a document of this bundle"
            case "operator_action":
                fits, wanted = body["target"] in self._names, "an action on a document of this bundle"
            case "directory_changed":
                fits = not self._concerned.isdisjoint(body["codes"])
                wanted = "an agency that speaks in this bundle"
            case "rejected":
                fits, wanted = body.get("id") in self._names, "a document of this bundle"
            case _:
                fits, wanted = False, "an event about a document of this bundle"
        if not fits:
            reason = "missing" if body["event"] in ("accepted", "status_recorded") else "unused"
            yield _event_fault(reason, event, f"an event {body['event'][:40]} that nothing goes with", wanted)
            return
        codes = self._wanted_of(body)
        if codes is not None and not concerns(body, codes, self.owners):
            yield _event_fault("unused", event, "an event about other recipients", "events of the bundle's scope")

    def _wanted_of(self, body: Mapping[str, Any]) -> frozenset[str] | None:
        """The same for an event; for one about several documents everybody whom one of them lets in."""
        about = [body.get("document") or body.get("message") or {}, *(one["document"] for one in body.get("items", ()))]
        digests = {one["digest"] for one in about if one.get("digest") in self.accepted}
        found = [self.wanted(digest) for digest in digests]
        if not found or None in found:
            return None
        return frozenset(code for one in found if one is not None for code in one)

    def _spare_faults(self) -> Iterator[Fault]:
        """Certificates, statements and gaps that nothing needs."""
        used = {message.signed.thumbprint for message in self._messages()}
        used |= {bytes.fromhex(event.body["thumbprint"]) for event in self.events.get("accepted", [])}
        used |= {bytes.fromhex(event.body["thumbprint"]) for event in self.events.get("status_recorded", [])}
        for line in self.bundle.certificates:
            if line.thumbprint not in used:
                yield Fault(
                    reason="unused",
                    line=line.line,
                    what="certificate",
                    found=f"certificate {line.thumbprint.hex()}",
                    expected="only certificates of who signed something here",
                )
        for one in self.bundle.statements:
            if self._concerned.isdisjoint((one.who, one.agency)):
                yield Fault(
                    reason="unused",
                    line=one.line,
                    what="statement",
                    found=f"{one.kind} of {one.who} for {one.agency}",
                    expected="only statements about who speaks here",
                )
        for gap in self.bundle.withheld:
            events = self.accepted if gap.kind == "document" else self.recorded
            if gap.digest not in events or gap.digest in self.documents or gap.digest in self.statuses:
                yield Fault(
                    reason="unused",
                    line=gap.line,
                    what="withheld",
                    found=f"{gap.kind} {gap.digest}",
                    expected="a message of which the log tells and that is not here",
                )

    @cached_property
    def _names(self) -> frozenset[str]:
        """Ids and digests of the documents."""
        documents = [events[0].body["document"] for events in self.accepted.values()]
        return frozenset(name for one in documents for name in (one["id"], one["digest"]))

    @cached_property
    def _concerned(self) -> frozenset[str]:
        """Codes of everybody who signs, submits or is spoken for."""
        codes = {str(self.bundle.scope.get("recipient"))}
        for message in self._messages():
            if (enrolment := self.facts.enrolment(message.signed.thumbprint)) is not None:
                codes.add(enrolment.code)
        for event in self.events.get("accepted", []):
            codes |= {event.body["document"]["from"], event.body["submitter"]}
        for event in self.events.get("status_recorded", []):
            codes |= {event.body["message"]["from"], event.body["submitter"]}
            codes |= {item["recipient"] for item in event.body["items"]}
        return frozenset(codes)

    def _messages(self) -> Iterator[Message]:
        yield from (*self.bundle.documents, *self.bundle.statuses, *self.bundle.notices, *self.bundle.slips)
        yield self.bundle.seal


def _event_fault(reason: str, event: EventLine, found: str, expected: str) -> Fault:
    return Fault(reason=reason, line=event.line, what=f"event {event.index}", found=found, expected=expected)
