"""Which files of outbox/ are taken, and when."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from adapters.folder.looking import NOT_WHOLE, Looker

SHEET = "trích yếu: Công văn\ngửi: H53\n"
PDF = b"%PDF-1.7\n%%EOF\n"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def looker(tmp_path: Path, clock: Clock) -> Looker:
    return Looker(outbox=tmp_path, settle=2.0, missing_after=60.0, clock=clock)


def ready(looker: Looker) -> list[tuple[str, tuple[str, ...]]]:
    return [(drop.kind, drop.names) for drop, _ in looker.look().ready]


def after(looker: Looker, clock: Clock, seconds: float) -> list[tuple[str, tuple[str, ...]]]:
    looker.look()
    clock.now += seconds
    return ready(looker)


def test_a_file_is_taken_when_it_has_rested(looker: Looker, clock: Clock, tmp_path: Path) -> None:
    (tmp_path / "a.edxml").write_bytes(b"<edXML>")
    assert after(looker, clock, 1.9) == []
    assert after(looker, clock, 0.2) == [("edxml", ("a.edxml",))]


def test_a_file_that_grows_is_not_taken(looker: Looker, clock: Clock, tmp_path: Path) -> None:
    for size in range(1, 6):
        (tmp_path / "a.edxml").write_bytes(b"<a>" * size)
        assert after(looker, clock, 1.9) == []


def test_a_file_that_is_open_for_writing_is_not_taken_however_long_it_rests(
    looker: Looker, clock: Clock, tmp_path: Path
) -> None:
    with (tmp_path / "a.edxml").open("wb") as file:
        file.write(b"<edXML>")
        file.flush()
        assert after(looker, clock, 1000) == []
    assert ready(looker) == [("edxml", ("a.edxml",))]


def test_a_file_without_the_end_of_its_kind_rests_much_longer(looker: Looker, clock: Clock, tmp_path: Path) -> None:
    (tmp_path / "a.edxml").write_bytes(b"<edXML><a")
    assert after(looker, clock, 2.0 * NOT_WHOLE - 0.1) == []
    assert after(looker, clock, 0.2) == [("edxml", ("a.edxml",))]


def test_a_sheet_and_its_file_go_together_in_any_order(looker: Looker, clock: Clock, tmp_path: Path) -> None:
    (tmp_path / "12.pdf").write_bytes(PDF)
    assert after(looker, clock, 3) == []
    (tmp_path / "12.yaml").write_text(SHEET)
    assert after(looker, clock, 3) == [("sheet", ("12.yaml", "12.pdf"))]


def test_composed_and_decomposed_names_are_the_same(looker: Looker, clock: Clock, tmp_path: Path) -> None:
    name = unicodedata.normalize("NFD", "Báo cáo.pdf")
    (tmp_path / name).write_bytes(PDF)
    (tmp_path / "Báo cáo.yaml").write_text(SHEET)
    (tmp_path / "7.yaml").write_text(SHEET + f"tệp: [{unicodedata.normalize('NFC', 'Phụ lục.pdf')}]\n")
    (tmp_path / unicodedata.normalize("NFD", "phụ lục.PDF")).write_bytes(PDF)
    assert {names for _, names in after(looker, clock, 3)} == {
        ("Báo cáo.yaml", name), ("7.yaml", unicodedata.normalize("NFD", "phụ lục.PDF")),
    }  # fmt: skip


def test_what_misses_something_waits_and_is_told_of_after_a_while(looker: Looker, clock: Clock, tmp_path: Path) -> None:
    (tmp_path / "12.pdf").write_bytes(PDF)
    (tmp_path / "13.yaml").write_text(SHEET + "tệp: [a.pdf, b.pdf]\n")
    (tmp_path / "a.pdf").write_bytes(PDF)
    assert after(looker, clock, 59) == [] and looker.look().overdue == []
    clock.now += 2
    assert {one.name: one.told.en for one in looker.look().overdue} == {
        "12.pdf": "12.pdf waits for its sheet 12.yaml.",
        "13.yaml": "13.yaml waits for b.pdf.",
        "a.pdf": "a.pdf is named in 13.yaml, see there.",
    }


def test_files_on_one_line_are_taken_one_by_one_unless_one_is_called_like_the_line(
    looker: Looker, clock: Clock, tmp_path: Path
) -> None:
    for name in ("a.pdf", "b.xlsx", "Tháng 1, 2.pdf"):
        (tmp_path / name).write_bytes(PDF)
    (tmp_path / "13.yaml").write_text(SHEET + "tệp: a.pdf, b.xlsx\n")
    (tmp_path / "14.yaml").write_text(SHEET + "tệp: Tháng 1, 2.pdf\n")
    (tmp_path / "15.yaml").write_text(SHEET + "tệp: c.pdf, d.pdf\n")
    assert {names for _, names in after(looker, clock, 61)} == {
        ("13.yaml", "a.pdf", "b.xlsx"),
        ("14.yaml", "Tháng 1, 2.pdf"),
    }
    assert [one.told.en for one in looker.look().overdue] == ["15.yaml waits for c.pdf, d.pdf."]


@pytest.mark.parametrize("kind", ["symlink", "folder", "fifo"])
def test_what_is_no_ordinary_file_is_refused_after_a_while(
    looker: Looker, clock: Clock, tmp_path: Path, kind: str
) -> None:
    target = tmp_path / "a.edxml"
    if kind == "symlink":
        target.symlink_to("/etc/passwd")
    elif kind == "folder":
        target.mkdir()
    else:
        os.mkfifo(target)
    assert after(looker, clock, 30) == []
    assert after(looker, clock, 31) == [("refused", ("a.edxml",))]


def test_a_name_that_is_no_text_is_refused(looker: Looker, clock: Clock, tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"a\xff.edxml")).write_bytes(b"<a>")
    assert [kind for kind, _ in after(looker, clock, 3)] == ["refused"]


@pytest.mark.parametrize(
    ("text", "files", "names"),
    [
        ("nothing", ["12.pdf"], ("12.yaml", "12.pdf")),
        (SHEET, ["12.pdf", "12.docx"], ("12.yaml", "12.docx", "12.pdf")),
        (SHEET + "tệp: [../12.pdf]\n", [], ("12.yaml",)),
        (SHEET + "tệp: [a.pdf, A.pdf]\n", ["a.pdf"], ("12.yaml", "a.pdf")),
        (SHEET + "tệp: [Á.pdf]\n", ["á.pdf", unicodedata.normalize("NFD", "Á.PDF")], None),
    ],
)
def test_a_sheet_that_cannot_be_followed_is_refused_with_its_files(
    looker: Looker, clock: Clock, tmp_path: Path, text: str, files: list[str], names: tuple[str, ...] | None
) -> None:
    (tmp_path / "12.yaml").write_text(text)
    for name in files:
        (tmp_path / name).write_bytes(b"PK\x05\x06%%EOF")
    ((kind, found),) = after(looker, clock, 100)
    assert kind == "refused" and (names is None or found == names)


def test_a_new_version_of_a_sheet_is_read_anew(looker: Looker, clock: Clock, tmp_path: Path) -> None:
    (tmp_path / "12.pdf").write_bytes(PDF)
    (tmp_path / "12.yaml").write_text("trích yếu: Công văn\n")
    looker.look()
    (tmp_path / "12.yaml").write_text(SHEET)
    assert after(looker, clock, 3) == [("sheet", ("12.yaml", "12.pdf"))]
