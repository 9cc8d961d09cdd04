"""What is told to a clerk about a document, in Vietnamese and English, as plain lines; in mails and on the page.

Pure. Everything here came from strangers: each value is made one line without control characters before anything else
sees it. Escaping for HTML is left to whoever writes HTML.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from adapters.agency_names import NO_NAMES, shown
from adapters.compose import VIET_NAM
from adapters.letter import IncomingLetter

# Control characters, line and paragraph separators, and what turns the direction of writing.
_NOT_PLAIN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]+")
PRIORITIES = {
    1: ("KHẨN", "URGENT"),
    2: ("THƯỢNG KHẨN", "VERY URGENT"),
    3: ("HỎA TỐC", "EXPRESS"),
    4: ("HỎA TỐC HẸN GIỜ", "EXPRESS, AT AN APPOINTED HOUR"),
}
ACTIONS = {
    "new": ("Văn bản mới", "New document"),
    "recall": ("Thu hồi văn bản", "Recall of a document"),
    "update": ("Cập nhật văn bản", "Update of a document"),
    "replace": ("Thay thế văn bản", "Replacement of a document"),
}
KIB = 1024


class Fact(NamedTuple):
    """A label in both languages, and what stands beside it; in English too if that reads differently."""

    vi: str
    en: str
    value: str
    value_en: str = ""

    @property
    def both(self) -> str:
        """The value for a reader of either language."""
        return f"{self.value} / {self.value_en}" if self.value_en else self.value

    def told(self, *, vietnamese: bool) -> tuple[str, str]:
        """Label and value in one language."""
        return (self.vi, self.value) if vietnamese else (self.en, self.value_en or self.value)


class Said(NamedTuple):
    """A sentence in both languages."""

    vi: str
    en: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """A way to answer; `reason` says whether one is asked for."""

    word: str
    label: Said
    done: Said
    reason: bool


RECEIVE = Choice(
    word="receive",
    label=Said("Nhận (đã tiếp nhận, vào sổ văn bản đến)", "Receive (received and registered)"),
    done=Said("Đã nhận", "Received"),
    reason=False,
)
REFUSE = Choice(
    word="refuse",
    label=Said("Từ chối tiếp nhận (phải ghi lý do)", "Refuse (a reason is needed)"),
    done=Said("Đã từ chối tiếp nhận", "Refused"),
    reason=True,
)
AGREE = Choice(
    word="agree",
    label=Said("Đồng ý và đã thực hiện", "Agree, and done"),
    done=Said("Đã đồng ý", "Agreed"),
    reason=False,
)
DECLINE = Choice(
    word="decline",
    label=Said("Không đồng ý (phải ghi lý do)", "Decline (a reason is needed)"),
    done=Said("Không đồng ý", "Declined"),
    reason=True,
)
CHOICES = {one.word: one for one in (RECEIVE, REFUSE, AGREE, DECLINE)}


def one_line(text: str, limit: int = 500) -> str:
    """A stranger's text as one plain line of at most `limit` characters."""
    plain = " ".join(_NOT_PLAIN.sub(" ", text).split())
    return plain if len(plain) <= limit else plain[: limit - 1] + "…"


def size(count: int) -> str:
    """Bytes for people."""
    return f"{count / KIB / KIB:.1f} MB" if count >= KIB * KIB else f"{max(count / KIB, 0.1):.1f} KB"


def moment(seconds: float) -> str:
    """A time in Viet Nam."""
    return datetime.fromtimestamp(seconds, UTC).astimezone(VIET_NAM).strftime("%d/%m/%Y %H:%M")


def name_of(letter: IncomingLetter) -> str:
    """Number and notation as they are printed."""
    return one_line("/".join(one for one in (letter.number, letter.notation) if one), 100)


def facts_of(letter: IncomingLetter, names: Mapping[str, str] = NO_NAMES) -> list[Fact]:
    """What a clerk needs to know about a document. `names` of agencies are for reading and prove nothing."""
    about = letter.manifest.document
    signer = about.signer
    good = all(one.get("answer") == "good" for one in letter.verdict.values())
    # Whoever reads "valid" must also read whose hands the key is in (design §7).
    kept = "custody broker" in str(letter.verdict.get("policy", {}).get("why", ""))
    custody = ("; khóa do trục liên thông giữ", "; the exchange keeps the key") if kept else ("", "")
    trouble = "; ".join(f"{name}: {one.get('why', '')}" for name, one in letter.verdict.items())
    signature = (f"hợp lệ{custody[0]}", f"valid{custody[1]}")
    if not good:
        signature = (f"CẦN KIỂM TRA: {trouble}", f"TO BE CHECKED: {trouble}")
    found = [
        Fact("Việc", "Action", *ACTIONS[letter.action]),
        Fact("Số, ký hiệu", "Number", name_of(letter)),
        Fact("Ngày ban hành", "Issued on", about.issued_on.strftime("%d/%m/%Y") if about.issued_on else ""),
        Fact("Loại văn bản", "Type", about.type or ""),
        Fact("Trích yếu", "Subject", letter.subject),
        Fact("Lý do", "Reason", letter.reason or ""),
        Fact("Cơ quan gửi", "Sender", shown(letter.ref.sender, names)),
        Fact("Cơ quan nhận", "Recipient", shown(letter.recipient, names)),
        Fact("Người ký", "Signed by", ", ".join(filter(None, (signer.name, signer.position))) if signer else ""),
        Fact("Độ khẩn", "Priority", *PRIORITIES.get(letter.priority, ("", ""))),
        Fact("Hạn trả lời", "Due on", about.due_on.strftime("%d/%m/%Y") if about.due_on else ""),
        Fact("Chữ ký điện tử của cơ quan gửi", "Sender's signature", *signature),
        Fact("Mã văn bản", "Document id", letter.ref.id),
        Fact("Mã băm SHA-256", "Digest", letter.ref.digest),
    ]
    return [Fact(one.vi, one.en, one_line(one.value, 700), one_line(one.value_en, 700)) for one in found if one.value]


def with_names(facts: Sequence[Fact], codes: Sequence[str], names: Mapping[str, str]) -> list[Fact]:
    """Facts that were kept with codes, as people read them: an agency that is one of `codes` gets its name."""
    return [
        one._replace(value=shown(one.value, names))
        if one.en in ("Recipient", "Asked by") and one.value in codes
        else one
        for one in facts
    ]


def choices_of(letter: IncomingLetter) -> Sequence[Choice]:
    """How a document may be answered: a change of a document that is here is agreed to or declined."""
    return (AGREE, DECLINE) if letter.action != "new" and letter.concerns else (RECEIVE, REFUSE)
