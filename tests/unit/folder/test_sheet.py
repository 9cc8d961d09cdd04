"""The sheet: strict YAML, names as clerks write them, every fault told at once."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from adapters.folder.looking import read_sheet
from adapters.folder.plain_yaml import MAX_BYTES, NotPlain, load
from adapters.folder.sheet import About, BadSheet, Sheet, read

GOOD = "số: 12\nký hiệu: VPCP-TH\ntrích yếu: Công văn\ngửi: H53, group:communes/H53\n"


def sheet(text: str) -> Sheet:
    return read(load(text.encode()))


def test_names_are_understood_with_and_without_marks_in_both_languages() -> None:
    written = [
        GOOD,
        "so: 12\nky hieu: VPCP-TH\ntrich yeu: Công văn\ngui: [H53, group:communes/H53]\n",
        "Số ký hiệu: 12/VPCP-TH\nTRÍCH YẾU: Công văn\ngửi_đến: H53; group:communes/H53\n",
        "number: '12'\nnotation: VPCP-TH\nsubject: Công văn\nto:\n  - H53\n  - group:communes/H53\n",
        "\ufeff" + GOOD.replace("\n", "\r\n"),
    ]
    assert len({repr(sheet(one)) for one in written}) == 1
    assert sheet(GOOD).to == ("H53", "group:communes/H53") and sheet(GOOD).type == "Công văn"


def test_values_are_texts_and_never_something_else() -> None:
    found = sheet(GOOD.replace("12", "007") + "nơi nhận: [no, 1e3, 0x1f, null, '']\ndiễn tập: không\n")
    assert found.number == "007" and found.further["filed_to"] == ["no", "1e3", "0x1f", "null"] and not found.test


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("độ khẩn: hỏa tốc", "priority", 3),
        ("độ khẩn: HOẢ TỐC", "priority", 3),
        ("do khan: 1", "priority", 1),
        ("ngày ban hành: 22/11/2026", "issued_on", date(2026, 11, 22)),
        ("ngày: 2026-11-22", "issued_on", date(2026, 11, 22)),
        ("gửi một phần: có", "partial", True),
        ("trả lời: {cơ quan: H53, số ký hiệu: 9/UBND, ngày: 1/2/2026}", "replies_to",
         (About(sender="H53", number="9", notation="UBND", issued_on=date(2026, 2, 1)),)),
        ("tệp: [Báo cáo.pdf, 'a, b.pdf']", "files", ("Báo cáo.pdf", "a, b.pdf")),
    ],
)  # fmt: skip
def test_values_as_clerks_write_them(line: str, field: str, value: object) -> None:
    assert getattr(sheet(f"{GOOD}{line}\n"), field) == value


def test_an_appointed_hour_is_vietnamese() -> None:
    found = sheet(f"{GOOD}độ khẩn: hỏa tốc hẹn giờ\ngiờ hẹn: 22/11/2026 17:00\n").deliver_by
    assert found is not None and found.isoformat() == "2026-11-22T17:00:00+07:00"


def test_all_faults_are_told_at_once_in_both_languages() -> None:
    with pytest.raises(BadSheet) as wrong:
        sheet("gởi đến: H53\nđộ khẩn: rất khẩn\nngày: 31/02/2026\nsố trang: nhiều\n")
    english = " ".join(one.en for one in wrong.value.told)
    assert len(wrong.value.told) == 6
    for word in (
        "`gởi đến` is not a name of a sheet (gửi?)",
        "rất khẩn",
        "31/02/2026",
        "whole number",
        "subject",
        "to)",
    ):
        assert word in english, word
    assert all(one.vi and one.vi != one.en for one in wrong.value.told)


@pytest.mark.parametrize(
    "text",
    [
        "trạng thái: 99\nvăn bản: x\n", "trạng thái: 02\nvăn bản: x\n", "trạng thái: 03\n",
        "việc: thu hồi\nvăn bản: x\n", "việc: thu hồi\nlý do: nhầm\n", "việc: xóa\n",
        "văn bản: {số: 1}\nviệc: thu hồi\nlý do: x\n",
    ],
)  # fmt: skip
def test_what_is_needed_is_missed(text: str) -> None:
    with pytest.raises(BadSheet):
        sheet(text)


LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(8)
)


@pytest.mark.parametrize(
    "text",
    [
        LAUGHS, "a: &x 1\nb: *x\n", "<<: {a: 1}\na: !!python/object/apply:os.system [ls]\n", "a: !!str b\n",
        "a: 1\na: 2\n", "a: 1\n---\nb: 2\n", "- a\n- b\n", "just text\n", "",
        "# nothing\n", "a: [1, 2\n", "a:\n\t- b\n",
        "{" * 50 + "}" * 50, "? [a]\n: b\n",
        "a: " + "[" * 20 + "]" * 20,
        "a: |\n  x\n b", "\x00",
        "%YAML 9.9\n---\na: b\n",
        "a: " + "x" * MAX_BYTES, "[" * 100_000, "a: [" + "x," * 30_000 + "]",
    ],
)  # fmt: skip
def test_yaml_that_does_more_than_name_values_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(NotPlain) as wrong:
        load(text.encode())
    assert wrong.value.told.en and wrong.value.told.vi


@pytest.mark.parametrize(
    ("text", "vi"),
    [
        (
            "trích yếu: V/v: họp giao ban\n",
            "Dòng 1, cột 15: giá trị có dấu hai chấm; hãy đặt cả giá trị trong dấu nháy",
        ),
        ("trích yếu: a\n\tgửi: H53\n", "Dòng 2, cột 1: có dấu Tab; hãy dùng dấu cách."),
        ('trích yếu: "không đóng\ngửi: H53\n', "Dòng 3, cột 1: dấu nháy mở mà không đóng."),
        ("trích yếu: a\ngửi H53\n", "Dòng 3, cột 1: dòng không có dạng `tên: giá trị`."),
        ("trích yếu: @a\n", "Dòng 1, cột 12: giá trị bắt đầu bằng ký hiệu riêng của YAML; hãy đặt trong dấu nháy"),
        ("gửi: [H53, H41\nsố: 1\n", "Dòng 2, cột 3: ngoặc mở mà không đóng."),
        ('trích yếu: "a" b\n', "Dòng 1, cột 16: thụt đầu dòng khác các dòng trên, hoặc có chữ thừa sau dấu nháy."),
    ],
)
def test_what_people_get_wrong_in_yaml_is_told_in_their_words(text: str, vi: str) -> None:
    with pytest.raises(NotPlain) as wrong:
        load(text.encode())
    assert wrong.value.told.vi.startswith(vi)
    assert "not YAML" not in wrong.value.told.en


def test_other_encodings_are_told() -> None:
    for data in (GOOD.encode("utf-16"), "trích yếu: a".encode("utf-16-le"), b"tr\xedch y\xeau: a"):
        with pytest.raises(NotPlain):
            load(data)


@given(
    st.dictionaries(st.text(max_size=8), st.text(max_size=20) | st.lists(st.text(max_size=5), max_size=3), max_size=5)
)
def test_whatever_a_sheet_holds_there_is_a_sheet_or_a_reason(values: dict[str, object]) -> None:
    try:
        found = load(yaml.safe_dump(values, allow_unicode=True).encode("utf-8", "replace"))
        assert isinstance(read(found), Sheet)
    except (NotPlain, BadSheet) as why:
        assert str(why)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_sheet_or_a_reason(data: bytes) -> None:
    try:
        read(load(data))
    except (NotPlain, BadSheet) as why:
        assert str(why)


def test_a_sheet_that_is_a_link_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "real.yaml").write_text(GOOD)
    (tmp_path / "link.yaml").symlink_to(tmp_path / "real.yaml")
    assert not isinstance(read_sheet(tmp_path / "link.yaml"), Sheet)
