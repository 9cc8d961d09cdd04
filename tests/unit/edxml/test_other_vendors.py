"""Files as other makers of office software write them: what is meant is understood, what is not is told exactly."""

from datetime import date, datetime

import pytest

from schemas.edxml.documents import document_manifest
from schemas.edxml.faults import Kind, Severity
from schemas.edxml.reading import read
from schemas.edxml.records import BusinessType
from schemas.edxml.rendering import render_document
from schemas.edxml.values import VIET_NAM
from schemas.edxml.writing import write
from tests.unit.edxml.examples import (
    QCVN,
    changed,
    document,
    document_in,
    encoded,
    kinds,
    only_error,
    reading,
    status,
    status_in,
    with_child,
    without,
    zipped,
)

ISSUED = "<edXML:PromulgationDate>2026/03/02"
TOLD = "<edXML:Timestamp>2026/03/02 16:00:00"
SUBJECT = "Về việc rà soát trụ sở &amp; tài sản"


@pytest.mark.parametrize(
    "written",
    [
        "2026/3/2", "2026-03-02", "2026-03-02T00:00:00", "2026-03-02T00:00:00.0000000+07:00", "2026-03-02+07:00",
        "2026-03-01T17:00:00Z", "2026-03-01T17:00:00.000Z", "02/03/2026", "2/3/2026", "02-03-2026", "02.03.2026",
        "02/03/2026 08:30", "2026/03/02 00:00:00", "20260302",
    ],
)  # fmt: skip
def test_a_day_is_the_one_in_viet_nam_however_it_is_written(written: str) -> None:
    issued = document_in(changed(document(), ISSUED, f"<edXML:PromulgationDate>{written}")).header.promulgation
    assert issued is not None and issued.issued_on == date(2026, 3, 2)


@pytest.mark.parametrize(
    "written",
    ["3/2/2026 12:00:00 AM", "03/14/2026", "2026/02/30", "2026-03-02 sáng", "02/03/2026 …", "02/03/26", "2026/03-02"],
)
def test_a_day_that_could_be_another_is_not_guessed(written: str) -> None:
    found = reading(changed(document(), ISSUED, f"<edXML:PromulgationDate>{written}"))
    assert kinds(found) == [Kind.VALUE]


@pytest.mark.parametrize(
    "written",
    [
        "2026-03-02T16:00:00", "2026-03-02T09:00:00Z", "2026-03-02T16:00:00.1234567+07:00", "02/03/2026 16:00:00",
        "02-03-2026 16:00", "2026/03/02  16:00", "2026/3/2 16:00:00.0", "20260302160000",
    ],
)  # fmt: skip
def test_a_time_is_understood_however_it_is_written(written: str) -> None:
    found = status_in(changed(status(), TOLD, f"<edXML:Timestamp>{written}"))
    assert found.header.timestamp == datetime(2026, 3, 2, 16, tzinfo=VIET_NAM)


@pytest.mark.parametrize("written", ["3/2/2026 4:00:00 PM", "2026/03/02 25:00:00", "2026/03/02T16:00:00+99:99"])
def test_a_time_that_is_none_is_refused(written: str) -> None:
    assert kinds(reading(changed(status(), TOLD, f"<edXML:Timestamp>{written}"))) == [Kind.VALUE]


@pytest.mark.parametrize("id", ["1", "CID:1", "Cid:1", "cid: 1", "&lt;1&gt;", "&lt;cid:1&gt;", " cid:1\n"])
def test_a_content_id_is_known_in_every_spelling(id: str) -> None:
    bent = changed(document(), "<ContentId>cid:1<", f"<ContentId>{id}<")
    assert document_in(bent).attachments[0].content is not None


def test_uuids_as_content_ids_are_the_same_in_capitals() -> None:
    id = "9fbfbad2-f1f8-4256-a2eb-50fb1061cddb"
    bent = document().replace("edXML:ContentId>cid:1<", f"edXML:ContentId>cid:{id.upper()}<")
    assert reading(bent.replace("<ContentId>cid:1<", f"<ContentId>{id}<")).good


