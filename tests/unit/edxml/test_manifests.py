"""edXML becomes a manifest and a manifest edXML, and nothing is lost on either way."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.edxml.content import Content, Plain
from schemas.edxml.converted import Converted
from schemas.edxml.documents import document_manifest
from schemas.edxml.reading import read
from schemas.edxml.records import Document, Status
from schemas.edxml.rendering import render_document, render_statuses
from schemas.edxml.statuses import status_draft, status_manifest
from schemas.edxml.tying import Known, known_of
from schemas.edxml.writing import write
from schemas.errors import Refusal
from schemas.manifest import (
    Action,
    DocumentManifest,
    NaturalKey,
    Reference,
    Role,
    StatusManifest,
    encode_manifest,
    parse_manifest,
)
from tests.unit.edxml.examples import (
    BUSINESS,
    PDF,
    changed,
    document,
    document_in,
    reading,
    status,
    with_child,
    without,
)
from tests.unit.edxml.strategies import DOCUMENTS, STATUSES, bare

ID = "0198f2a4-7c11-7d2e-9b1a-3f5e8c7d6a21"
DIGEST = sha256(PDF).hexdigest()
OTHER_ID = "0198f2a4-7c11-7d2e-9b1a-000000000001"


def converted(xml: str, **options: Any) -> Converted:
    return document_manifest(reading(xml), **options)


def manifest_of(xml: str, **options: Any) -> DocumentManifest:
    manifest = converted(xml, **options).manifest
    assert isinstance(manifest, DocumentManifest)
    return manifest


def test_a_document_becomes_a_manifest_with_every_field_in_its_place() -> None:
    manifest = manifest_of(document())
    assert (manifest.from_, manifest.action) == ("G05", Action.NEW)
    assert manifest.to == ("000.00.00.H12", "H30.7")
    assert manifest.sent_at == datetime(2026, 3, 2, 8, 4, 5, tzinfo=UTC)
    fields = manifest.document
    assert (fields.number, fields.notation, fields.issued_on) == ("58", "BTC-QLCS", date(2026, 3, 2))
    assert (fields.place, fields.type, fields.priority, fields.pages) == ("Hà Nội", "Công văn", 1, 3)
    assert fields.filed_to == ("Như trên", "Lưu VT")
    assert manifest.replies_to == (
        NaturalKey(from_="H12", issued_on=date(2026, 1, 20), number="9", notation="UBND-VX"),
    )
    assert manifest.via is not None and manifest.via.protocol == "edxml"


def test_the_parts_are_the_attachments_and_the_file_itself() -> None:
    made = converted(document(), name="58.edxml")
    assert isinstance(made.manifest, DocumentManifest)
    first, file = made.manifest.parts
    assert (first.name, first.media_type, first.role) == ("58-BTC.pdf", "application/pdf", Role.DOCUMENT)
    assert b"".join(made.contents[first.sha256].pieces()) == PDF
    assert (file.name, file.role, file.size) == ("58.edxml", Role.EDXML, len(document().encode()))
    assert b"".join(made.contents[file.sha256].pieces()) == document().encode()


def test_the_same_file_gives_the_same_manifest() -> None:
    assert converted(document()).payload == converted(document()).payload
    assert manifest_of(document()).id != manifest_of(document() + "\n").id


def test_id_and_time_are_the_callers_to_give() -> None:
    moment = datetime(2026, 3, 3, tzinfo=UTC)
    manifest = manifest_of(document(), id=UUID(ID), sent_at=moment)
    assert (str(manifest.id), manifest.sent_at) == (ID, moment)


ACTIONS = {"new": Action.NEW, "recall": Action.RECALL, "update": Action.UPDATE, "replace": Action.REPLACE}


@pytest.mark.parametrize("name", ACTIONS)
def test_business_types_are_actions(name: str) -> None:
    manifest = manifest_of(document(business=BUSINESS[name]))
    assert manifest.action is ACTIONS[name]
    own = NaturalKey(from_="G05", issued_on=date(2026, 3, 2), number="58", notation="BTC-QLCS")
    other = NaturalKey(from_="G05", issued_on=date(2026, 2, 11), number="41", notation="BTC-QLCS")
    assert manifest.concerns == {"new": (), "recall": (own,), "update": (other,), "replace": (other,)}[name]


def test_an_update_says_what_changes() -> None:
    changes = manifest_of(document(business=BUSINESS["update"])).changes
    assert changes is not None
    assert (changes.metadata, changes.added, changes.removed) == (True, ("H30",), ("H12",))


def test_a_change_names_the_document_by_reference_where_it_is_at_hand() -> None:
    known = known_of(converted(document()).payload)
    recall = manifest_of(document(business=BUSINESS["recall"]), known=[known])
    assert recall.concerns == (known.reference,)


def test_a_recall_without_a_reason_is_refused() -> None:
    xml = without(
        document(business=BUSINESS["recall"]), "<edXML:BussinessDocReason>Ban hành nhầm</edXML:BussinessDocReason>"
    )
    with pytest.raises(Refusal) as refused:
        converted(xml)
    assert refused.value.code == "LT-REASON-MISSING"


def test_an_update_that_names_nothing_that_can_be_found_is_refused_with_its_place() -> None:
    xml = changed(document(business=BUSINESS["update"]), "2026/02/11,41", "2026/02/30,41")
    with pytest.raises(Refusal) as refused:
        converted(xml)
    assert refused.value.code == "LT-EDXML"
    assert "Bussiness/DocumentId" in str(refused.value.field)


def test_an_id_that_contradicts_the_date_is_said() -> None:
    xml = changed(document(business=BUSINESS["recall"]), "000.00.00.G05,2026/03/02", "000.00.00.G05,2024/03/02")
    made = converted(xml)
    assert isinstance(made.manifest, DocumentManifest)
    assert [one.issued_on.year for one in made.manifest.concerns if isinstance(one, NaturalKey)] == [2026]
    assert "2024" in made.remarks[0].en and "2024" in made.remarks[0].vi


def test_priority_four_needs_its_hour_and_the_loss_is_said() -> None:
    xml = changed(document(), "<edXML:Priority>1", "<edXML:Priority>4")
    made = converted(xml)
    assert isinstance(made.manifest, DocumentManifest)
    assert made.manifest.document.priority == 3 and made.remarks
    assert json.loads(made.payload)["edxml"]["MessageHeader"]["OtherInfo"]["Priority"] == "4"
    hour = datetime(2026, 3, 2, 10, tzinfo=UTC)
    assert manifest_of(xml, deliver_by=hour).document.deliver_by == hour


def test_a_subject_too_long_for_a_manifest_is_cut_and_kept_whole() -> None:
    long = "Về việc " * 90
    xml = changed(document(), "Về việc rà soát trụ sở &amp; tài sản", long)
    made = converted(xml)
    assert isinstance(made.manifest, DocumentManifest)
    assert len(made.manifest.document.subject) == 500 and made.remarks
    assert json.loads(made.payload)["edxml"]["MessageHeader"]["Subject"] == long
    assert restored(made) == document_in(xml).header.subject


def restored(made: Converted) -> str | None:
    message = render_document(made.payload, without_file(made)).message
    assert isinstance(message, Document)
    return message.header.subject


def without_file(made: Converted) -> Mapping[str, Content]:
    assert isinstance(made.manifest, DocumentManifest)
    files = {part.sha256 for part in made.manifest.parts if part.role is Role.EDXML}
    return {digest: content for digest, content in made.contents.items() if digest not in files}


@pytest.mark.parametrize("code", ["Cơ quan", "G05-1", "A" * 36])
def test_a_sender_that_cannot_be_an_agency_is_refused_with_its_place(code: str) -> None:
    with pytest.raises(Refusal) as refused:
        converted(changed(document(), "<edXML:OrganId>000.00.00.G05", f"<edXML:OrganId>{code}"))
    assert "From/OrganId" in str(refused.value.field)


def test_names_that_are_no_file_names_are_made_such_and_kept() -> None:
    xml = document().replace("58-BTC.pdf", "../a\\b/58 BTC.PDF")
    made = converted(xml)
    assert isinstance(made.manifest, DocumentManifest)
    assert made.manifest.parts[0].name == ".._a_b_58 BTC.PDF"
    assert json.loads(made.payload)["edxml"]["Attachment"][0]["AttachmentName"] == "../a\\b/58 BTC.PDF"


@pytest.mark.parametrize(
    ("name", "declared", "expected"),
    [
        ("a.doc", "application/zip", "application/msword"),
        ("a.doc", "application/doc", "application/msword"),
        ("a.xlsx", "application/xslx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ("a.bin", "image/png", "image/png"),
        ("a.bin", "not a type", "application/octet-stream"),
    ],
)
def test_types_are_what_is_declared_unless_that_says_nothing(name: str, declared: str, expected: str) -> None:
    xml = document().replace("58-BTC.pdf", name).replace("application/pdf", declared)
    assert manifest_of(xml).parts[0].media_type == expected


def test_the_file_comes_back_byte_for_byte() -> None:
    data = document().replace("\n", "\r\n").encode()
    made = document_manifest(read(data))
    original = render_document(made.payload, made.contents).original
    assert original is not None
    assert b"".join(original.pieces()) == data


@given(DOCUMENTS)
def test_manifest_and_extension_together_give_the_message_again(message: Document) -> None:
    known_form = replace(message, header=_with_a_sender(message), trace=_without_a_change(message))
    made = document_manifest(read(write(known_form)))
    again = render_document(made.payload, without_file(made)).message
    assert isinstance(again, Document)
    assert bare(again)[:4] == bare(known_form)[:4]


def _with_a_sender(message: Document) -> Any:
    sender = message.header.from_
    assert sender is not None
    return replace(message.header, from_=replace(sender, organ_id="000.00.00.G05"))


def _without_a_change(message: Document) -> Any:
    trace = message.trace
    if trace is None or trace.business is None:
        return trace
    return replace(trace, business=replace(trace.business, type=0))


@given(STATUSES)
def test_a_status_comes_back_from_its_manifest(message: Status) -> None:
    about, sender = message.header.response_for, message.header.from_
    assert about is not None and sender is not None
    asking = message.header.status_code == "13"
    header = replace(
        message.header,
        from_=replace(sender, organ_id="G05" if asking else "H12"),
        response_for=replace(about, organ_id="H12" if asking else "000.00.00.G05", document_id="X-1", code="1/A"),
        description=message.header.description or "Lý do",
    )
    known = [document_known(document_id="X-1"), asked(document_known(document_id="X-1"))]
    made = status_manifest(read(write(Status(header=header))), known=known)
    (again,) = render_statuses(made.payload, known)
    assert again.message == Status(header=header)


def document_known(**fields: Any) -> Known:
    reference = Reference(from_="G05", id=UUID(ID), digest="0f" * 32)
    key = NaturalKey(from_="G05", issued_on=date(2026, 3, 2), number="58", notation="BTC-QLCS")
    return Known(**{"reference": reference, "action": Action.NEW, "key": key} | fields)


def asked(about: Known) -> Known:
    reference = Reference(from_="G05", id=UUID(OTHER_ID), digest="0e" * 32)
    return Known(reference=reference, action=Action.RECALL, key=about.key, concerns=(about.reference,))


NATIVE: dict[str, Any] = {
    "spec": "lienthong/1",
    "kind": "document",
    "id": ID,
    "from": "G05",
    "sent_at": "2026-03-12T08:30:00.250+07:00",
    "action": "new",
    "to": ["H12", "group:provinces"],
    "partial": True,
    "test": True,
    "document": {
        "number": "07",
        "notation": "TB-TƯ",
        "issued_on": "2026-03-12",
        "type": "Thông báo",
        "subject": "  Về việc <họp> & làm việc ",
        "summary": "",
        "priority": 4,
        "deliver_by": "2026-03-12T20:00:00+07:00",
        "expires_at": "2027-01-01T00:00:00Z",
    },
    "replies_to": [{"from": "H12", "id": OTHER_ID, "digest": "0f" * 32}],
    "parts": [
        {"name": "07.pdf", "media_type": "application/pdf", "size": len(PDF), "sha256": DIGEST, "role": "document"}
    ],
    "own_extension": {"kept": [1, 2, {"đ": None}]},
}  # fmt: skip
CONTENTS: dict[str, Content] = {DIGEST: Plain(data=PDF)}


def native(**fields: Any) -> bytes:
    return json.dumps(NATIVE | fields, ensure_ascii=False).encode()


def written(payload: bytes, **options: Any) -> bytes:
    message = render_document(payload, CONTENTS, **options).message
    assert message is not None
    return write(message)


CHANGES: dict[str, dict[str, Any]] = {
    "new": {},
    "recall": {
        "action": "recall",
        "concerns": [{"from": "G05", "id": OTHER_ID, "digest": "0f" * 32}],
        "reason": "Nhầm",
    },
    "update": {
        "action": "update",
        "concerns": [{"from": "G05", "number": "1", "notation": "A", "issued_on": "2026-01-02"}],
        "changes": {"metadata": True, "added": ["H30"], "removed": ["H12"]},
    },
    "replace": {
        "action": "replace",
        "concerns": [
            {"from": "G05", "id": OTHER_ID, "digest": "0f" * 32},
            {"from": "G05", "number": "1", "notation": "A", "issued_on": "2026-01-02"},
        ],
        "reason": "Sửa",
    },
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_native_manifest_comes_back_to_the_byte(name: str) -> None:
    payload = native(**CHANGES[name])
    parse_manifest(payload)
    found = read(written(payload))
    assert found.good, found.errors
    made = document_manifest(found)
    assert made.payload == payload
    assert b"".join(made.contents[DIGEST].pieces()) == PDF


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40))
def test_what_xml_cannot_hold_keeps_no_document_from_an_office_and_is_carried_as_it_was(odd: str) -> None:
    payload = native(document=NATIVE["document"] | {"subject": f"Họp\x0b{odd}", "signer": {"name": f"\ufffe{odd}"}})
    found = read(written(payload))
    assert isinstance(found.message, Document) and not found.errors
    assert (found.message.header.subject or "").startswith("Họp\ufffd")
    assert document_manifest(found).payload == payload


@pytest.mark.parametrize("name", CHANGES)
def test_a_native_document_is_written_as_its_business_type(name: str) -> None:
    message = read(written(native(**CHANGES[name]))).message
    assert isinstance(message, Document) and message.trace is not None and message.trace.business is not None
    business = message.trace.business
    assert message.business_type.name.lower() == name
    assert message.header.document_id == (OTHER_ID if name == "recall" else ID)
    assert business.document_id == ("G05,2026/01/02,1/A" if name == "update" else None)
    replaced = [one.document_id for one in business.replacements]
    assert replaced == ([OTHER_ID, "G05,2026/01/02,1/A"] if name == "replace" else [])


def test_a_relay_that_adds_its_trace_does_not_lose_the_manifest() -> None:
    hop = "<edXML:TraceHeader><edXML:OrganId>TRUC</edXML:OrganId></edXML:TraceHeader>"
    data = with_child(written(native()).decode(), "</edXML:TraceHeader>", hop).replace("\n", " \n  ")
    assert document_manifest(read(data.encode())).payload == native()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("07</edXML:CodeNumber>", "08</edXML:CodeNumber>"),
        ("<edXML:OrganId>H12", "<edXML:OrganId>H13"),
        ("07.pdf</AttachmentName>", "08.pdf</AttachmentName>"),
    ],
)
def test_a_message_that_was_changed_no_longer_stands_for_its_manifest(old: str, new: str) -> None:
    manifest = document_manifest(read(changed(written(native()).decode(), old, new).encode())).manifest
    assert str(manifest.id) != ID


@given(st.text(st.characters(codec="utf-8", exclude_characters="?"), max_size=200))
def test_whatever_stands_behind_a_message_is_no_fault(carried: str) -> None:
    data = f"{document()}<?lienthong {carried}?>".encode()
    found = read(data)
    if found.good:
        assert document_manifest(found).payload is not None


def test_recipients_can_be_named_for_a_change_that_has_none() -> None:
    payload = native(**CHANGES["recall"], to=[])
    with pytest.raises(Refusal) as refused:
        written(payload)
    assert refused.value.code == "LT-EDXML"
    message = read(written(payload, recipients=["H12", "H30"], names={"H12": "Tỉnh Một"})).message
    assert isinstance(message, Document)
    assert [(to.organ_id, to.name) for to in message.header.to] == [("H12", "Tỉnh Một"), ("H30", None)]


def test_a_part_that_is_not_at_hand_is_named() -> None:
    with pytest.raises(Refusal) as refused:
        render_document(native(), {})
    assert (refused.value.code, refused.value.field) == ("LT-PART-MISSING", "parts.0")


def statuses(*items: dict[str, Any]) -> bytes:
    common = {"spec": "lienthong/1", "kind": "status", "id": ID, "from": "H12", "sent_at": "2026-03-12T08:30:00Z"}
    return json.dumps(common | {"items": list(items)}).encode()


def item(code: str = "03", **fields: Any) -> dict[str, Any]:
    concerns = {"from": "G05", "id": OTHER_ID, "digest": "0f" * 32}
    return {"concerns": concerns, "code": code, "at": "2026-03-12T08:00:00.500Z"} | fields


def test_a_native_status_comes_back_to_the_byte() -> None:
    payload = statuses(item(staff={"name": "C", "phone": "1"}))
    (rendered,) = render_statuses(payload, [document_known()])
    assert rendered.message is not None
    assert status_manifest(read(write(rendered.message))).payload == payload


def test_every_item_becomes_a_file_and_comes_back_with_its_digest() -> None:
    payload = statuses(item(), item("02", reason="Nhầm nơi nhận"), item("05", **{"for": "H12.1"}))
    found = [status_manifest(read(write(one.message))).manifest for one in render_statuses(payload) if one.message]
    whole = parse_manifest(payload)
    assert isinstance(whole, StatusManifest)
    assert [one.items[0] for one in found if isinstance(one, StatusManifest)] == list(whole.items)
    assert len({one.id for one in found}) == 3


def test_a_take_back_is_written_once_for_each_agency_asked() -> None:
    about = {"from": "H12", "id": OTHER_ID, "digest": "0f" * 32}
    payload = statuses(item("13", concerns=about, to=["H30", "H31"], reason="Nhầm"))
    messages = [one.message for one in render_statuses(payload)]
    assert [
        one.header.response_for.organ_id for one in messages if isinstance(one, Status) and one.header.response_for
    ] == [
        "H30",
        "H31",
    ]


def test_a_status_draft_says_what_the_file_says() -> None:
    draft = status_draft(reading(status("02", text="Sai thẩm quyền")))
    assert draft["from"] == "H12"
    assert draft["items"][0] | {"staff": None} == {
        "concerns": {
            "document_id": "000.00.00.G05,2026/03/02,58/BTC-QLCS",
            "from": "G05",
            "number": "58",
            "notation": "BTC-QLCS",
            "issued_on": "2026-03-02",
        },
        "code": "02",
        "at": "2026-03-02T09:00:00.000000Z",
        "reason": "Sai thẩm quyền",
        "staff": None,
    }


def test_a_hub_speaks_for_its_agency() -> None:
    manifest = status_manifest(reading(status()), known=[document_known()], speaker="H12.9").manifest
    assert isinstance(manifest, StatusManifest)
    assert (manifest.from_, manifest.items[0].for_) == ("H12.9", "H12")


def test_what_is_made_is_a_manifest_that_encodes_and_parses() -> None:
    manifest = manifest_of(document())
    assert parse_manifest(encode_manifest(manifest)) == manifest


def test_thousands_of_recipients_fit_into_a_message() -> None:
    to = "<edXML:To><edXML:OrganId>H{0}</edXML:OrganId><edXML:OrganName>Xã số {0} tỉnh Một</edXML:OrganName></edXML:To>"
    xml = changed(
        document(), "        <edXML:DocumentId>", "".join(map(to.format, range(100, 3_455))) + "<edXML:DocumentId>"
    )
    made = converted(xml)
    assert len(made.payload) < 150_000
    assert made.remarks
