"""What is written is laid out as the SDK does it, and says what the message says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.edxml.content import Plain
from schemas.edxml.faults import Kind
from schemas.edxml.reading import read
from schemas.edxml.records import Attachment, Document, MessageHeader, Status
from schemas.edxml.shapes import CODE, MESSAGE_HEADER, ORGANIZATION
from schemas.edxml.writing import write, write_pieces
from schemas.errors import Refusal
from tests.unit.edxml.examples import QCVN, document, document_in, reading, status, status_in
from tests.unit.edxml.strategies import DOCUMENTS, STATUSES, bare


@given(DOCUMENTS | STATUSES)
def test_what_is_written_is_read_back_the_same(message: Document | Status) -> None:
    found = read(write(message))
    assert found.good, found.errors
    assert found.message is not None
    assert bare(found.message) == bare(message)


@given(DOCUMENTS | STATUSES)
def test_the_same_message_gives_the_same_bytes(message: Document | Status) -> None:
    once = write(message)
    assert b"".join(write_pieces(message)) == once
    again = read(once).message
    assert again is not None
    assert write(again) == once


def test_the_layout_is_that_of_the_sdk() -> None:
    lines = write(document_in(document())).decode().splitlines()
    assert lines[:7] == [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<edXML xmlns="{QCVN}">',
        f'  <edXML:edXMLEnvelope xmlns:edXML="{QCVN}">',
        "    <edXML:edXMLHeader>",
        "      <edXML:MessageHeader>",
        "        <edXML:From>",
        "          <edXML:OrganId>000.00.00.G05</edXML:OrganId>",
    ]
    tail = lines[lines.index("  </edXML:edXMLEnvelope>") :]
    assert tail[1:6] == [
        "  <AttachmentEncoded>",
        "    <Attachment>",
        "      <ContentId>cid:1</ContentId>",
        "      <AttachmentName>58-BTC.pdf</AttachmentName>",
        "      <ContentType>application/zip</ContentType>",
    ]
    assert tail[6].startswith(f'      <edXML:ContentTransferEncoded xmlns:edXML="{QCVN}">UEsDBBQACAgI')
    inside = [line.strip() for line in lines[2 : lines.index("  </edXML:edXMLEnvelope>") + 1]]
    assert all(line.startswith(("<edXML:", "</edXML:")) for line in inside)


def test_elements_are_in_the_order_of_the_sdk() -> None:
    text = write(document_in(document())).decode()
    names = [slot.inside or slot.element for slot in MESSAGE_HEADER.slots]
    there = [text.index(f"        <edXML:{name}>") for name in names if f"\n        <edXML:{name}>" in text]
    assert len(there) == 11 and there == sorted(there)


def test_a_status_is_laid_out_in_its_own_order() -> None:
    names = [line.strip().split(">")[0] for line in write(status_in(status())).decode().splitlines()]
    about = names[names.index("<edXML:ResponseFor") :]
    assert about[1:5] == ["<edXML:OrganId", "<edXML:Code", "<edXML:PromulgationDate", "<edXML:DocumentId"]
    assert names.index("<edXML:StaffInfo") < names.index("<edXML:StatusCode") < names.index("<edXML:Timestamp")


@given(st.sampled_from(["\x00", "\x0b", "\ufffe", "\ud800"]))
def test_characters_that_no_xml_can_hold_are_refused_before_anything_is_written(wrong: str) -> None:
    header = document_in(document()).header
    values = {slot.field: getattr(header, slot.field) for slot in MESSAGE_HEADER.slots}
    broken = Document(header=MessageHeader(**{**values, "subject": f"a{wrong}b"}))
    with pytest.raises(Refusal) as refused:
        next(iter(write_pieces(broken)))
    assert refused.value.code == "LT-EDXML"
    assert f"U+{ord(wrong):04X}" in str(refused.value.found)


def test_a_name_that_cannot_be_written_is_found_before_the_first_piece() -> None:
    message = document_in(document())
    broken = Document(header=message.header, attachments=(Attachment(name="a\x01", content=Plain(data=b"x")),))
    with pytest.raises(Refusal):
        next(iter(write_pieces(broken)))


def test_what_a_message_demands_is_demanded_by_the_tables() -> None:
    assert [slot.element for slot in ORGANIZATION.slots if slot.required] == ["OrganId"]
    assert [slot.element for slot in CODE.slots if slot.required] == ["CodeNumber", "CodeNotation"]


def test_a_signature_is_not_written_again() -> None:
    found = reading(document(signature="<Signature>x</Signature>")).message
    assert found is not None
    assert b"Signature" not in write(found)
    assert Kind.UNKNOWN not in [fault.kind for fault in reading(document(signature="<Signature>x</Signature>")).faults]