def test_a_file_that_is_listed_twice_under_one_id_is_told() -> None:
    start = "        <edXML:Reference>"
    listed = document()[document().index(start) : document().index("      </edXML:edXMLManifest>")]
    found = reading(with_child(document(), listed, listed))
    assert only_error(found)[:2] == (
        Kind.DUPLICATE,
        "edXMLEnvelope/edXMLBody/edXMLManifest/Reference[2]/ContentId",
    )


@pytest.mark.parametrize("again", ["000.00.00.H12", "H12", "h12"])
def test_a_recipient_is_the_same_in_both_forms_of_its_code(again: str) -> None:
    found = reading(changed(document(), "<edXML:OrganId>H30.7<", f"<edXML:OrganId>{again}<"))
    assert kinds(found) == [Kind.DUPLICATE]


@pytest.mark.parametrize(
    "written",
    ["V/v<?a b?> <?c d?>họp", "V/v<!-- a --> <!-- b -->họp", "V/v <![CDATA[họp]]>", "V/v&#32;họp"],
)
def test_a_text_is_whole_whatever_cuts_it_into_pieces(written: str) -> None:
    assert document_in(changed(document(), SUBJECT, written)).header.subject == "V/v họp"


def test_a_deadline_that_is_no_day_is_kept_as_it_is_written() -> None:
    bent = with_child(document(), "</edXML:SteeringType>", "<edXML:DueDate>trước 10/3</edXML:DueDate>")
    message = document_in(bent)
    assert message.header.due_date is None
    made = document_manifest(reading(bent))
    parts = {part.sha256 for part in made.manifest.parts if part.role != "edxml"}  # type: ignore[union-attr]
    rendered = render_document(made.payload, {digest: made.contents[digest] for digest in parts}).message
    assert rendered is not None and b"<edXML:DueDate>tr\xc6\xb0\xe1\xbb\x9bc 10/3</edXML:DueDate>" in write(rendered)


def test_words_inside_another_element_are_not_lost_silently() -> None:
    found = reading(changed(document(), SUBJECT, "V/v <edXML:b>không</edXML:b> họp"))
    assert only_error(found)[:2] == (Kind.UNKNOWN, "edXMLEnvelope/edXMLHeader/MessageHeader/Subject/b")
    assert reading(changed(document(), SUBJECT, "V/v <edXML:br/>họp")).good


def test_a_recall_whose_element_is_misspelt_does_not_become_a_new_document() -> None:
    bent = document(business="<edXML:BussinessDocType>1</edXML:BussinessDocType>").replace(
        "edXML:Bussiness>", "edXML:Business>"
    )
    (fault,) = reading(bent).errors
    assert fault.kind is Kind.UNKNOWN
    assert (fault.found.en, fault.expected.en[:12]) == ('"Business"', "<Bussiness>:")


def test_a_business_whose_type_was_left_empty_is_refused() -> None:
    found = reading(document(business="<edXML:BussinessDocType/>"))
    assert only_error(found)[:2] == (
        Kind.MISSING,
        "edXMLEnvelope/edXMLHeader/TraceHeaderList/Bussiness/BussinessDocType",
    )
    assert document_in(document(business="")).business_type is BusinessType.NEW


def test_a_misspelt_element_is_told_with_its_right_name() -> None:
    bent = with_child(document(), "</edXML:SteeringType>", "<edXML:Duedate>2026/04/01</edXML:Duedate>")
    (fault,) = (one for one in reading(bent).faults if one.kind is Kind.UNKNOWN)
    assert fault.severity is Severity.REMARK
    assert fault.expected.en == "<DueDate>"


def test_all_faults_are_told_though_the_namespace_is_wrong_too() -> None:
    bent = changed(document(), "<edXML:SteeringType>1", "<edXML:SteeringType>9").replace(QCVN, f"{QCVN}/")
    assert kinds(reading(bent)) == [Kind.NAMESPACE, Kind.VALUE]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<AttachmentEncoded>", '<AttachmentEncoded xmlns="">'),
        (f'<edXML xmlns="{QCVN}">', "<edXML>"),
        (f'<edXML:edXMLEnvelope xmlns:edXML="{QCVN}">', '<edXML:edXMLEnvelope xmlns:edXML="http://www.go.vn/eDoc">'),
    ],
)
def test_a_wrong_namespace_is_told_once_where_it_begins(old: str, new: str) -> None:
    bent = changed(document(), old, new)
    line = bent[: bent.index(new)].count("\n") + 1
    kind, _, at, _ = only_error(reading(bent))
    assert (kind, at) == (Kind.NAMESPACE, line)


