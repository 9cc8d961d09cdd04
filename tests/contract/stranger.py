"""An agency's software written by a stranger: from the wire contract alone, with other libraries.

AMQP by amqpstorm, JOSE by jwcrypto, JSON by the standard library. It imports nothing of Lienthong, on purpose: what it
can do, anybody can do.
"""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

import amqpstorm
from jwcrypto import jwk, jws

MEDIA_TYPE = "application/vnd.lienthong+json"


def b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def thumbprint(certificate_der: bytes) -> str:
    return b64url(hashlib.sha256(certificate_der).digest())


def pem_to_der(pem: str) -> bytes:
    body = "".join(line for line in pem.splitlines() if not line.startswith("-----"))
    return base64.b64decode(body)


@dataclass
class Received:
    """One message from the mailbox, verified."""

    manifest: dict[str, Any]
    digest: str
    content: dict[str, bytes]
    slip: dict[str, Any] | None
    headers: dict[str, Any]


@dataclass
class Stranger:
    """One agency's connection."""

    code: str
    url: str
    password: str
    key_pem: bytes
    certificate_pem: str
    broker_certificate_pem: str
    broker_code: str
    connection: Any = field(init=False)
    channel: Any = field(init=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        self.connection = amqpstorm.Connection(
            parts.hostname,
            self.code,
            self.password,
            port=parts.port or 5672,
            virtual_host=unquote(parts.path[1:]) or "/",
        )
        self.channel = self.connection.channel()
        self.channel.confirm_deliveries()
        self.key = jwk.JWK.from_pem(self.key_pem)

    def close(self) -> None:
        self.connection.close()

    def sign(self, manifest: dict[str, Any]) -> dict[str, str]:
        """A flattened JWS over the manifest's bytes."""
        alg = {"EC": "ES256", "RSA": "PS256", "OKP": "EdDSA"}[self.key["kty"]]
        header = {"alg": alg, "typ": "lienthong+jws", "x5t#S256": thumbprint(pem_to_der(self.certificate_pem))}
        token = jws.JWS(json.dumps(manifest, ensure_ascii=False).encode())
        token.allowed_algs = [alg]
        token.add_signature(self.key, protected=json.dumps(header))
        signed: dict[str, str] = json.loads(token.serialize())
        return signed

    def document(
        self, to: list[str], parts: list[tuple[str, bytes]], **fields: Any
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """A manifest of a new document, and its inline content."""
        described = [
            {
                "name": name,
                "media_type": "application/pdf",
                "size": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
                "role": "document",
            }
            for name, data in parts
        ]
        manifest = {
            "spec": "lienthong/1",
            "kind": "document",
            "id": str(uuid.uuid4()),
            "from": self.code,
            "sent_at": now(),
            "action": "new",
            "to": to,
            "document": {
                "number": "7",
                "notation": f"{self.code}-VP",
                "issued_on": datetime.now(UTC).date().isoformat(),
                "type": "Công văn",
                "subject": "Về việc kết nối của một phần mềm khác",
                "signer": {"name": "Nguyễn Văn A", "position": "Chánh Văn phòng"},
                "priority": 0,
            },
            "parts": described,
        } | fields
        content = {hashlib.sha256(data).hexdigest(): base64.b64encode(data).decode() for _, data in parts}
        return manifest, content

    def status(self, items: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "spec": "lienthong/1",
            "kind": "status",
            "id": str(uuid.uuid4()),
            "from": self.code,
            "sent_at": now(),
            "items": items,
        }

    def publish(self, body: bytes, routing_key: str, kind: str, **properties: Any) -> str:
        """Publish as the contract says; the answer is the AMQP message id. Waits for the broker's confirm."""
        message_id = str(uuid.uuid4())
        described = {
            "message_id": message_id,
            "user_id": self.code,
            "message_type": kind,
            "content_type": MEDIA_TYPE,
            "delivery_mode": 2,
            "priority": 0,
        } | properties
        message = amqpstorm.Message(
            self.channel, body=body, properties={k: v for k, v in described.items() if v is not None}
        )
        assert message.publish(routing_key, exchange="lt.submit", mandatory=True)
        return message_id

    def submit(self, manifest: dict[str, Any], content: dict[str, str] | None = None, **members: Any) -> str:
        """Sign a manifest and publish it; returns its digest."""
        signed = self.sign(manifest)
        self.send_signed(signed, manifest, content, **members)
        return hashlib.sha256(unb64url(signed["payload"])).hexdigest()

    def send_signed(
        self, signed: dict[str, str], manifest: dict[str, Any], content: dict[str, str] | None = None, **members: Any
    ) -> str:
        body = json.dumps(signed | ({"content": content} if content else {}) | members).encode()
        kind = manifest["kind"]
        urgent = kind == "document" and manifest["document"].get("priority", 0) > 0
        key = (
            f"document.{'urgent' if urgent else 'normal'}.{self.code}" if kind == "document" else f"{kind}.{self.code}"
        )
        return self.publish(body, key, kind, priority=5 if urgent else 0)

    def take(self) -> Received | None:
        """The next message of the mailbox, verified and acknowledged; None if there is none now."""
        message = self.channel.basic.get(f"agency.{self.code}", no_ack=False)
        if not message:
            return None
        received = self.verify(json.loads(message.body), dict(message.properties.get("headers") or {}))
        message.ack()
        return received

    def verify(self, envelope: dict[str, Any], headers: dict[str, Any]) -> Received:
        """Check a delivered message: the slip by the broker, the message by the certificate that the slip carries."""
        payload = unb64url(envelope["payload"])
        manifest = json.loads(payload)
        digest = hashlib.sha256(payload).hexdigest()
        slip = None
        signer_der = pem_to_der(self.broker_certificate_pem)
        if "slip" in envelope:
            slip = self._verified_slip(envelope["slip"])
            signer_der = base64.b64decode(slip["certificate"])
        header = json.loads(unb64url(envelope["protected"]))
        assert header["x5t#S256"] == thumbprint(signer_der)
        assert header["typ"] == "lienthong+jws"
        flattened = {name: envelope[name] for name in ("protected", "payload", "signature")}
        self._check(json.dumps(flattened), signer_der, header["alg"])
        content = {name: base64.b64decode(data) for name, data in envelope.get("content", {}).items()}
        for name, data in content.items():
            assert hashlib.sha256(data).hexdigest() == name
        return Received(manifest=manifest, digest=digest, content=content, slip=slip, headers=headers)

    def _verified_slip(self, text: str) -> dict[str, Any]:
        header = json.loads(unb64url(text.split(".")[0]))
        broker_der = pem_to_der(self.broker_certificate_pem)
        assert header["x5t#S256"] == thumbprint(broker_der)
        return json.loads(self._check(text, broker_der, header["alg"]))  # type: ignore[no-any-return]

    def _check(self, serialized: str, certificate_der: bytes, alg: str) -> bytes:
        pem = b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(certificate_der) + b"-----END CERTIFICATE-----\n"
        token = jws.JWS()
        token.allowed_algs = [alg]
        token.deserialize(serialized, jwk.JWK.from_pem(pem))
        payload: bytes = token.payload
        return payload
