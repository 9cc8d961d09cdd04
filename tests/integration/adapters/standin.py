"""A small scripted exchange on a real RabbitMQ: accepts, delivers, forwards and answers as the contract says.

It keeps nothing durably and checks little; it is what the adapters talk to where the promise is the adapters' own.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import secrets
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import aio_pika
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from adapters.settings import AgencySettings, Served
from schemas import wire
from schemas.certificates import new_private_key, private_key_pem, thumbprint
from schemas.content_layout import accepted_path, stored_path
from schemas.jws import (
    PrivateKey,
    Signed,
    encode_message,
    parse_message,
    sign,
    sign_compact,
)
from schemas.manifest import DocumentManifest, RequestManifest, StatusManifest, parse_manifest
from schemas.slip import SlipRecipient, encode_slip
from schemas.times import new_id, rfc3339
from tests.conftest import Vhost, manage

BROKER = "LT.EXCHANGE"
# RabbitMQ's users belong to the whole server: the codes of a test run are its own.
RUN = f"T{secrets.token_hex(3).upper()}"
MINISTRY, PROVINCE, HUB = f"G22.{RUN}", f"H53.{RUN}", f"H53.W00.{RUN}"
LEAF = "0" * 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """A key with the certificate that the paper authority issued for it."""

    code: str
    key: PrivateKey
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def mark(self) -> bytes:
        return thumbprint(self.certificate)

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "key.pem").write_bytes(private_key_pem(self.key))
        (folder / "certificate.pem").write_bytes(self.certificate.public_bytes(Encoding.PEM))


class PaperAuthority:
    """Issues certificates for tests."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.root = _certificate("Paper root", self._key.public_key(), "Paper root", self._key, authority=True)

    def issue(self, code: str, *, days: int = 30, kind: str = "P-256") -> Identity:
        key = new_private_key(kind)
        certificate = _certificate(code, key.public_key(), "Paper root", self._key, days=days)
        return Identity(code=code, key=key, certificate=certificate)


def _certificate(
    name: str,
    public_key: Any,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    authority: bool = False,
    days: int = 30,
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=40))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not authority,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=authority,
                crl_sign=authority,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
    )
    return builder.sign(issuer_key, SHA256())


