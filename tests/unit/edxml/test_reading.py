"""What can be relied upon when an edXML file is read."""

import re
from datetime import UTC, date, datetime
from random import Random

import pytest

from schemas.edxml.faults import Kind, Severity
from schemas.edxml.reading import read
from schemas.edxml.records import BusinessType, Document, Status
from schemas.errors import Refusal
from tests.unit.edxml.examples import (
    BUSINESS,
    QCVN,
    changed,
    document,
    document_in,
    kinds,
    only_error,
    reading,
    status,
    status_in,
    with_child,
    without,
)


def test_a_document_says_what_is_written_in_it() -> None:
    header = document_in(document()).header
    assert header.from_ is not None and header.from_.organ_id == "000.00.00.G05"
    assert [to.organ_id for to in header.to] == ["000.00.00.H12", "H30.7"]
    assert header.code is not None and (header.code.number, header.code.notation) == ("58", "BTC-QLCS")
    assert header.promulgation is not None and header.promulgation.issued_on == date(2026, 3, 2)
    assert header.subject == "Về việc rà soát trụ sở & tài sản"
    assert header.other is not None and (header.other.priority, header.other.direction) == (1, True)
    assert header.other.appendixes == ("Phụ lục I",)
    assert header.to_places == ("Như trên", "Lưu VT")
    assert header.response_for[0].code == "9/UBND-VX"


@pytest.mark.parametrize(("name", "type"), list(zip(BUSINESS, BusinessType, strict=True)))
def test_all_four_business_types_are_read(name: str, type: BusinessType) -> None:
    assert document_in(document(business=BUSINESS[name])).business_type is type


def test_an_update_tells_who_is_removed_and_who_is_added() -> None:
    trace = document_in(document(business=BUSINESS["update"])).trace
    assert trace is not None and trace.business is not None and trace.business.changes is not None
    receivers = trace.business.changes.receivers
    assert [(one.organ_id, one.added) for one in receivers] == [("000.00.00.H12", False), ("000.00.00.H30", True)]


@pytest.mark.parametrize("code", ["01", "02", "03", "04", "05", "06", "13", "15", "16"])
def test_all_nine_statuses_are_read(code: str) -> None:
    found = status_in(status(code))
    assert found.header.status_code == code
    assert found.header.staff is not None and found.header.staff.staff == "Lê Văn C"


def test_times_without_a_zone_are_vietnamese() -> None:
    assert status_in(status()).header.timestamp == datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize("prefix", ["edXML:", "", "x:", "ns0:"])
def test_prefixes_are_of_no_account(prefix: str) -> None:
    name = prefix.removesuffix(":")
    declaration = f'xmlns:{name}="{QCVN}"' if name else f'xmlns="{QCVN}"'
    bent = document().replace(f'xmlns:edXML="{QCVN}"', declaration).replace("edXML:", prefix)
    assert document_in(bent) == document_in(document())


@pytest.mark.parametrize("seed", range(20))
def test_children_come_in_any_order(seed: int) -> None:
    lines = document(business=BUSINESS["replace"])
    header = re.search(r"(?s)<edXML:MessageHeader>\n(.*?)\s*</edXML:MessageHeader>", lines)
    assert header is not None
    children = re.findall(r"(?s)        (<edXML:(\w+)>.*?</edXML:\2>)", header[1])
    shuffled = [child for child, name in children if name != "To"]
    recipients = [child for child, name in children if name == "To"]
    Random(seed).shuffle(shuffled)
    bent = lines.replace(header[1], "\n".join([*shuffled, *recipients]))
    assert document_in(bent) == document_in(lines)


def test_an_empty_response_for_is_none() -> None:
    empty = "<edXML:ResponseFor><edXML:OrganId></edXML:OrganId><edXML:Code/></edXML:ResponseFor><edXML:ResponseFor/>"
    assert document_in(with_child(document(), "</edXML:OtherInfo>", empty)) == document_in(document())


@pytest.mark.parametrize("hop", ["<edXML:OrganId>null</edXML:OrganId>", ""])
def test_a_relay_that_does_not_know_itself_is_only_remarked(hop: str) -> None:
    added = f"<edXML:TraceHeader>{hop}<edXML:Timestamp>2026/03/02 15:04:06</edXML:Timestamp></edXML:TraceHeader>"
    found = reading(with_child(document(), "</edXML:TraceHeader>", added))
    assert found.good
    assert [fault.severity for fault in found.faults] == [Severity.REMARK]


