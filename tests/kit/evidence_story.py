"""A small exchange on paper: signed messages, events, a tree and checkpoints, made without any server.

For tests of bundles. Agencies: BO (a ministry, the sender), TINH (a province, and the hub of XA), XA (a commune without
a connection), SO (an office whose key the exchange keeps).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from broker.evidence.bundle.assemble import assemble, scope_of
from broker.evidence.bundle.material import Entry, Head, Material, Signer
from broker.evidence.merkle import Node, consistency_proof, inclusion_proof, leaf_hash, root_of, root_of_tree
from broker.evidence.notes import Checkpoint, VerifierKey, parse_verifier_key, sign_note, verifier_key
from broker.identity import BrokerIdentity
from schemas.certificates import thumbprint
from schemas.delivery_events import RecordedStatus, dispatched, overdue, status_recorded
from schemas.events import Event
from schemas.exchange_events import directory_changed, mailbox_reset
from schemas.intake_events import accepted
from schemas.jws import Signed, sign
from schemas.manifest import StatusCode, parse_manifest
from schemas.times import new_id, parse_rfc3339, rfc3339

NOON = datetime(2026, 3, 12, 5, tzinfo=UTC)
EXCHANGE = "LT.EXCHANGE"
LOG = "lt.exchange/log"


@dataclass(frozen=True, slots=True)
class Named:
    from_: str
    id: UUID
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    code: str
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def thumbprint(self) -> bytes:
        return thumbprint(self.certificate)


@dataclass(slots=True)
class Paper:
    """What has been signed and logged so far."""

    offices: dict[str, Office] = field(default_factory=dict)
    logged: list[tuple[str, Event]] = field(default_factory=list)
    """(origin, event)"""
    origin: str = "lt.exchange/2026"
    documents: dict[str, bytes] = field(default_factory=dict)
    statuses: dict[str, bytes] = field(default_factory=dict)
    notices: dict[str, bytes] = field(default_factory=dict)
    addressed: dict[tuple[str, str], str] = field(default_factory=dict)
    """By digest and recipient, where it was not by the code."""
    log_key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    ca_key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    clock: datetime = NOON
    minutes: int = 0

    # ── Directory ────────────────────────────────────────────────────────────────────────────────
    def root(self) -> x509.Certificate:
        return _certificate("root", self.ca_key, self.ca_key, "root", authority=True)

    def enrol(self, code: str, *, custody: str = "agency", level: str = "ministry", hub: str | None = None) -> Office:
        key = ec.generate_private_key(ec.SECP256R1())
        office = Office(code=code, key=key, certificate=_certificate(code, key, self.ca_key, "root"))
        self.offices[code] = office
        facts: dict[str, str | int | bool | None] = {"level": level, "hub": hub}
        self.log(directory_changed(at=self.now(), revision=1, change="agency.added", codes=[code], facts=facts))
        facts = {"thumbprint": office.thumbprint.hex(), "custody": custody}
        self.log(directory_changed(at=self.now(), revision=2, change="certificate.enrolled", codes=[code], facts=facts))
        return office

    # ── Log ──────────────────────────────────────────────────────────────────────────────────────
    def now(self) -> datetime:
        self.clock += timedelta(seconds=1)
        return self.clock

    def log(self, told: list[Event]) -> list[Event]:
        self.logged += ((self.origin, event) for event in told)
        return told

    def noise(self, count: int) -> None:
        """Events about other things."""
        for number in range(count):
            self.log([mailbox_reset(at=self.now(), owner="OTHER", generation=number)])

    def keys(self) -> tuple[VerifierKey, ...]:
        return (parse_verifier_key(self.vkey()),)

    def vkey(self) -> str:
        return verifier_key(LOG, self.log_key.public_key())

    def leaves(self, origin: str, size: int | None = None) -> list[bytes]:
        return [leaf_hash(event.body) for name, event in self.logged if name == origin][:size]

    def note(self, origin: str | None = None, size: int | None = None) -> bytes:
        leaves = self.leaves(origin or self.origin, size)
        text = Checkpoint(origin or self.origin, len(leaves), root_of(leaves)).encode()
        return sign_note(text, LOG, self.log_key)

    # ── Messages ─────────────────────────────────────────────────────────────────────────────────
    def letter(self, sender: Office, to: list[tuple[str, str]], **fields: Any) -> Named:
        """A document: signed, accepted (recipients are (code, owner)), and handed over.

        `addressed` is what was written for recipients that were not named by their codes; with `before` it is accepted
        as a version did that told neither deadlines nor addresses nor promises.
        """
        concerned: list[Named] = fields.pop("about", [])
        addressed: dict[str, str] = fields.pop("addressed", {})
        before: bool = fields.pop("before", False)
        attempt_named: dict[str, list[str]] = fields.pop("named", {})
        at = self.now()
        manifest = {
            "spec": "lienthong/1",
            "kind": "document",
            "id": str(new_id(at)),
            "from": sender.code,
            "sent_at": rfc3339(at),
            "action": "new",
            "to": [code for code, _ in to],
            "document": {
                "number": "12",
                "notation": "VPCP-TH",
                "issued_on": "2026-03-12",
                "type": "Công văn",
                "subject": "Về việc kết nối",
            },
            "parts": [
                {
                    "name": "công văn.pdf",
                    "media_type": "application/pdf",
                    "size": 3,
                    "sha256": sha256(b"abc").hexdigest(),
                    "role": "document",
                }
            ],
        } | fields
        if concerned:
            manifest |= {"concerns": [_reference(one) for one in concerned], "reason": "sai số liệu", "parts": []}
        signed = self.sign(manifest, sender)
        self.documents[signed.digest] = signed.stored()
        named = Named(sender.code, UUID(str(manifest["id"])), signed.digest)
        self.addressed |= {(signed.digest, code): text for code, text in addressed.items()}
        accepted_at = self.now()
        self.log(
            accepted(
                at=accepted_at,
                document=named,
                action=str(manifest["action"]),
                priority=0,
                test=False,
                sent_at=at,
                submitter=sender.code,
                thumbprint=sender.thumbprint,
                recipients=to,
                parts=[part["sha256"] for part in manifest["parts"]],  # type: ignore[index]
                concerns=concerned,
                due_arrival=None if before else accepted_at + timedelta(hours=4),
                log_by=None if before else accepted_at + timedelta(minutes=1),
                addressed=[addressed.get(code, code) for code, _ in to],
                notice=sender.code,
            )
        )
        direct = [code for code, owner in to if code == owner and code not in attempt_named]
        for start in range(0, len(direct), 500):
            some = direct[start : start + 500]
            self.log([dispatched(at=self.now(), message=named, kind="document", attempt=1, owners=some)])
        for owner, codes in attempt_named.items():
            self.log(
                [dispatched(at=self.now(), message=named, kind="document", attempt=1, owners=[owner], recipients=codes)]
            )
        return named

    def status(self, by: Office, about: Named, code: str, *, for_: str | None = None, **fields: Any) -> Named:
        at = self.now()
        item = {"concerns": _reference(about), "code": code, "at": rfc3339(at)} | fields
        if for_ is not None:
            item["for"] = for_
        manifest = {
            "spec": "lienthong/1",
            "kind": "status",
            "id": str(new_id(at)),
            "from": by.code,
            "sent_at": rfc3339(at),
            "items": [item],
        }
        signed = self.sign(manifest, by)
        self.statuses[signed.digest] = signed.stored()
        named = Named(by.code, UUID(str(manifest["id"])), signed.digest)
        recorded = RecordedStatus(item=0, document=about, recipient=for_ or by.code, code=StatusCode(code), at=at)
        self.log(
            status_recorded(at=self.now(), message=named, submitter=by.code, thumbprint=by.thumbprint, items=[recorded])
        )
        return named

    def notice(self, about: Named, **fields: Any) -> Named:
        """The exchange tells the sender that a document was accepted; `fields` are further ones of the item."""
        exchange = self.offices[EXCHANGE]
        first = next(
            event
            for _, event in self.logged
            if event.kind == "accepted" and json.loads(event.body)["document"]["digest"] == about.digest
        )
        at = self.now()
        manifest = {
            "spec": "lienthong/1",
            "kind": "notice",
            "id": str(new_id(at)),
            "from": EXCHANGE,
            "sent_at": rfc3339(at),
            "items": [
                {
                    "event": "accepted",
                    "concerns": _reference(about),
                    "at": rfc3339(first.at),
                    "first_accepted_at": rfc3339(first.at),
                    "leaf": first.leaf.hex(),
                    "log_by": rfc3339(first.at + timedelta(minutes=1)),
                }
                | fields
            ],
        }
        signed = self.sign(manifest, exchange)
        self.notices[signed.digest] = signed.stored()
        return Named(EXCHANGE, UUID(str(manifest["id"])), signed.digest)

    def sign(self, manifest: dict[str, Any], by: Office) -> Signed:
        payload = json.dumps(manifest, ensure_ascii=False).encode()
        parse_manifest(payload)
        return sign(payload, key=by.key, thumbprint=by.thumbprint)

    # ── Bundle ───────────────────────────────────────────────────────────────────────────────────
    def material(self, *, since: bytes | None = None, since_size: int = 0, proofs: bool = True) -> Material:
        """Everything but the noise; `proofs` only where the caller does not make them itself."""
        heads: dict[int, Head] = {}
        origins = sorted({origin for origin, _ in self.logged})
        material = Material(heads=heads)
        for number, origin in enumerate(origins):
            leaves = self.leaves(origin)
            node = node_of(leaves)
            continued = since is not None and origin == self.origin
            heads[number] = Head(
                origin_id=number,
                origin=origin,
                size=len(leaves),
                note=self.note(origin).decode(),
                since=since.decode() if since is not None and continued else None,
                proof=tuple(consistency_proof(since_size, len(leaves), node)) if continued else (),
            )
            told = [event for name, event in self.logged if name == origin]
            for position, event in enumerate(told):
                if event.kind == "mailbox_reset":
                    continue
                entry = Entry(body=event.body, value=json.loads(event.body), origin_id=number, position=position)
                if entry.value["event"] == "directory_changed" and not self._needed(entry.value):
                    continue
                material.entries[number, position] = entry
                if proofs:
                    material.paths[number, position] = inclusion_proof(position, len(leaves), node)
        material.documents |= self.documents
        material.statuses |= self.statuses
        material.notices |= self.notices
        material.addressed |= self.addressed
        for office in self.offices.values():
            material.signers[office.thumbprint] = Signer(
                thumbprint=office.thumbprint,
                der=office.certificate.public_bytes(Encoding.DER),
                chain=(),
                agency_id=0,
                code=office.code,
            )
        for entry in material.entries.values():
            if entry.value["event"] == "accepted" and entry.value.get("part", 1) == 1:
                promised = parse_rfc3339(entry.value["at"]) + timedelta(minutes=1)
                material.log_by[entry.value["document"]["digest"]] = promised
        return material

    def identity(self) -> BrokerIdentity:
        exchange = self.offices[EXCHANGE]
        return BrokerIdentity.of(code=EXCHANGE, key=exchange.key, certificate=exchange.certificate)

    def bundle(self, about: Named, *, since: bytes | None = None, since_size: int = 0) -> bytes:
        material = self.material(since=since, since_size=since_size)
        return assemble(material, scope=scope_of(_reference(about), None), identity=self.identity(), made_at=self.now())

    def _needed(self, body: dict[str, Any]) -> bool:
        return body["change"] != "agency.added" or body["facts"]["level"] == "exchange" or bool(body["facts"]["hub"])


@dataclass(frozen=True, slots=True)
class Told:
    """A whole story, ready to be put into a bundle."""

    paper: Paper
    letter: Named
    first_note: bytes
    first_size: int


def short_story(**fields: Any) -> Told:
    """A document to one office, which has received it; `fields` as `Paper.letter` takes them."""
    paper = Paper()
    paper.enrol(EXCHANGE, level="exchange")
    ministry, province = paper.enrol("BO"), paper.enrol("TINH", level="province")
    letter = paper.letter(ministry, [("TINH", "TINH")], **fields)
    first_size, first_note = len(paper.leaves(paper.origin)), paper.note()
    paper.notice(letter)
    paper.status(province, letter, "01")
    return Told(paper, letter, first_note, first_size)


def story(*, noise: int = 3) -> Told:
    """A document to three offices: received, received through a hub, and by an office whose key the exchange keeps;
    then recalled, and one of them agrees."""
    paper = Paper()
    paper.enrol(EXCHANGE, level="exchange")
    ministry = paper.enrol("BO")
    province = paper.enrol("TINH", level="province")
    paper.enrol("XA", level="commune", hub="TINH")
    office = paper.enrol("SO", level="department", custody="broker")
    del paper.offices["XA"]
    # Nobody signs with the commune's own key.
    paper.logged = [one for one in paper.logged if not _enrols(one[1], "XA")]
    paper.noise(noise)
    letter = paper.letter(ministry, [("TINH", "TINH"), ("SO", "SO"), ("XA", "TINH")], named={"TINH": ["TINH", "XA"]})
    paper.notice(letter)
    first_size, first_note = len(paper.leaves(paper.origin)), paper.note()
    paper.noise(noise)
    paper.status(province, letter, "01")
    paper.status(province, letter, "01", for_="XA")
    paper.status(office, letter, "01")
    paper.status(office, letter, "03")
    paper.log(
        overdue(at=paper.now(), document=letter, what="arrival", due=NOON + timedelta(minutes=1), recipients=["XA"])
    )
    recall = paper.letter(ministry, [("TINH", "TINH"), ("SO", "SO")], about=[letter], action="recall")
    paper.status(office, letter, "15", answers=_reference(recall))
    paper.noise(noise)
    return Told(paper, letter, first_note, first_size)


def node_of(leaves: list[bytes]) -> Node:
    """Subtree hashes straight from the leaves."""

    def node(level: int, index: int) -> bytes:
        return root_of(leaves[index << level : (index + 1) << level])

    assert root_of_tree(len(leaves), node) == root_of(leaves)
    return node


def _enrols(event: Event, code: str) -> bool:
    body = json.loads(event.body)
    return body.get("change") == "certificate.enrolled" and body["codes"] == [code]


def _reference(named: Named) -> dict[str, str]:
    return {"from": named.from_, "id": str(named.id), "digest": named.digest}


def _certificate(
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    by: ec.EllipticCurvePrivateKey,
    issuer: str,
    *,
    authority: bool = False,
) -> x509.Certificate:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOON - timedelta(days=1))
        .not_valid_after(NOON + timedelta(days=365))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .sign(by, hashes.SHA256())
    )
