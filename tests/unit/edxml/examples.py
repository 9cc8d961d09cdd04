"""edXML files for the tests, written after the format, and tools to bend them."""

import base64
import io
import zipfile
from collections.abc import Mapping
from typing import Final

from schemas.edxml.faults import Kind
from schemas.edxml.reading import Reading, read
from schemas.edxml.records import Document, Status

QCVN: Final = "http://www.mic.gov.vn/TBT/QCVN_102_2016"
PDF: Final = b"%PDF-1.7\n" + bytes(range(256)) * 40


def zipped(entries: Mapping[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A ZIP with these entries."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return file.getvalue()


def encoded(data: bytes) -> str:
    """Base64 on one line."""
    return base64.b64encode(data).decode()


BUSINESS: Final = {
    "new": "<edXML:BussinessDocType>0</edXML:BussinessDocType>",
    "recall": "<edXML:BussinessDocType>1</edXML:BussinessDocType>"
    "<edXML:BussinessDocReason>Ban hành nhầm</edXML:BussinessDocReason>",
    "update": "<edXML:DocumentId>000.00.00.G05,2026/02/11,41/BTC-QLCS</edXML:DocumentId>"
    "<edXML:BussinessDocType>2</edXML:BussinessDocType>"
    "<edXML:BussinessDocumentInfo><edXML:DocumentInfo>1</edXML:DocumentInfo>"
    "<edXML:DocumentReceiver>1</edXML:DocumentReceiver><edXML:ReceiverList>"
    "<edXML:Receiver><edXML:OrganId>000.00.00.H12</edXML:OrganId>"
    "<edXML:ReceiverType>0</edXML:ReceiverType></edXML:Receiver>"
    "<edXML:Receiver><edXML:OrganId>000.00.00.H30</edXML:OrganId>"
    "<edXML:ReceiverType>1</edXML:ReceiverType></edXML:Receiver>"
    "</edXML:ReceiverList></edXML:BussinessDocumentInfo>",
    "replace": "<edXML:BussinessDocType>3</edXML:BussinessDocType>"
    "<edXML:BussinessDocReason>Sửa sai sót</edXML:BussinessDocReason>"
    "<edXML:ReplacementInfoList><edXML:ReplacementInfo>"
    "<edXML:DocumentId>000.00.00.G05,2026/02/11,41/BTC-QLCS</edXML:DocumentId>"
    "<edXML:OrganIdList><edXML:OrganId>000.00.00.H12</edXML:OrganId></edXML:OrganIdList>"
    "</edXML:ReplacementInfo></edXML:ReplacementInfoList>",
}
"""The inside of `Bussiness` for the four types."""

STUB_SIGNATURE: Final = """<Signature><SignedInfo>
<SignatureMethod Algorithm="http://www.w3.org/2000/09/xmldsig#rsa-sha1"/><Reference URI="">
<DigestMethod Algorithm="http://www.w3.org/2000/09/xmldsig#sha1"/><DigestValue>AAAA</DigestValue></Reference>
</SignedInfo><SignatureValue>AAAA</SignatureValue><KeyInfo><X509Data><X509Certificate>MIIC</X509Certificate>
</X509Data></KeyInfo></Signature>"""


def document(*, business: str = BUSINESS["new"], data: str | None = None, signature: str = "") -> str:
    """A good document with one attachment; `data` is the base64 of that."""
    payload = encoded(zipped({"5f0c.pdf": PDF})) if data is None else data
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<edXML xmlns="{QCVN}">
  <edXML:edXMLEnvelope xmlns:edXML="{QCVN}">
    <edXML:edXMLHeader>
      <edXML:MessageHeader>
        <edXML:From>
          <edXML:OrganId>000.00.00.G05</edXML:OrganId>
          <edXML:OrganName>Bộ Thử nghiệm</edXML:OrganName>
        </edXML:From>
        <edXML:To><edXML:OrganId>000.00.00.H12</edXML:OrganId><edXML:OrganName>Tỉnh Một</edXML:OrganName></edXML:To>
        <edXML:To><edXML:OrganId>H30.7</edXML:OrganId></edXML:To>
        <edXML:DocumentId>000.00.00.G05,2026/03/02,58/BTC-QLCS</edXML:DocumentId>
        <edXML:Code>
          <edXML:CodeNumber>58</edXML:CodeNumber>
          <edXML:CodeNotation>BTC-QLCS</edXML:CodeNotation>
        </edXML:Code>
        <edXML:PromulgationInfo>
          <edXML:Place>Hà Nội</edXML:Place>
          <edXML:PromulgationDate>2026/03/02</edXML:PromulgationDate>
        </edXML:PromulgationInfo>
        <edXML:DocumentType>
          <edXML:Type>1</edXML:Type>
          <edXML:TypeName>Công văn</edXML:TypeName>
        </edXML:DocumentType>
        <edXML:Subject>Về việc rà soát trụ sở &amp; tài sản</edXML:Subject>
        <edXML:OtherInfo>
          <edXML:Priority>1</edXML:Priority>
          <edXML:PageAmount>3</edXML:PageAmount>
          <edXML:Direction>true</edXML:Direction>
          <edXML:Appendixes><edXML:Appendix>Phụ lục I</edXML:Appendix></edXML:Appendixes>
        </edXML:OtherInfo>
        <edXML:ResponseFor>
          <edXML:OrganId>000.00.00.H12</edXML:OrganId>
          <edXML:Code>9/UBND-VX</edXML:Code>
          <edXML:PromulgationDate>2026/01/20</edXML:PromulgationDate>
        </edXML:ResponseFor>
        <edXML:SteeringType>1</edXML:SteeringType>
        <edXML:ToPlaces><edXML:Place>Như trên</edXML:Place><edXML:Place>Lưu VT</edXML:Place></edXML:ToPlaces>
      </edXML:MessageHeader>
      <edXML:TraceHeaderList>
        <edXML:TraceHeader>
          <edXML:OrganId>000.00.00.G05</edXML:OrganId>
          <edXML:Timestamp>2026/03/02 15:04:05</edXML:Timestamp>
        </edXML:TraceHeader>
        <edXML:Bussiness>{business}</edXML:Bussiness>
      </edXML:TraceHeaderList>
      {signature}
    </edXML:edXMLHeader>
    <edXML:edXMLBody>
      <edXML:edXMLManifest version="1.0">
        <edXML:Reference>
          <edXML:ContentId>cid:1</edXML:ContentId>
          <edXML:ContentType>application/pdf</edXML:ContentType>
          <edXML:AttachmentName>58-BTC.pdf</edXML:AttachmentName>
        </edXML:Reference>
      </edXML:edXMLManifest>
    </edXML:edXMLBody>
  </edXML:edXMLEnvelope>
  <AttachmentEncoded>
    <Attachment>
      <ContentId>cid:1</ContentId>
      <AttachmentName>58-BTC.pdf</AttachmentName>
      <ContentType>application/zip</ContentType>
      <edXML:ContentTransferEncoded xmlns:edXML="{QCVN}">{payload}</edXML:ContentTransferEncoded>
    </Attachment>
  </AttachmentEncoded>
</edXML>
"""


def status(code: str = "03", *, text: str | None = "Đã vào sổ", sender: str = "000.00.00.G05") -> str:
    """A good status about `document()`."""
    described = f"<edXML:Description>{text}</edXML:Description>" if text else ""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<edXML xmlns="{QCVN}">
  <edXML:edXMLEnvelope xmlns:edXML="{QCVN}">
    <edXML:edXMLHeader>
      <edXML:MessageHeader>
        <edXML:From><edXML:OrganId>000.00.00.H12</edXML:OrganId></edXML:From>
        <edXML:ResponseFor>
          <edXML:OrganId>{sender}</edXML:OrganId>
          <edXML:Code>58/BTC-QLCS</edXML:Code>
          <edXML:PromulgationDate>2026/03/02</edXML:PromulgationDate>
          <edXML:DocumentId>000.00.00.G05,2026/03/02,58/BTC-QLCS</edXML:DocumentId>
        </edXML:ResponseFor>
        <edXML:StaffInfo><edXML:Staff>Lê Văn C</edXML:Staff><edXML:Mobile>0900000001</edXML:Mobile></edXML:StaffInfo>
        <edXML:StatusCode>{code}</edXML:StatusCode>
        {described}
        <edXML:Timestamp>2026/03/02 16:00:00</edXML:Timestamp>
      </edXML:MessageHeader>
    </edXML:edXMLHeader>
  </edXML:edXMLEnvelope>
</edXML>
"""


def with_child(xml: str, after: str, added: str) -> str:
    """`xml` with `added` behind the first occurrence of `after`."""
    assert after in xml, after
    return xml.replace(after, after + added, 1)


def without(xml: str, taken: str) -> str:
    """`xml` without the first occurrence of `taken`."""
    assert taken in xml, taken
    return xml.replace(taken, "", 1)


def changed(xml: str, old: str, new: str) -> str:
    """`xml` with the first `old` as `new`."""
    assert old in xml, old
    return xml.replace(old, new, 1)


def reading(xml: str) -> Reading:
    """What reading gives."""
    return read(xml.encode())


def document_in(xml: str) -> Document:
    """The document of a good file."""
    found = reading(xml).accepted()
    assert isinstance(found, Document)
    return found


def status_in(xml: str) -> Status:
    """The status of a good file."""
    found = reading(xml).accepted()
    assert isinstance(found, Status)
    return found


def kinds(found: Reading) -> list[Kind]:
    """The sorts of its errors, in order."""
    return [fault.kind for fault in found.errors]


def only_error(found: Reading) -> tuple[Kind, str, int, int]:
    """Sort and place of the one error that there is."""
    (fault,) = found.errors
    return fault.kind, fault.place.element, fault.place.line, fault.place.column
