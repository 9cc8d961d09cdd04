"""The sheet that lies beside a file to be sent: names in Vietnamese (with or without marks) or English. Pure.

Read strictly: a name that is not in the tables is an error that says which is nearest; all faults of a sheet are told.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

from adapters.folder.plain_yaml import Value
from adapters.folder.texts import PRIORITY, VIET_NAM, Told

FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "number": ("số",),
    "notation": ("ký hiệu",),
    "code": ("số ký hiệu", "số và ký hiệu"),
    "subject": ("trích yếu",),
    "to": ("gửi", "gửi đến", "mã nơi nhận"),
    "files": ("tệp", "các tệp", "file"),
    "type": ("loại", "loại văn bản"),
    "priority": ("độ khẩn", "mức độ khẩn"),
    "issued_on": ("ngày ban hành", "ngày"),
    "place": ("nơi ban hành",),
    "signer": ("người ký",),
    "due_on": ("hạn xử lý", "hạn trả lời"),
    "deliver_by": ("giờ hẹn",),
    "summary": ("tóm tắt", "nội dung"),
    "pages": ("số trang",),
    "copies": ("số bản",),
    "appendixes": ("phụ lục",),
    "filed_to": ("nơi nhận",),
    "scope": ("phạm vi",),
    "drafter": ("người soạn",),
    "steering": ("chỉ đạo",),
    "replies_to": ("trả lời", "trả lời văn bản"),
    "action": ("việc", "nghiệp vụ"),
    "concerns": ("văn bản", "document"),
    "reason": ("lý do",),
    "added": ("thêm", "thêm nơi nhận"),
    "removed": ("bớt", "bớt nơi nhận"),
    "sender": ("bên gửi", "cơ quan gửi"),
    "partial": ("gửi một phần",),
    "test": ("diễn tập",),
    "status": ("trạng thái",),
    "staff": ("cán bộ",),
    "recipient": ("bên nhận", "thay cho"),
}
"""What a sheet may hold, and what clerks call it. Where marks, blanks and case differ it is the same name."""

SIGNER: Final[Mapping[str, tuple[str, ...]]] = {
    "name": ("họ tên",), "position": ("chức vụ",), "authority": ("quyền hạn", "thẩm quyền"),
}  # fmt: skip
STAFF: Final[Mapping[str, tuple[str, ...]]] = {
    "name": ("họ tên",), "department": ("phòng ban", "đơn vị"), "phone": ("điện thoại",), "email": ("thư điện tử",),
}  # fmt: skip
KEY: Final[Mapping[str, tuple[str, ...]]] = {
    "id": ("mã",), "from": ("cơ quan", "bên gửi"), "number": ("số",), "notation": ("ký hiệu",),
    "code": ("số ký hiệu",), "issued_on": ("ngày ban hành", "ngày"),
}  # fmt: skip
ACTIONS: Final[Mapping[str, str]] = {
    "mới": "new", "gửi": "new", "new": "new", "thu hồi": "recall", "recall": "recall", "thay thế": "replace",
    "replace": "replace", "cập nhật": "update", "update": "update", "lấy lại": "take_back", "take back": "take_back",
}  # fmt: skip
PRIORITIES: Final[Mapping[str, int]] = {
    "thường": 0, "khẩn": 1, "thượng khẩn": 2, "hỏa tốc": 3, "hoả tốc": 3, "hỏa tốc hẹn giờ": 4, "hoả tốc hẹn giờ": 4,
    "normal": 0,
} | {str(n): n for n in range(5)}  # fmt: skip
BOOLEANS: Final[Mapping[str, bool]] = {
    "có": True, "đúng": True, "yes": True, "true": True, "không": False, "no": False, "false": False,
}  # fmt: skip
STATUSES: Final = ("02", "03", "04", "05", "06", "15", "16")
"""What a clerk reports; 01 goes out by itself, 13 is the action `lấy lại`."""

_DATES: Final = (
    (re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})"), (1, 2, 3)),
    (re.compile(r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})"), (3, 2, 1)),
)
_TIME: Final = re.compile(r"(\S+?)[ T](\d{1,2})[:h](\d{2})(?::(\d{2}))?")


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """A document that is named: by its id, or by what is printed on it."""

    id: str | None = None
    sender: str | None = None
    number: str = ""
    notation: str = ""
    issued_on: date | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Sheet:
    """A sheet that is understood."""

    action: str = "new"
    files: tuple[str, ...] | None = None
    to: tuple[str, ...] = ()
    sender: str | None = None
    recipient: str | None = None
    number: str = ""
    notation: str = ""
    subject: str = ""
    type: str = "Công văn"
    priority: int = 0
    issued_on: date | None = None
    deliver_by: datetime | None = None
    partial: bool = False
    test: bool = False
    reason: str | None = None
    replies_to: tuple[About, ...] = ()
    concerns: tuple[About, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    status: str | None = None
    staff: Mapping[str, str] = field(default_factory=dict)
    # The remaining fields of `document` (contract §2.2).
    further: Mapping[str, Any] = field(default_factory=dict)

    @property
    def needs_files(self) -> bool:
        """Whether there is nothing to send without a file beside it."""
        return self.status is None and self.action in ("new", "replace")


class BadSheet(Exception):
    """What is wrong with a sheet, all of it."""

    def __init__(self, told: list[Told]) -> None:
        super().__init__("; ".join(one.en for one in told))
        self.told = told


def plain(text: str) -> str:
    """Without marks, case and the difference between blanks, hyphens and underlines."""
    decomposed = unicodedata.normalize("NFD", text.strip().casefold())
    bare = "".join(sign for sign in decomposed if not unicodedata.combining(sign)).replace("đ", "d")
    return re.sub(r"[\s_\-]+", " ", bare)


def _by_plain(table: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    return {plain(name): known for known, names in table.items() for name in (known, *names)}


_FIELDS: Final = _by_plain(FIELDS)
_SIGNER: Final = _by_plain(SIGNER)
_STAFF: Final = _by_plain(STAFF)
_KEY: Final = _by_plain(KEY)
_ACTIONS: Final = {plain(name): value for name, value in ACTIONS.items()}
_PRIORITIES: Final = {plain(name): value for name, value in PRIORITIES.items()}
_BOOLEANS: Final = {plain(name): value for name, value in BOOLEANS.items()}


def read(values: Mapping[str, Value]) -> Sheet:
    """A sheet out of a file's names and values. Raises BadSheet with everything that is wrong."""
    return _Reading(values).sheet()