def test_elements_that_the_format_does_not_have_are_remarked_and_kept() -> None:
    added = '<edXML:Secrecy level="1">thường</edXML:Secrecy><own xmlns="urn:x"><a>1</a></own>'
    found = reading(with_child(document(), "<edXML:SteeringType>1</edXML:SteeringType>", added))
    assert found.good and len(found.faults) == 2
    assert isinstance(found.message, Document)
    secrecy, own = found.message.header.further
    assert (secrecy.name, secrecy.text, secrecy.attributes) == ("Secrecy", "thường", (("level", "1"),))
    assert (own.namespace, own.children[0].text) == ("urn:x", "1")


@pytest.mark.parametrize(
    ("written", "meant"),
    [("2026-03-02", date(2026, 3, 2)), ("02/03/2026", date(2026, 3, 2)), ("2026/03/02 00:00:00", date(2026, 3, 2))],
)
def test_other_ways_to_write_a_date_are_understood_and_remarked(written: str, meant: date) -> None:
    found = reading(changed(document(), "<edXML:PromulgationDate>2026/03/02", f"<edXML:PromulgationDate>{written}"))
    assert found.good and [fault.kind for fault in found.faults] == [Kind.VALUE]
    assert isinstance(found.message, Document) and found.message.header.promulgation is not None
    assert found.message.header.promulgation.issued_on == meant


def test_lengths_beyond_the_regulation_are_only_remarked() -> None:
    found = reading(changed(document(), "<edXML:CodeNumber>58", "<edXML:CodeNumber>20251016112435"))
    assert found.good and [fault.kind for fault in found.faults] == [Kind.LENGTH]


def test_a_byte_order_mark_and_windows_line_ends_are_no_fault() -> None:
    data = b"\xef\xbb\xbf" + document().replace("\n", "\r\n").encode()
    found = read(data)
    assert found.good
    assert found.message == document_in(document())


def test_a_document_from_the_future_is_refused_if_today_is_known() -> None:
    data = document().encode()
    assert read(data, today=date(2026, 3, 2)).good
    early = read(data, today=date(2026, 3, 1))
    assert only_error(early)[:2] == (
        Kind.VALUE,
        "edXMLEnvelope/edXMLHeader/MessageHeader/PromulgationInfo/PromulgationDate",
    )


MISSING = {
    "<edXML:OrganId>000.00.00.G05</edXML:OrganId>": "MessageHeader/From/OrganId",
    "<edXML:CodeNumber>58</edXML:CodeNumber>": "MessageHeader/Code/CodeNumber",
    "<edXML:CodeNotation>BTC-QLCS</edXML:CodeNotation>": "MessageHeader/Code/CodeNotation",
    "<edXML:PromulgationDate>2026/03/02</edXML:PromulgationDate>": "MessageHeader/PromulgationInfo/PromulgationDate",
    "<edXML:Type>1</edXML:Type>": "MessageHeader/DocumentType/Type",
    "<edXML:TypeName>Công văn</edXML:TypeName>": "MessageHeader/DocumentType/TypeName",
    "<edXML:Subject>Về việc rà soát trụ sở &amp; tài sản</edXML:Subject>": "MessageHeader/Subject",
    "<edXML:BussinessDocType>0</edXML:BussinessDocType>": "TraceHeaderList/Bussiness/BussinessDocType",
}


@pytest.mark.parametrize("taken", MISSING)
def test_what_must_be_there_is_missed_with_its_place(taken: str) -> None:
    xml = document(business=f"<edXML:Paper>0</edXML:Paper>{BUSINESS['new']}")
    kind, element, *_ = only_error(reading(without(xml, taken)))
    assert (kind, element) == (Kind.MISSING, f"edXMLEnvelope/edXMLHeader/{MISSING[taken]}")


