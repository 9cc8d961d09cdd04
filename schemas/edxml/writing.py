"""Writes an edXML file exactly as the SDK lays it out: receivers have rejected every other use of namespaces.

The prefix `edXML:` on everything inside the envelope, none on AttachmentEncoded and what is in it, the prefix declared
anew on the attachment's data; attachments are ZIPs with one entry. The same message gives the same bytes.
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5
from xml.sax.saxutils import escape

from schemas.edxml.content import Content
from schemas.edxml.faults import EdxmlFault, Kind, Text, quoted, refusal
from schemas.edxml.records import Attachment, Document, Further, Message, Record
from schemas.edxml.rules import place_of
from schemas.edxml.shapes import ATTACHMENT, CONTENT_REFERENCE, MESSAGE_HEADER, STATUS_HEADER, TRACE, Shape, Slot
from schemas.edxml.tree import CARRIED, NAMESPACE
from schemas.edxml.writable import NOT_XML
from schemas.edxml.zip_entry import wrapped

_TEXT_ESCAPES: Final = {"\r": "&#13;"}
_ATTRIBUTE_ESCAPES: Final = {"\r": "&#13;", "\n": "&#10;", "\t": "&#9;", '"': "&quot;"}
_EXTENSION: Final = re.compile(r"\.[A-Za-z0-9]{1,10}$")
_BLOCK: Final = 57 * 4096
"""Bytes encoded at a time; a multiple of three, so that no padding stands in the middle."""

PREFIX: Final = "edXML:"


def write(message: Message) -> bytes:
    """The file of a message. Raises Refusal LT-EDXML if it holds characters that no XML file can hold."""
    return b"".join(write_pieces(message))


def write_pieces(message: Message) -> Iterator[bytes]:
    """The file in pieces, for messages with large attachments. Raises like `write`, before the first piece."""
    head = "".join(_head(message))
    yield head.encode()
    if isinstance(message, Document) and message.attachments:
        yield b"  <AttachmentEncoded>\n"
        for attachment in message.attachments:
            yield from _attachment(attachment)
        yield b"  </AttachmentEncoded>\n"
    yield b"</edXML>\n"
    if message.carried is not None:
        yield f"<?{CARRIED} {message.carried}?>\n".encode()


def _head(message: Message) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    yield f'<edXML xmlns="{NAMESPACE}">\n'
    yield f'  <edXML:edXMLEnvelope xmlns:edXML="{NAMESPACE}">\n'
    yield "    <edXML:edXMLHeader>\n"
    if isinstance(message, Document):
        yield from _record("MessageHeader", message.header, MESSAGE_HEADER, 3, PREFIX)
        if message.trace is not None:
            yield from _record("TraceHeaderList", message.trace, TRACE, 3, PREFIX)
    else:
        yield from _record("MessageHeader", message.header, STATUS_HEADER, 3, PREFIX)
    yield "    </edXML:edXMLHeader>\n"
    if isinstance(message, Document):
        yield "    <edXML:edXMLBody>\n"
        yield '      <edXML:edXMLManifest version="1.0">\n'
        for reference in message.references:
            yield from _record("Reference", reference, CONTENT_REFERENCE, 4, PREFIX)
        yield "      </edXML:edXMLManifest>\n"
        yield "    </edXML:edXMLBody>\n"
        for attachment in message.attachments:
            # Whatever cannot be written is found before anything is.
            for _ in _record("Attachment", attachment, ATTACHMENT, 2, ""):
                pass
            entry_name(attachment)
    yield "  </edXML:edXMLEnvelope>\n"


def _record(element: str, record: Record, shape: Shape[Record], depth: int, prefix: str) -> Iterator[str]:
    """An element with elements inside; one without any content is written all the same."""
    indent = "  " * depth
    attributes = "".join(
        f' {name}="{_escaped(value, record, _ATTRIBUTE_ESCAPES)}"'
        for name, field in shape.attributes
        if (value := getattr(record, field)) is not None
    )
    yield f"{indent}<{prefix}{element}{attributes}>\n"
    for slot in shape.slots:
        value = getattr(record, slot.field)
        if value is None or value == () or (slot.value is None and slot.shape is None):
            continue
        items = value if slot.many else (value,)
        if slot.inside is None:
            yield from _items(slot, items, record, depth + 1, prefix)
        else:
            yield f"{indent}  <{prefix}{slot.inside}>\n"
            yield from _items(slot, items, record, depth + 2, prefix)
            yield f"{indent}  </{prefix}{slot.inside}>\n"
    for further in record.further:
        yield from _further(further, record, depth + 1, prefix)
    yield f"{indent}</{prefix}{element}>\n"


def _items(slot: Slot, items: Iterable[Any], record: Record, depth: int, prefix: str) -> Iterator[str]:
    for item in items:
        if slot.shape is not None:
            yield from _record(slot.element, item, slot.shape, depth, prefix)
        elif slot.value is not None:
            text = _escaped(slot.value.write(item), record, _TEXT_ESCAPES)
            yield f"{'  ' * depth}<{prefix}{slot.element}>{text}</{prefix}{slot.element}>\n"


def _further(further: Further, record: Record, depth: int, prefix: str) -> Iterator[str]:
    """An element that the format does not have, as it came but for its prefixes."""
    indent = "  " * depth
    ours = further.namespace == NAMESPACE
    name = f"{prefix if ours else ''}{further.name}"
    declared = "" if ours else f' xmlns="{_escaped(further.namespace or "", record, _ATTRIBUTE_ESCAPES)}"'
    attributes = "".join(f' {key}="{_escaped(value, record, _ATTRIBUTE_ESCAPES)}"' for key, value in further.attributes)
    text = _escaped(further.text, record, _TEXT_ESCAPES)
    if not further.children:
        yield f"{indent}<{name}{declared}{attributes}>{text}</{name}>\n"
        return
    yield f"{indent}<{name}{declared}{attributes}>{text}\n"
    for child in further.children:
        yield from _further(child, record, depth + 1, prefix)
    yield f"{indent}</{name}>\n"


def _attachment(attachment: Attachment) -> Iterator[bytes]:
    *lines, end = _record("Attachment", attachment, ATTACHMENT, 2, "")
    yield "".join(lines).encode()
    if attachment.content is not None:
        yield f'      <edXML:ContentTransferEncoded xmlns:edXML="{NAMESPACE}">'.encode()
        yield from _base64(_packed(attachment.content, entry_name(attachment)))
        yield b"</edXML:ContentTransferEncoded>\n"
    yield end.encode()


def _packed(content: Content, name: str) -> Iterator[bytes]:
    return wrapped(content.pieces(), name) if content.wrapped else content.pieces()


def entry_name(attachment: Attachment) -> str:
    """`<uuid>.<extension>`, the name inside the ZIP; made from the content, so that it is the same every time."""
    assert attachment.content is not None, "an attachment without bytes cannot be written"
    extension = _EXTENSION.search(attachment.name or "")
    return f"{uuid5(NAMESPACE_URL, attachment.content.sha256)}{extension[0] if extension else ''}"


def _base64(pieces: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        rest += piece
        if len(rest) >= _BLOCK:
            whole = len(rest) // 3 * 3
            yield b64encode(rest[:whole])
            rest = rest[whole:]
    yield b64encode(rest)


def _escaped(text: str, record: Record, entities: dict[str, str]) -> str:
    wrong = NOT_XML.search(text)
    if wrong is not None:
        fault = EdxmlFault(
            kind=Kind.MAPPING,
            place=place_of(record)._replace(element=type(record).__name__),
            found=quoted(f"U+{ord(wrong[0]):04X}"),
            expected=Text("characters that XML can hold", "ký tự mà XML cho phép"),
        )
        raise refusal([fault])
    return escape(text, entities)