class _Reading:
    def __init__(self, values: Mapping[str, Value]) -> None:
        self._wrong: list[Told] = []
        self._values = self._named(values, _FIELDS, FIELDS, "")

    def sheet(self) -> Sheet:
        number, notation = self._number()
        further: dict[str, Any] = {
            "place": self._text("place"),
            "signer": self._person("signer", _SIGNER, SIGNER),
            "due_on": self._date("due_on"),
            "summary": self._text("summary"),
            "pages": self._count("pages"),
            "copies": self._count("copies"),
            "appendixes": list(self._list("appendixes")) or None,
            "filed_to": list(self._list("filed_to")) or None,
            "scope": self._text("scope"),
            "drafter": self._text("drafter"),
            "steering": self._count("steering"),
        }
        sheet = Sheet(
            action=self._choice("action", _ACTIONS, ("thu hồi", "thay thế", "cập nhật", "lấy lại")) or "new",
            files=self._list("files") if "files" in self._values else None,
            to=self._list("to"),
            sender=self._text("sender"),
            recipient=self._text("recipient"),
            number=number,
            notation=notation,
            subject=self._text("subject") or "",
            type=self._text("type") or "Công văn",
            priority=self._choice("priority", _PRIORITIES, (*PRIORITY, "0-4")) or 0,
            issued_on=self._date("issued_on"),
            deliver_by=self._moment("deliver_by"),
            partial=self._choice("partial", _BOOLEANS, ("có", "không")) or False,
            test=self._choice("test", _BOOLEANS, ("có", "không")) or False,
            reason=self._text("reason"),
            replies_to=self._abouts("replies_to"),
            concerns=self._abouts("concerns"),
            added=self._list("added"),
            removed=self._list("removed"),
            status=self._status(),
            staff=self._person("staff", _STAFF, STAFF) or {},
            further={name: value for name, value in further.items() if value is not None},
        )
        self._needed(sheet)
        if self._wrong:
            raise BadSheet(self._wrong)
        return sheet

    def _needed(self, sheet: Sheet) -> None:
        if sheet.status is not None:
            if len(sheet.concerns) != 1:
                self._tell("concerns", "names the one document", "nêu đúng một văn bản")
            if sheet.status in ("02", "16") and not sheet.reason:
                self._tell("reason", "is needed with 02 and 16", "bắt buộc với trạng thái 02 và 16")
            return
        if sheet.action == "new" and not sheet.subject:
            self._tell("subject", "is needed", "bắt buộc phải có")
        if sheet.action == "new" and not sheet.to:
            self._tell("to", "is needed: codes or groups", "bắt buộc phải có: mã định danh hoặc nhóm")
        if sheet.action != "new" and not sheet.concerns:
            self._tell("concerns", "is needed: which document", "bắt buộc phải có: văn bản nào")
        if sheet.action in ("recall", "replace", "take_back") and not sheet.reason:
            self._tell("reason", "is needed", "bắt buộc phải có")
        if sheet.action == "take_back" and not sheet.to:
            self._tell("to", "is needed: who is asked", "bắt buộc phải có: yêu cầu cơ quan nào")

    # ── Values ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _named(
        self, values: Mapping[str, Value], names: Mapping[str, str], table: Mapping[str, tuple[str, ...]], where: str
    ) -> dict[str, Value]:
        found: dict[str, Value] = {}
        for name, value in values.items():
            known = names.get(plain(name))
            if known is None:
                near = difflib.get_close_matches(plain(name), names, n=1)
                hint = f" ({table[names[near[0]]][0]}?)" if near else ""
                self._wrong.append(Told(f"`{where}{name}` is not a name of a sheet{hint}.",
                                        f"Không có trường `{where}{name}`{hint}."))  # fmt: skip
            elif known in found:
                self._wrong.append(Told(f"`{where}{name}` stands there twice.", f"`{where}{name}` viết hai lần."))
            else:
                found[known] = value
        return found

    def _tell(self, name: str, en: str, vi: str) -> None:
        called = FIELDS[name][0]
        self._wrong.append(Told(f"`{called}` ({name}) {en}.", f"`{called}` {vi}."))

    def _text(self, name: str) -> str | None:
        value = self._values.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            self._tell(name, "must be a text", "phải là chữ")
            return None
        return unicodedata.normalize("NFC", value).strip() or None

    def _list(self, name: str) -> tuple[str, ...]:
        value = self._values.get(name)
        if value is None:
            return ()
        # Commas and semicolons divide codes on one line; names of files and places may hold them.
        if isinstance(value, str):
            value = list(re.split(r"[,;]", value)) if name in ("to", "added", "removed") else [value]
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            self._tell(name, "must be a list of texts", "phải là danh sách chữ")
            return ()
        texts = (unicodedata.normalize("NFC", str(one)).strip() for one in value)
        return tuple(dict.fromkeys(one for one in texts if one))

    def _number(self) -> tuple[str, str]:
        number, notation, code = self._text("number") or "", self._text("notation") or "", self._text("code")
        if code is None:
            return number, notation
        if number or notation:
            self._tell("code", "and số, ký hiệu: write one or the other", "hoặc số, ký hiệu: chỉ ghi một cách")
        head, slash, tail = code.partition("/")
        if not slash:
            self._tell("code", "has the form 12/VPCP-TH", "có dạng 12/VPCP-TH")
        return head.strip(), tail.strip()

    def _choice(self, name: str, table: Mapping[str, Any], shown: tuple[str, ...]) -> Any:
        text = self._text(name)
        if text is None:
            return None
        if plain(text) not in table:
            listed = ", ".join(shown)
            self._tell(name, f"is {text!r}, expected one of {listed}", f"ghi {text!r}, cần một trong: {listed}")
            return None
        return table[plain(text)]

    def _status(self) -> str | None:
        text = self._text("status")
        if text is None:
            return None
        code = text.zfill(2)
        if code not in STATUSES:
            listed = ", ".join(STATUSES)
            self._tell("status", f"is {text!r}, expected one of {listed}", f"ghi {text!r}, cần một trong: {listed}")
        return code

    def _count(self, name: str) -> int | None:
        text = self._text(name)
        if text is None:
            return None
        if not re.fullmatch(r"[0-9]{1,9}", text):
            self._tell(name, f"is {text!r}, expected a whole number", f"ghi {text!r}, cần một số nguyên")
            return None
        return int(text)

    def _date(self, name: str) -> date | None:
        text = self._text(name)
        if text is None:
            return None
        found = _date_of(text)
        if found is None:
            self._tell(name, f"is {text!r}, expected a date such as 22/11/2026", f"ghi {text!r}, cần dạng 22/11/2026")
        return found

    def _moment(self, name: str) -> datetime | None:
        text = self._text(name)
        if text is None:
            return None
        try:
            found: datetime | None = datetime.fromisoformat(text)
        except ValueError:
            found = _moment_of(text)
        if found is None:
            form = "22/11/2026 17:00"
            self._tell(name, f"is {text!r}, expected a time such as {form}", f"ghi {text!r}, cần dạng {form}")
            return None
        return found if found.tzinfo else found.replace(tzinfo=VIET_NAM)

    def _person(
        self, name: str, names: Mapping[str, str], table: Mapping[str, tuple[str, ...]]
    ) -> dict[str, str] | None:
        value = self._values.get(name)
        if value is None:
            return None
        if isinstance(value, str):
            return {"name": unicodedata.normalize("NFC", value).strip()}
        if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
            self._tell(name, "must be a name, or fields with texts", "phải là họ tên, hoặc các trường chữ")
            return None
        found = self._named(value, names, table, f"{FIELDS[name][0]}: ")
        return {key: str(one).strip() for key, one in found.items()}

    def _abouts(self, name: str) -> tuple[About, ...]:
        value = self._values.get(name)
        if value is None:
            return ()
        items = value if isinstance(value, list) else [value]
        return tuple(about for one in items if (about := self._about(name, one)) is not None)

    def _about(self, name: str, value: Value) -> About | None:
        if isinstance(value, str):
            return About(id=unicodedata.normalize("NFC", value).strip())
        if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
            self._tell(name, "must be an id, or fields with texts", "phải là mã văn bản, hoặc các trường chữ")
            return None
        fields = self._named(value, _KEY, KEY, f"{FIELDS[name][0]}: ")
        texts = {key: unicodedata.normalize("NFC", str(one)).strip() for key, one in fields.items()}
        number, notation = texts.get("number", ""), texts.get("notation", "")
        if "code" in texts:
            number, _, notation = (part.strip() for part in texts["code"].partition("/"))
        issued_on = _date_of(texts["issued_on"]) if "issued_on" in texts else None
        if "id" not in texts and (issued_on is None or not (number or notation)):
            self._tell(name, "needs mã, or số ký hiệu and ngày ban hành", "cần mã, hoặc số ký hiệu và ngày ban hành")
            return None
        return About(
            id=texts.get("id"), sender=texts.get("from"), number=number, notation=notation, issued_on=issued_on
        )


def _date_of(text: str) -> date | None:
    for form, (year, month, day) in _DATES:
        match = form.fullmatch(text.strip())
        if match is not None:
            try:
                return date(int(match[year]), int(match[month]), int(match[day]))
            except ValueError:
                return None
    return None


def _moment_of(text: str) -> datetime | None:
    match = _TIME.fullmatch(text.strip())
    day = _date_of(match[1]) if match else None
    if match is None or day is None:
        return None
    try:
        return datetime(day.year, day.month, day.day, int(match[2]), int(match[3]), int(match[4] or 0), tzinfo=VIET_NAM)
    except ValueError:
        return None
