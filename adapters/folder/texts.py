"""What people read in the folder: reasons, states and documents, Vietnamese first, then English. Pure."""

from __future__ import annotations

import errno
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, Final, NamedTuple

from schemas.errors import CATALOGUE, Refusal
from schemas.problem import Problem

_ANYTHING: Final = "LT-SCHEMA"

VIET_NAM: Final = timezone(timedelta(hours=7))


class Told(NamedTuple):
    """A sentence in both languages."""

    en: str
    vi: str


STATUS: Final[Mapping[str, Told]] = {
    "01": Told("arrived", "đã đến"),
    "02": Told("refused", "từ chối tiếp nhận"),
    "03": Told("received and registered", "đã tiếp nhận, vào sổ"),
    "04": Told("assigned", "phân công xử lý"),
    "05": Told("being processed", "đang xử lý"),
    "06": Told("completed", "hoàn thành"),
    "13": Told("asked to give back", "yêu cầu lấy lại"),
    "15": Told("change agreed", "đồng ý"),
    "16": Told("change refused", "từ chối yêu cầu"),
}
PRIORITY: Final = ("thường", "khẩn", "thượng khẩn", "hỏa tốc", "hỏa tốc hẹn giờ")
ACTION: Final[Mapping[str, Told]] = {
    "new": Told("new document", "văn bản mới"),
    "recall": Told("RECALL", "THU HỒI"),
    "update": Told("update", "cập nhật"),
    "replace": Told("replacement", "thay thế"),
}
STATE: Final[Mapping[str, Told]] = {
    "due": Told("waits to be sent", "đang chờ gửi"),
    "sent": Told("handed over, not answered yet", "đã chuyển lên trục, chưa có trả lời"),
    "accepted": Told("accepted by the exchange", "trục đã tiếp nhận"),
    "rejected": Told("rejected by the exchange", "trục từ chối"),
    "done": Told("handed over", "đã chuyển lên trục"),
    "signed": Told("signed, goes out by itself", "đã ký, tự động chuyển lên trục"),
}


def shown(moment: datetime | None) -> str:
    """A time as clerks write it, in Viet Nam."""
    return "" if moment is None else moment.astimezone(VIET_NAM).strftime("%d/%m/%Y %H:%M:%S")


def page(title: Told, rows: Sequence[tuple[Told, str]], after: Sequence[str] = ()) -> bytes:
    """A text file: a title, rows of `name / name: value`, further lines."""
    lines = [f"{title.vi.upper()} / {title.en}", ""]
    lines += [f"{name.vi} / {name.en}: {value}" for name, value in rows if value]
    if after:
        lines += ["", *after]
    return ("\r\n".join(lines) + "\r\n").encode("utf-8-sig")  # opens rightly in every editor of Windows


def reason_page(names: Sequence[str], told: Sequence[Told], *, code: str | None, at: datetime) -> bytes:
    """`ly-do.txt`: why something was not sent, what to do."""
    lines = [
        "CHƯA GỬI ĐƯỢC / NOT SENT",
        "",
        f"Tệp / files: {', '.join(plain(name) for name in names)}",
        f"Lúc / at: {shown(at)}",
        *([f"Mã lỗi / code: {code}"] if code else []),
        "",
        *(one.vi for one in told),
        "",
        *(one.en for one in told),
    ]
    return ("\r\n".join(lines) + "\r\n").encode("utf-8-sig", "replace")


def plain(name: str) -> str:
    """A file's name without anything that ends a line or acts on a terminal."""
    return "".join("·" if unicodedata.category(sign) in ("Cc", "Cs") else sign for sign in name)


def of_refusal(refusal: Refusal) -> list[Told]:
    """What the catalogue says, the place, and what to do."""
    return of_answer(refusal.code, refusal.detail())


def of_answer(code: str, detail: Mapping[str, Any]) -> list[Told]:
    """The same out of a notice of the exchange."""
    entry = CATALOGUE.get(code)
    said = [
        Told(
            str(detail.get("en") or (entry.en if entry else code)),
            str(detail.get("vi") or (entry.vi if entry else code)),
        )
    ]
    place = _place(code, detail)
    if place is not None:
        said.append(place)
    candidates = detail.get("candidates") or ()
    if candidates:
        listed = ", ".join(map(str, candidates))
        said.append(Told(f"Perhaps meant: {listed}.", f"Có thể là: {listed}."))
    return said


def _place(code: str, detail: Mapping[str, Any]) -> Told | None:
    """`expected` is English; in Vietnamese the catalogue has said it, unless the code is for anything."""
    field, found, expected = (detail.get(name) for name in ("field", "found", "expected"))
    if field is None and found is None and expected is None:
        return None
    where_en = where_vi = str(field or "")
    if where_en.startswith("to.") and where_en[3:].isdecimal():
        nth = int(where_en[3:]) + 1
        where_en, where_vi = f"`gửi` (to), number {nth}", f"`gửi`, nơi nhận thứ {nth}"
    en = ", ".join(
        part for part in (f"in {where_en}" if field else "", f"found {found}" if found else "",
                          f"expected {expected}" if expected else "") if part
    )  # fmt: skip
    vi = ", ".join(
        part for part in (f"tại {where_vi}" if field else "", f"có: {found}" if found else "",
                          f"cần: {expected}" if expected and code == _ANYTHING else "") if part
    )  # fmt: skip
    if not vi:
        return None
    return Told(f"{en[0].upper()}{en[1:]}.", f"{vi[0].upper()}{vi[1:]}.")


def of_problem(problem: Problem) -> list[Told]:
    """What this end must put right."""
    said = problem.diagnostics()
    return [Told(said, f"Cần khắc phục tại đơn vị: {said}")]


_OS: Final[Mapping[int, Told]] = {
    errno.ENOSPC: Told("the disk is full; make room, it goes on by itself",
                       "đĩa đầy; hãy giải phóng dung lượng, chương trình sẽ tự tiếp tục"),
    errno.EDQUOT: Told("the disk quota is used up", "hết hạn mức dung lượng đĩa"),
    errno.EACCES: Told("this program may not read or write there", "chương trình không có quyền đọc hoặc ghi"),
    errno.EPERM: Told("this program may not do that there", "chương trình không được phép thao tác"),
    errno.EROFS: Told("the file system is read-only", "hệ thống tệp chỉ cho đọc"),
    errno.EIO: Told("the disk reports an error", "lỗi đọc ghi đĩa"),
    errno.ESTALE: Told("the network folder is gone", "mất kết nối thư mục mạng"),
    errno.ENOTCONN: Told("the network folder is gone", "mất kết nối thư mục mạng"),
    errno.ENOENT: Told("it is not there; put it back, or start the program again",
                       "không tồn tại; hãy khôi phục thư mục, hoặc khởi động lại chương trình"),
}  # fmt: skip


def of_os(why: OSError) -> Told:
    """Why a file or folder cannot be used."""
    told = _OS.get(why.errno or 0, Told(why.strerror or str(why), why.strerror or str(why)))
    place = f"{why.filename}: " if why.filename else ""
    return Told(f"{place}{told.en}.", f"{place}{told.vi}.")
