"""Names from strangers become plain ones; names in outbox/ are judged by the conventions of programs."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.folder.names import MAX_BYTES, is_passed_over, safe, same, unused


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("12-VPCP.pdf", "12-VPCP.pdf"),
        ("Báo cáo số 7.pdf", "Báo cáo số 7.pdf"),
        (unicodedata.normalize("NFD", "Báo cáo.pdf"), "Báo cáo.pdf"),
        ("../../etc/passwd", "_.._.._etc_passwd"),
        ("..\\a.pdf", "_.._a.pdf"),
        ("..", "tep"),
        (".bashrc", "_.bashrc"),
        ("~$12.docx", "_~$12.docx"),
        ("a.pdf. .", "a.pdf"),
        ("CON.txt", "_CON.txt"),
        ("com1", "_com1"),
        ('a<b>c:"d"|e?f*.pdf', "a_b_c__d__e_f_.pdf"),
        ("58\u202efdp.exe", "58_fdp.exe"),
        ("a\x00b\n.pdf", "a_b_.pdf"),
        ("", "tep"),
        ("đ" * 200 + ".pdf", "đ" * 125 + ".pdf"),
    ],
)
def test_a_strangers_name_becomes_a_plain_one(name: str, plain: str) -> None:
    assert safe(name) == plain


@given(st.text(max_size=300))
def test_a_plain_name_stays_in_its_folder_and_fits(name: str) -> None:
    made = safe(name)
    assert made and len(made.encode()) <= MAX_BYTES and made not in (".", "..")
    assert Path("/x", made).parent == Path("/x") and Path("/x", made).resolve() == Path("/x", made)
    assert safe(made) == made


@given(st.lists(st.sampled_from(["a.pdf", "A.PDF", "Báo cáo.pdf", unicodedata.normalize("NFD", "báo cáo.pdf")])))
def test_no_two_names_of_a_folder_are_the_same_to_anybody(wanted: list[str]) -> None:
    taken: set[str] = set()
    for name in wanted:
        made = unused(safe(name), taken)
        assert same(made) not in taken
        taken.add(same(made))


HALF_WRITTEN = (
    ".hidden ~$12.docx 12.pdf.tmp 12.pdf.part 12.PDF.CRDOWNLOAD Thumbs.db 12~ 12.pdf.CHUA-GUI.txt .12.pdf.filepart"
    " 12.pdf.partial"
)


@pytest.mark.parametrize("name", HALF_WRITTEN.split())
def test_half_written_files_are_known_by_their_names(name: str) -> None:
    assert is_passed_over(name)


@pytest.mark.parametrize("name", ["12.pdf", "partial.pdf", "tmp", "12.yaml", "a.b.edxml", "~12.pdf"])
def test_others_are_not(name: str) -> None:
    assert not is_passed_over(name)