@dataclass
class StandIn:
    """The exchange; `agency` enrols one and gives its settings."""

    vhost: Vhost
    folder: Path
    authority: PaperAuthority = field(default_factory=PaperAuthority)
    identities: dict[str, Identity] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    # What came in, in order: (submitter, routing key, message_id, signed).
    submitted: list[tuple[str, str, str, Signed]] = field(default_factory=list)
    documents: dict[tuple[str, str], Signed] = field(default_factory=dict)
    # (document id, recipient) → codes reported, each with its digest of the status message.
    reported: dict[tuple[str, str], list[tuple[str, str]]] = field(default_factory=lambda: defaultdict(list))
    requests: list[RequestManifest] = field(default_factory=list)
    # Codes of the catalogue to reject the next documents with.
    rejections: list[str] = field(default_factory=list)
    answering: bool = True
    delivering: bool = True
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.broker = self.authority.issue(BROKER)
        (self.folder / "roots").mkdir(parents=True, exist_ok=True)
        (self.folder / "roots" / "root.pem").write_bytes(self.authority.root.public_bytes(Encoding.PEM))
        (self.folder / "broker.pem").write_bytes(self.broker.certificate.public_bytes(Encoding.PEM))
        self.users: list[str] = []

    async def start(self) -> None:
        self.connection = await aio_pika.connect(self.vhost.amqp_url)
        self.channel = await self.connection.channel(on_return_raises=True)
        self.submit = await self.channel.declare_exchange(wire.SUBMIT, "topic", durable=True)
        self.deliver = await self.channel.declare_exchange(wire.DELIVER, "direct", durable=True)
        reading = await self.connection.channel()
        await reading.set_qos(prefetch_count=100)
        queues = {}
        for name in (wire.INTAKE_URGENT, wire.INTAKE_NORMAL, wire.STATUS):
            queues[name] = await self.channel.declare_queue(
                name, durable=True, arguments={"x-queue-type": "quorum", "x-delivery-limit": 20}
            )
        for name, key in wire.BINDINGS:
            await queues[name].bind(self.submit, key)
        for name in queues:
            queue = await reading.get_queue(name)
            await queue.consume(self._on_message)

    async def stop(self) -> None:
        await self.connection.close()
        for user in dict.fromkeys(self.users):
            manage(self.vhost.management_url, "DELETE", f"/api/users/{user}")

    async def agency(self, code: str, *, serves: Mapping[str, bool] | None = None, **more: Any) -> AgencySettings:
        """Enrol: a user of its own, a mailbox, key and certificate. `serves`: code → whether its own key is kept."""
        user = code
        password = secrets.token_hex(8)
        manage(self.vhost.management_url, "PUT", f"/api/users/{user}", {"password": password, "tags": ""})
        escaped = code.replace(".", "\\.")
        manage(
            self.vhost.management_url,
            "PUT",
            f"/api/permissions/{self.vhost.name}/{user}",
            {"configure": "^$", "write": "^lt\\.submit$", "read": f"^agency\\.{escaped}$"},
        )
        self.users.append(user)
        await self.mailbox(code)
        folder = self.folder / code
        identity = self.enrol(code)
        identity.write(folder)
        (folder / "password").write_text(password)
        served = []
        for one, own_key in (serves or {}).items():
            self.owners[one] = code
            key = self.enrol(one)
            key.write(folder / one)
            served.append(
                Served(
                    code=one,
                    key_file=folder / one / "key.pem" if own_key else None,
                    certificate_file=folder / one / "certificate.pem" if own_key else None,
                )
            )
        parts = urlsplit(self.vhost.amqp_url)
        return AgencySettings(
            code=code,
            submitter=code,
            amqp_url=urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])),
            amqp_password_file=folder / "password",
            key_file=folder / "key.pem",
            certificate_file=folder / "certificate.pem",
            roots=self.folder / "roots",
            broker_certificate_file=self.folder / "broker.pem",
            content_dir=self.folder / "content",
            data_dir=folder / "data",
            served=tuple(served),
            **more,
        )

    def enrol(self, code: str) -> Identity:
        self.identities[code] = self.authority.issue(code)
        self.owners.setdefault(code, code)
        return self.identities[code]

    async def mailbox(self, code: str) -> None:
        queue = await self.channel.declare_queue(wire.mailbox(code), durable=True)
        await queue.bind(self.deliver, code)

    async def lose_mailbox(self, code: str) -> None:
        await self.channel.queue_delete(wire.mailbox(code))

    # ── What it does ──

    async def _on_message(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        async with message.process():
            parsed = parse_message(message.body, slip_allowed=False)
            user = message.user_id or ""
            self.submitted.append((user, message.routing_key or "", message.message_id or "", parsed.signed))
            manifest = parse_manifest(parsed.signed.payload)
            if isinstance(manifest, DocumentManifest):
                await self._document(parsed.signed, manifest, user, parsed.content)
            elif isinstance(manifest, StatusManifest):
                await self._status(parsed.signed, manifest)
            elif isinstance(manifest, RequestManifest):
                self.requests.append(manifest)
        self.wake()

    def wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    async def until(self, condition: Any, *, seconds: float = 20.0) -> Any:
        """Wait until the exchange has seen what makes `condition()` true."""
        async with asyncio.timeout(seconds):
            while not (found := condition()):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.changed.wait(), 0.2)
            return found

    async def _document(
        self, signed: Signed, manifest: DocumentManifest, user: str, content: Mapping[str, bytes]
    ) -> None:
        reference = {"from": manifest.from_, "id": str(manifest.id), "digest": signed.digest}
        if self.rejections:
            code = self.rejections.pop(0)
            detail = {"field": "to.0", "found": "H99", "expected": "a code", "en": "No.", "vi": "Không."}
            await self.notice(user, {"event": "rejected", "concerns": reference, "error": code, "detail": detail})
            return
        first = (manifest.from_, str(manifest.id)) not in self.documents
        self.documents[manifest.from_, str(manifest.id)] = signed
        for part in manifest.parts:
            if part.sha256 not in content:
                source = stored_path(self.folder / "content", user, part.sha256)
                target = accepted_path(self.folder / "content", part.sha256)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(source.read_bytes())
        if self.answering:
            recipients = [{"code": c, "addressed_as": c, "owner": self.owners[c]} for c in manifest.to[:500]]
            await self.notice(
                user,
                {
                    "event": "accepted",
                    "concerns": reference,
                    "first_accepted_at": rfc3339(datetime.now(UTC)),
                    "recipients": {"count": len(manifest.to), "list": recipients},
                },
            )
        if first and self.delivering:
            await self.dispatch(signed, manifest.to, content=content)

    async def dispatch(
        self, signed: Signed, to: Iterable[str], *, content: Mapping[str, bytes] | None = None, **slip: Any
    ) -> None:
        """Deliver a document (or status) to the mailboxes of `to`; hubs get their recipients in the slip."""
        by_owner: dict[str, list[str]] = defaultdict(list)
        for code in to:
            by_owner[self.owners[code]].append(code)
        for owner, codes in by_owner.items():
            named = None if codes == [owner] else codes
            await self.publish(owner, self.wrapped(signed, named, content=content, **slip))

    def wrapped(
        self,
        signed: Signed,
        recipients: Iterable[str] | None = None,
        *,
        content: Mapping[str, bytes] | None = None,
        signer: Identity | None = None,
        about: Mapping[str, str] | None = None,
    ) -> bytes:
        """A message as the exchange delivers it. `signer` and `about` make false slips."""
        manifest = json.loads(signed.payload)
        now = datetime.now(UTC)
        author = next(one for one in self.identities.values() if one.mark == signed.thumbprint)
        told = about or {"from": manifest["from"], "id": manifest["id"], "digest": signed.digest}
        payload = encode_slip(
            from_=told["from"],
            id=told["id"],
            digest=told["digest"],
            accepted_at=now,
            attempt=1,
            certificate=base64.b64encode(author.der).decode(),
            leaf=LEAF,
            log_by=now + timedelta(minutes=1),
            recipients=None
            if recipients is None
            else [SlipRecipient(code=one, addressed_as=one) for one in recipients],
        )
        by = signer or self.broker
        slip = sign_compact(payload, key=by.key, thumbprint=by.mark)
        return encode_message(signed, content=content or {}, slip=slip)

    async def publish(self, owner: str, body: bytes) -> None:
        await self.deliver.publish(
            aio_pika.Message(body, delivery_mode=2, message_id=secrets.token_hex(8)), routing_key=owner
        )

    async def _status(self, signed: Signed, manifest: StatusManifest) -> None:
        for item in manifest.items:
            recipient = item.for_ or manifest.from_
            self.reported[str(item.concerns.id), recipient].append((str(item.code), signed.digest))
        sender = manifest.items[0].concerns.from_
        to = list(manifest.items[0].to) if manifest.items[0].code == "13" else [sender]
        for owner in {self.owners[code] for code in to if code in self.owners}:
            await self.publish(owner, self.wrapped(signed))

    async def notice(self, owner: str, *items: Mapping[str, Any], signer: Identity | None = None) -> None:
        now = datetime.now(UTC)
        manifest = {
            "spec": "lienthong/1",
            "kind": "notice",
            "id": str(new_id(now)),
            "from": BROKER,
            "sent_at": rfc3339(now),
            "items": [{"at": rfc3339(now), **item} for item in items],
        }
        by = signer or self.broker
        signed = sign(json.dumps(manifest).encode(), key=by.key, thumbprint=by.mark)
        await self.publish(owner, encode_message(signed))

    def codes(self, id: str, recipient: str) -> list[str]:
        """The statuses reported about a document by a recipient, each once, in order."""
        return list(dict.fromkeys(code for code, _ in self.reported.get((id, recipient), [])))
