"""The offices of the benchmark, their keys, and the documents that they sign: the same for every contender and round.

Codes are different in every run, because AMQP users belong to the whole server. Senders and recipients are different
offices, so that notices (which contenders gather differently) never lie in the mailboxes where copies are counted.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from schemas.certificates import load_certificate, new_private_key, thumbprint
from schemas.jws import PrivateKey, encode_message, sign
from schemas.times import new_id, rfc3339

SENDERS = 6
RECIPIENTS = 30
COPIES = 3
"""Recipients of each document."""
PART_BYTES = 900
"""Size of the inline part; with manifest, signature and base64 a message has about 3 kB."""
KEY_KIND = "P-256"


@dataclass(frozen=True, kw_only=True, slots=True)
class Office:
    """One agency: its code, its key, and the password of its AMQP user."""

    code: str
    key: PrivateKey = field(repr=False)
    password: str = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Signer:
    """An office with the certificate that was enrolled for it."""

    office: Office
    thumbprint: bytes

    @property
    def code(self) -> str:
        return self.office.code


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedDocument:
    """One message, ready to be submitted, and whom it is for."""

    sender: str
    body: bytes
    id: str
    digest: str
    to: tuple[str, ...]

    def reference(self) -> dict[str, str]:
        """As a status names it."""
        return {"from": self.sender, "id": self.id, "digest": self.digest}


@dataclass(frozen=True, kw_only=True, slots=True)
class Country:
    """Everybody who takes part."""

    senders: tuple[Office, ...]
    recipients: tuple[Office, ...]

    @property
    def offices(self) -> tuple[Office, ...]:
        return self.senders + self.recipients


def found_country() -> Country:
    """Offices with fresh keys, codes and passwords."""
    prefix = f"B{secrets.token_hex(3).upper()}"

    def office(name: str) -> Office:
        return Office(code=f"{prefix}.{name}", key=new_private_key(KEY_KIND), password=secrets.token_hex(12))

    return Country(
        senders=tuple(office(f"S{number:02}") for number in range(SENDERS)),
        recipients=tuple(office(f"R{number:02}") for number in range(RECIPIENTS)),
    )


def signer(office: Office, certificate_pem: bytes) -> Signer:
    """The office with its certificate."""
    return Signer(office=office, thumbprint=thumbprint(load_certificate(certificate_pem)))


def sign_documents(senders: Sequence[Signer], recipients: Sequence[str], count: int) -> list[SignedDocument]:
    """`count` documents, senders by turns, each for `COPIES` recipients; every recipient gets as many as any other."""
    turns = itertools.cycle(recipients)
    made = []
    now = datetime.now(UTC)
    for number in range(count):
        moment = now + timedelta(milliseconds=number / 1000)
        to = tuple(itertools.islice(turns, COPIES))
        made.append(_document(senders[number % len(senders)], to, number, moment))
    return made


def _document(by: Signer, to: tuple[str, ...], number: int, now: datetime) -> SignedDocument:
    part = random.randbytes(PART_BYTES)
    sha256 = hashlib.sha256(part).hexdigest()
    id = str(new_id(now))
    manifest: dict[str, Any] = {
        "spec": "lienthong/1",
        "kind": "document",
        "id": id,
        "from": by.code,
        "sent_at": rfc3339(now),
        "action": "new",
        "to": list(to),
        "document": {
            "number": str(number + 1),
            "notation": "BC-VPCP",
            "issued_on": now.date().isoformat(),
            "place": "Hà Nội",
            "type": "Công văn",
            "subject": f"Về việc kết nối, liên thông các hệ thống quản lý văn bản và điều hành, đợt {number + 1}",
            "signer": {"name": "Nguyễn Văn A", "position": "Chánh Văn phòng"},
            "priority": 0,
            "pages": 2,
        },
        "parts": [
            {
                "name": "công văn.pdf",
                "media_type": "application/pdf",
                "size": len(part),
                "sha256": sha256,
                "role": "document",
            }
        ],
    }
    signed = sign(json.dumps(manifest, ensure_ascii=False).encode(), key=by.office.key, thumbprint=by.thumbprint)
    body = encode_message(signed, content={sha256: part})
    return SignedDocument(sender=by.code, body=body, id=id, digest=signed.digest, to=to)


def sign_arrivals(by: Signer, documents: Sequence[SignedDocument], *, items: int) -> list[bytes]:
    """Status messages with which one recipient says that `documents` have arrived (01).

    At most `items` in each message, and only documents of one sender together (contract §2.4).
    """
    made: list[bytes] = []
    for _, group in itertools.groupby(sorted(documents, key=lambda one: one.sender), key=lambda one: one.sender):
        theirs = list(group)
        for start in range(0, len(theirs), items):
            now = datetime.now(UTC)
            manifest = {
                "spec": "lienthong/1",
                "kind": "status",
                "id": str(new_id(now)),
                "from": by.code,
                "sent_at": rfc3339(now),
                "items": [
                    {"concerns": one.reference(), "code": "01", "at": rfc3339(now)}
                    for one in theirs[start : start + items]
                ],
            }
            signed = sign(json.dumps(manifest).encode(), key=by.office.key, thumbprint=by.thumbprint)
            made.append(encode_message(signed))
    return made