WRONG = [
    ("<edXML:Priority>1", "<edXML:Priority>5", Kind.VALUE, "OtherInfo/Priority"),
    ("<edXML:SteeringType>1", "<edXML:SteeringType>4", Kind.VALUE, "SteeringType"),
    ("<edXML:PageAmount>3", "<edXML:PageAmount>ba", Kind.VALUE, "OtherInfo/PageAmount"),
    ("<edXML:PromulgationDate>2026/03/02", "<edXML:PromulgationDate>2026/02/30", Kind.VALUE, "PromulgationDate"),
    ("<edXML:OrganId>H30.7", "<edXML:OrganId>000.00.00.H12", Kind.DUPLICATE, "To[2]/OrganId"),
    ("<edXML:OrganId>000.00.00.G05", "<edXML:OrganId>null", Kind.VALUE, "From/OrganId"),
    ("<edXML:OrganId>H30.7", "<edXML:OrganId>H30\n7", Kind.VALUE, "To[2]/OrganId"),
    ("<edXML:SteeringType>1", "<edXML:SteeringType>1</edXML:SteeringType><edXML:SteeringType>1", Kind.REPEATED, "]"),
    ("<edXML:BussinessDocType>0", "<edXML:BussinessDocType>7", Kind.VALUE, "Bussiness/BussinessDocType"),
    ("<edXML:BussinessDocType>0", "<edXML:BussinessDocType>3", Kind.MISSING, "Bussiness/ReplacementInfoList"),
    ("<edXML:SteeringType>1", '<edXML:SteeringType xmlns:edXML="urn:x">1', Kind.NAMESPACE, "SteeringType"),
    ("<edXML:ContentId>cid:1", "<edXML:ContentId>cid:2", Kind.LINK, "Reference/ContentId"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "kind", "element"), WRONG)
def test_what_is_wrong_is_told_with_its_element(old: str, new: str, kind: Kind, element: str) -> None:
    found = only_error(reading(changed(document(), old, new)))
    assert found[0] is kind
    assert found[1].endswith(element)


@pytest.mark.parametrize("code", ["07", "12", "14", "3", "99", "đến"])
def test_a_status_code_that_nobody_knows_is_refused(code: str) -> None:
    kind, element, *_ = only_error(reading(status(code)))
    assert (kind, element) == (Kind.VALUE, "edXMLEnvelope/edXMLHeader/MessageHeader/StatusCode")


def test_all_faults_are_told_at_once_in_their_order() -> None:
    bent = document()
    for old, new in [("<edXML:CodeNumber>58", "<edXML:CodeNumber>"), ("<edXML:Priority>1", "<edXML:Priority>x")]:
        bent = changed(bent, old, new)
    bent = changed(bent, "application/zip</ContentType>", "application/zip</ContentType><FieldName>")
    bent = changed(bent, "<FieldName>", "<FieldName></FieldName>")
    found = reading(changed(bent, "<edXML:SteeringType>1", "<edXML:SteeringType>9"))
    assert kinds(found) == [Kind.MISSING, Kind.VALUE, Kind.VALUE]
    assert [fault.place.line for fault in found.errors] == sorted(fault.place.line for fault in found.errors)


def test_a_fault_names_line_column_element_found_and_expected_in_both_languages() -> None:
    xml = document()
    bent = changed(xml, "<edXML:SteeringType>1", "<edXML:SteeringType>chín")
    line = xml[: xml.index("<edXML:SteeringType>")].count("\n") + 1
    (fault,) = reading(bent).errors
    where = "edXMLEnvelope/edXMLHeader/MessageHeader/SteeringType"
    assert fault.en == (f'Line {line}, column 9, {where}: value; found "chín", expected a whole number 0-3.')
    assert fault.vi == f'Dòng {line}, cột 9, {where}: giá trị. Tìm thấy: "chín". Cần: số nguyên 0-3.'
    assert fault.as_dict()["code"] == "LT-EDXML"


