"""Existing office software as it was seen on the wire: raw requests with exactly its headers, and edXML files.

Nothing of the façade is used here: what the client does is written down a second time, from the captures.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import secrets
import socket
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

VIETNAM = timezone(timedelta(hours=7))
NAMESPACE = "http://www.mic.gov.vn/TBT/QCVN_102_2016"
AGENT = "JAVASDKAgent/1.0.0 XRoad/VPCP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    continued: bool
    """The server said 100 Continue first."""

    def json(self) -> dict[str, Any]:
        """The answer, read as the client reads it: as US-ASCII."""
        found = json.loads(self.body.decode("ascii"))
        assert isinstance(found, dict)
        return found


@dataclass(slots=True)
class OfficialClient:
    """The client as it was captured. `signs_all` is what it does with its parameters; captures show three names too."""

    url: str
    system: str
    secret: str
    signs_all: bool = True
    zone: timezone = VIETNAM
    sent: list[bytes] = field(default_factory=list)

    # ── Its methods ──
    def list(self, kind: str = "edoc") -> dict[str, Any]:
        return self.call("/getReceivedEdocList", {"servicetype": "eDoc", "messagetype": kind}).json()

    def get(self, doc_id: str) -> dict[str, Any]:
        return self.call("/getEdoc", {"docId": doc_id, "filePath": "./xml/"}, body=b"{}").json()

    def file(self, doc_id: str) -> bytes:
        answer = self.get(doc_id)
        assert answer["ErrorCode"] == "0", answer
        return base64.b64decode(answer["data"])

    def update(self, doc_id: str, status: str, **more: str) -> dict[str, Any]:
        return self.call("/updateStatus", {"docId": doc_id, "status": status} | more, body=b"{}").json()

    def send(self, file: bytes, sender: str, kind: str = "edoc", **replaced: str | None) -> dict[str, Any]:
        digest = hashlib.sha256(file).digest()
        parameters: dict[str, str | None] = {
            "servicetype": "eDoc",
            "messagetype": kind,
            "from": sender,
            "hash-file": "".join(f"{byte:x}" for byte in digest),
        }
        given = {name: value for name, value in (parameters | replaced).items() if value is not None}
        return self.call(
            "/sendEdoc", given, body=file + b"\r\n", content_type="application/octet-stream", expect=False
        ).json()

    def call(
        self,
        path: str,
        parameters: Mapping[str, str] | None = None,
        *,
        method: str = "POST",
        body: bytes = b"",
        content_type: str = "application/json",
        expect: bool = True,
        at: datetime | None = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> Heard:
        """One request; `headers` replace what the client would say, None leaves a header out."""
        given = self.headers(parameters or {}, content_type=content_type, at=at)
        given |= headers or {}
        parts = urlsplit(self.url)
        lines = [f"{method} {parts.path}{path} HTTP/1.1"]
        if method == "POST":
            given["Content-Length"] = str(len(body))
        if expect and method == "POST" and body:
            given["Expect"] = "100-continue"
        given |= {"Host": parts.netloc, "Connection": "Keep-Alive"}
        lines += [f"{name}: {value}" for name, value in given.items() if value is not None]
        return exchanged(parts.hostname or "", parts.port or 80, "\r\n".join(lines).encode() + b"\r\n\r\n", body)

    def headers(
        self, parameters: Mapping[str, str], *, content_type: str, at: datetime | None = None
    ) -> dict[str, str | None]:
        """The headers of one request, signed."""
        moment = (at or datetime.now(UTC)).astimezone(self.zone)
        stamp = f"{moment:%d%m%YT%H%M%S}+{moment.microsecond // 1000:04d}"
        common = {"systemid": self.system, "timestamp": stamp, "Content-Type": content_type}
        signed = (dict(parameters) | common) if self.signs_all else common
        text = json.dumps(
            {f"XroadVnpt-{name}": value for name, value in signed.items()}, separators=(",", ":"), ensure_ascii=False
        )
        digest = hmac.new(self.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        found: dict[str, str | None] = {f"XroadVnpt-{name}": value for name, value in (parameters | common).items()}
        return found | {
            "Content-Type": content_type,
            "XroadVnpt-sign-header-key": ";".join(signed),
            "XroadVnpt-sign-header": text,
            "XroadVnpt-hash-header": digest,
            "User-Agent": AGENT,
            "XroadVnpt-version": "3.0.201608",
        }


def exchanged(host: str, port: int, head: bytes, body: bytes) -> Heard:
    """Write a request onto a socket as it is, and read one answer. Waits for 100 Continue where it is asked for."""
    with socket.create_connection((host, port), timeout=30) as connection:
        reader = connection.makefile("rb")
        connection.sendall(head)
        continued = False
        if b"expect: 100-continue" in head.lower():
            status, headers = _head(reader)
            if status != 100:
                return Heard(status=status, headers=headers, body=_body(reader, headers), continued=False)
            continued = True
        connection.sendall(body)
        status, headers = _head(reader)
        return Heard(status=status, headers=headers, body=_body(reader, headers), continued=continued)


def _head(reader: Any) -> tuple[int, dict[str, str]]:
    line = reader.readline()
    assert line.startswith(b"HTTP/1.1 "), line
    headers: dict[str, str] = {}
    while (text := reader.readline().strip()) != b"":
        name, _, value = text.partition(b":")
        headers[name.decode().lower()] = value.strip().decode()
    return int(line.split()[1]), headers


def _body(reader: Any, headers: Mapping[str, str]) -> bytes:
    found = reader.read(int(headers.get("content-length", "0")))
    assert isinstance(found, bytes)
    return found


# ── Files ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def edoc(
    sender: str,
    to: Sequence[str],
    *,
    number: str | None = None,
    notation: str = "UBND-VP",
    document_id: str | None = None,
    attachment: bytes = b"%PDF-1.7 cong van",
    subject: str = "Về việc kết nối, liên thông phần mềm",
    business: str = "<edXML:BussinessDocType>0</edXML:BussinessDocType>",
    priority: int = 0,
) -> bytes:
    """An edXML document after the layout of the format."""
    number = number or str(secrets.randbelow(10**8))
    identity = f"<edXML:DocumentId>{document_id}</edXML:DocumentId>" if document_id else ""
    recipients = "".join(f"<edXML:To><edXML:OrganId>{code}</edXML:OrganId></edXML:To>" for code in to)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{secrets.token_hex(8)}.pdf", attachment)
    data = base64.b64encode(packed.getvalue()).decode()
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<edXML xmlns="{NAMESPACE}">
  <edXML:edXMLEnvelope xmlns:edXML="{NAMESPACE}">
    <edXML:edXMLHeader>
      <edXML:MessageHeader>
        <edXML:From><edXML:OrganId>{sender}</edXML:OrganId><edXML:OrganName>Cơ quan gửi</edXML:OrganName></edXML:From>
        {recipients}{identity}
        <edXML:Code>
          <edXML:CodeNumber>{number}</edXML:CodeNumber><edXML:CodeNotation>{notation}</edXML:CodeNotation>
        </edXML:Code>
        <edXML:PromulgationInfo>
          <edXML:Place>Hà Nội</edXML:Place><edXML:PromulgationDate>2026/03/12</edXML:PromulgationDate>
        </edXML:PromulgationInfo>
        <edXML:DocumentType>
          <edXML:Type>1</edXML:Type><edXML:TypeDetail>0</edXML:TypeDetail><edXML:TypeName>Công văn</edXML:TypeName>
        </edXML:DocumentType>
        <edXML:Subject>{escape(subject)}</edXML:Subject>
        <edXML:OtherInfo><edXML:Priority>{priority}</edXML:Priority></edXML:OtherInfo>
      </edXML:MessageHeader>
      <edXML:TraceHeaderList>
        <edXML:TraceHeader>
          <edXML:OrganId>{sender}</edXML:OrganId><edXML:Timestamp>2026/03/12 08:00:00</edXML:Timestamp>
        </edXML:TraceHeader>
        <edXML:Bussiness>{business}</edXML:Bussiness>
      </edXML:TraceHeaderList>
    </edXML:edXMLHeader>
    <edXML:edXMLBody>
      <edXML:edXMLManifest version="1.0">
        <edXML:Reference>
          <edXML:ContentId>cid:209</edXML:ContentId><edXML:ContentType>application/pdf</edXML:ContentType>
          <edXML:AttachmentName>cong-van.pdf</edXML:AttachmentName>
        </edXML:Reference>
      </edXML:edXMLManifest>
    </edXML:edXMLBody>
  </edXML:edXMLEnvelope>
  <AttachmentEncoded>
    <Attachment>
      <ContentId>cid:209</ContentId><AttachmentName>cong-van.pdf</AttachmentName>
      <ContentType>application/zip</ContentType>
      <edXML:ContentTransferEncoded xmlns:edXML="{NAMESPACE}">{data}</edXML:ContentTransferEncoded>
    </Attachment>
  </AttachmentEncoded>
</edXML>
""".encode()


