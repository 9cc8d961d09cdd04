"""What people read in the folder names agencies, on one line, with the code that holds in brackets behind."""

from __future__ import annotations

from datetime import UTC, datetime

from adapters.folder.hearing import state_page
from adapters.folder.receiving import document_page
from adapters.letter import Ref
from tests.unit.mail.test_what_goes_out import a_letter

NAMES = {"G22": "Bộ Công\r\nan\u202e", "H53": "Tỉnh"}


def rows(page: bytes) -> list[str]:
    return page.decode("utf-8-sig").split("\r\n")


def test_the_sheet_of_a_document_names_sender_and_recipient() -> None:
    named = rows(document_page(a_letter("Trích yếu"), {"parts": []}, NAMES))
    assert "Cơ quan gửi / from: Bộ Công an (G22)" in named and "Nơi nhận / for: Tỉnh (H53)" in named
    assert not any("\n" in row or "\r" in row or "\u202e" in row for row in named)
    assert "Cơ quan gửi / from: G22" in rows(document_page(a_letter("Trích yếu"), {"parts": []}))


def test_the_state_of_what_was_sent_names_whose_status_it_is() -> None:
    at = datetime(2026, 11, 22, 3, 15, tzinfo=UTC).isoformat()
    state = {
        **Ref("G22", "x", "b" * 64).as_dict(),
        "kind": "document", "number": "12", "notation": "", "subject": "", "state": "sent", "accepted_at": None,
        "recipients": None, "statuses": [{"agency": "H53", "code": "01", "at": at, "reason": None}],
    }  # fmt: skip
    assert "  Tỉnh (H53)  01 đã đến / arrived  22/11/2026 10:15:00" in rows(state_page(state, NAMES))
    assert "  H53  01 đã đến / arrived  22/11/2026 10:15:00" in rows(state_page(state))