def test_columns_count_characters_and_not_bytes() -> None:
    bent = changed(
        document(), "        <edXML:SteeringType>1", "<edXML:Subject>đđđđ</edXML:Subject><edXML:SteeringType>9"
    )
    fault = next(one for one in reading(bent).errors if one.kind is Kind.VALUE)
    assert fault.place.column == 1 + len("<edXML:Subject>đđđđ</edXML:Subject>")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", Kind.NOT_WELL_FORMED),
        (b"not xml", Kind.NOT_WELL_FORMED),
        (f'<edXML xmlns="{QCVN}">'.encode(), Kind.NOT_WELL_FORMED),
        (b"\x00" * 100, Kind.NOT_WELL_FORMED),
        (f'{document()}<b/>'.encode(), Kind.NOT_WELL_FORMED),
        (b"<html/>", Kind.ROOT),
        (b"<edXML/>", Kind.NAMESPACE),
        (b'<edXML xmlns="http://www.go.vn/eDoc"/>', Kind.NAMESPACE),
        (b'<edXML xmlns="http://www.e-doc.vn/Schema/"/>', Kind.NAMESPACE),
        (f'<edXML xmlns="{QCVN}"/>'.encode(), Kind.MISSING),
        (document().encode("utf-16"), Kind.ENCODING),
        (document().replace("UTF-8", "windows-1258").encode("cp1258", "replace"), Kind.ENCODING),
        (b'<!DOCTYPE edXML><edXML/>', Kind.FORBIDDEN),
        (document().replace("&amp;", "&nbsp;").encode(), Kind.NOT_WELL_FORMED),
    ],
)  # fmt: skip
def test_what_is_no_edxml_is_refused_in_words(data: bytes, kind: Kind) -> None:
    found = read(data)
    assert not found.good
    assert found.errors[0].kind is kind
    with pytest.raises(Refusal) as refused:
        found.accepted()
    assert refused.value.code == "LT-EDXML"


def test_a_file_that_breaks_off_is_not_blamed_for_what_would_have_come() -> None:
    whole = document().encode()
    found = read(whole[: whole.index(b"<edXML:SteeringType>")])
    assert kinds(found) == [Kind.NOT_WELL_FORMED]


def test_an_undeclared_prefix_is_told_once_and_the_reading_goes_on() -> None:
    bent = document().replace("<edXML:Reference>", '<edXML:Reference xlink:href="cid:1" xlink:role="r">')
    bent = changed(bent, "<edXML:SteeringType>1", "<edXML:SteeringType>9")
    assert kinds(reading(bent)) == [Kind.VALUE, Kind.PREFIX]


def test_a_refusal_tells_the_first_error_in_both_languages() -> None:
    with pytest.raises(Refusal) as refused:
        reading(changed(document(), "<edXML:Priority>1", "<edXML:Priority>9")).accepted()
    detail = refused.value.detail()
    assert "OtherInfo/Priority" in str(detail["field"]) and "line" in str(detail["field"])
    assert "0-4" in str(detail["expected"])
    assert str(detail["vi"]).startswith("Dòng ")
    english, vietnamese = str(refused.value).splitlines()
    assert english.startswith("LT-EDXML: Line ") and vietnamese.startswith("Dòng ")


def test_what_is_found_cannot_act_on_a_terminal() -> None:
    (fault,) = reading(changed(document(), "<edXML:Priority>1", "<edXML:Priority>\x9b2J\u202e")).errors
    assert all(sign.isprintable() for sign in fault.en + fault.vi)


def test_a_status_that_names_no_document_is_refused() -> None:
    bent = without(status(), "<edXML:Code>58/BTC-QLCS</edXML:Code>")
    assert reading(bent).good
    bent = without(bent, "<edXML:DocumentId>000.00.00.G05,2026/03/02,58/BTC-QLCS</edXML:DocumentId>")
    assert kinds(reading(bent)) == [Kind.MISSING]


def test_a_status_is_told_from_a_document() -> None:
    assert isinstance(reading(status()).message, Status)
    assert isinstance(reading(document()).message, Document)


def test_a_deadline_that_nobody_has_set_is_no_deadline() -> None:
    xml = with_child(
        document(), "<edXML:SteeringType>1</edXML:SteeringType>", "<edXML:DueDate>0001/01/01</edXML:DueDate>"
    )
    found = reading(xml)
    assert found.good and [fault.kind for fault in found.faults] == [Kind.VALUE]
    assert isinstance(found.message, Document) and found.message.header.due_date is None


@pytest.mark.parametrize("moment", ["0001/01/01 00:00:00", "9999/12/31 23:59:59", "2026/03/02 25:00:00", "hôm nay"])
def test_a_time_that_cannot_be_one_everywhere_is_refused(moment: str) -> None:
    assert kinds(reading(changed(status(), "2026/03/02 16:00:00", moment))) == [Kind.VALUE]