def status(
    speaker: str,
    about: str,
    code: str,
    *,
    document_id: str | None = None,
    number: str | None = None,
    notation: str = "VPCP-TH",
    issued_on: str = "2026/03/12",
    reason: str = "",
    at: datetime | None = None,
) -> bytes:
    """An edXML status after the layout of the format."""
    moment = (at or datetime.now(UTC)).astimezone(VIETNAM)
    named = f"<edXML:Code>{number}/{notation}</edXML:Code>" if number else ""
    named += f"<edXML:PromulgationDate>{issued_on}</edXML:PromulgationDate>" if number else ""
    identity = f"<edXML:DocumentId>{document_id}</edXML:DocumentId>" if document_id else ""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<edXML xmlns="{NAMESPACE}">
  <edXML:edXMLEnvelope xmlns:edXML="{NAMESPACE}">
    <edXML:edXMLHeader>
      <edXML:MessageHeader>
        <edXML:ResponseFor><edXML:OrganId>{about}</edXML:OrganId>{named}{identity}</edXML:ResponseFor>
        <edXML:From><edXML:OrganId>{speaker}</edXML:OrganId></edXML:From>
        <edXML:StatusCode>{code}</edXML:StatusCode>
        <edXML:Description>{escape(reason)}</edXML:Description>
        <edXML:Timestamp>{moment:%Y/%m/%d %H:%M:%S}</edXML:Timestamp>
      </edXML:MessageHeader>
    </edXML:edXMLHeader>
  </edXML:edXMLEnvelope>
</edXML>
""".encode()