def test_an_archive_without_any_file_is_no_attachment() -> None:
    found = reading(document(data=encoded(zipped({}))))
    assert kinds(found) == [Kind.ZIP]


def test_files_in_a_status_are_told_to_be_left_out() -> None:
    bent = changed(status(), "</edXML>\n", "<AttachmentEncoded><Attachment/></AttachmentEncoded></edXML>\n")
    found = reading(bent)
    assert found.good
    assert [fault.place.element for fault in found.faults] == ["AttachmentEncoded"]


@pytest.mark.parametrize(
    ("old", "new", "found", "expected", "at"),
    [
        ("&amp;", "&", '"&"', "&amp; for the sign &", "&"),
        ("&amp;", "&amp", '"&amp"', "&amp; for the sign &", "&amp"),
        ("&amp;", "&nbsp;", '"&nbsp;"', "the character itself; XML has no such entity", "&nbsp;"),
        ("&amp;", "< 5", '"<"', "&lt; for the sign <", "< 5"),
        ("&amp;", "\x0b", "the control character 0x0b", "well-formed XML", "\x0b"),
        ("</edXML:Subject>", "</edXML:subject>", '"</edXML:subject>"', "</edXML:Subject>", "edXML:subject>"),
    ],
)
def test_broken_xml_is_told_with_what_stands_there(old: str, new: str, found: str, expected: str, at: str) -> None:
    bent = changed(document(), old, new)
    before = bent[: bent.index(at)]
    (fault,) = reading(bent).errors
    assert (fault.kind, fault.found.en, fault.expected.en) == (Kind.NOT_WELL_FORMED, found, expected)
    line = before.rpartition("\n")[2]
    assert fault.place[:2] == (before.count("\n") + 1, len(line) + 1)


def test_a_file_in_an_older_encoding_is_told_where_its_first_letter_stands() -> None:
    data = document().encode()
    bent = data.replace("Công văn".encode(), "Công văn".encode("cp1258"))
    (fault,) = read(bent).errors
    assert (fault.place.line, fault.found.en, fault.expected.en) == (23, "byte 0xf4", "UTF-8")


def test_a_file_that_breaks_off_tells_which_element_was_open() -> None:
    whole = document()
    (fault,) = reading(whole[: whole.index("</edXML:Subject>")]).errors
    assert (fault.found.vi, fault.expected.vi) == ("hết tệp", "</edXML:Subject>")


@pytest.mark.parametrize("encoding", ["utf-32", "utf-32-be", "utf-16-le", "utf-16-be"])
def test_wide_encodings_are_named(encoding: str) -> None:
    (fault,) = read(document().encode(encoding)).errors
    assert (fault.kind, fault.found.en) == (Kind.ENCODING, f'"{encoding[:6].upper()}"')


def test_the_longest_ids_of_blanks_cost_nothing() -> None:
    bent = changed(document(), "<ContentId>cid:1<", f"<ContentId>a{' ' * 60_000}b<")
    assert kinds(reading(without(bent, "Lưu VT"))) == [Kind.LINK]


def _with_files(count: int) -> str:
    reference, attachment = (
        document()[document().index(start) : document().index(end)]
        for start, end in (
            ("        <edXML:Reference>", "      </edXML:edXMLManifest>"),
            ("    <Attachment>", "  </AttachmentEncoded>"),
        )
    )
    others = [
        [one.replace("cid:1<", f"cid:{number}<") for number in range(2, count + 1)] for one in (reference, attachment)
    ]
    bent = with_child(document(), reference, "".join(others[0]))
    return with_child(bent, attachment, "".join(others[1]))


def test_one_file_more_than_a_manifest_takes_is_told_by_check_already() -> None:
    assert reading(_with_files(99)).good
    kind, element, *_ = only_error(reading(_with_files(100)))
    assert (kind, element) == (Kind.TOO_LARGE, "AttachmentEncoded/Attachment[100]")
