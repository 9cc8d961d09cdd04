"""What the façade answers: HTTP 200 and a JSON object, in which every value is there and of the type that clients read.

The official client reads some answers as US-ASCII and stops at a JSON null, so nothing but ASCII is written and nothing
is null. Error codes are those that the error catalogue names for this protocol. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from schemas.edxml.faults import EdxmlRefusal
from schemas.edxml.values import VIET_NAM
from schemas.errors import CATALOGUE, Refusal

OK: Final = 0
INVALID_FILE: Final = 10
NOT_SIGNED_IN: Final = 15
NO_RECEIVER: Final = 18
NO_SENDER: Final = 19
INTERNAL: Final = 20
NOT_PROCESSED: Final = 21
BAD_EDXML: Final = 22
LOCKED: Final = 23
DESCRIPTION_LIMIT: Final = 4000
"""Characters of a description."""
FAULTS_TOLD: Final = 5
"""Faults of a file that are told one by one."""

DENIED: Final = "Sai mã hệ thống hoặc khóa bí mật. / Wrong system id or secret."
TAKEN: Final = "Thành công / Success"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer. `more` stands beside the common members: `data`, `DocId`, `count`."""

    code: int = OK
    description: str = TAKEN
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        """The JSON text."""
        told: dict[str, Any] = {
            "status": "OK" if self.code == OK else "FAIL",
            "ErrorCode": str(self.code),
            "ErrorDesc": self.description[:DESCRIPTION_LIMIT],
        }
        if self.code != OK:
            # The official client reads it of every answer to `sendEdoc`; without it the error itself is lost on it.
            told["DocId"] = ""
        return json.dumps(told | dict(self.more), separators=(",", ":")).encode("ascii")


def failed(code: int, vi: str, en: str) -> Answer:
    """An answer that says what is wrong, in both languages."""
    return Answer(code=code, description=f"{vi} / {en}")


def refused(refusal: Refusal) -> Answer:
    """The answer for a refusal of the exchange's own checks; of a faulty file, all faults that fit."""
    if not isinstance(refusal, EdxmlRefusal):
        return refused_with(refusal.code, refusal.detail())
    told, others = refusal.faults[:FAULTS_TOLD], len(refusal.faults) - FAULTS_TOLD
    more_vi, more_en = (f" Và {others} lỗi khác.", f" And {others} more.") if others > 0 else ("", "")
    vi = f"{' '.join(fault.vi for fault in told)}{more_vi} {refusal.entry.remedy_vi}"
    en = f"{' '.join(fault.en for fault in told)}{more_en} {refusal.entry.remedy_en}"
    return failed(refusal.entry.vxp, f"{refusal.code}: {vi}", en)


def refused_with(code: str | None, detail: Mapping[str, Any] | None) -> Answer:
    """The answer for a code of the error catalogue with the detail that a notice has."""
    entry = CATALOGUE.get(code or "", CATALOGUE["LT-BROKER"])
    said = detail or {}
    place = ": ".join(str(said[name]) for name in ("field", "found") if said.get(name))
    if said.get("expected"):
        place += f" (-> {said['expected']})"
    candidates = said.get("candidates")
    if isinstance(candidates, Sequence) and not isinstance(candidates, str) and candidates:
        place += f" [{', '.join(map(str, candidates))}]"
    vi, en = str(said.get("vi") or entry.vi), str(said.get("en") or entry.en)
    return Answer(code=entry.vxp or INTERNAL, description=f"{entry.code}: {vi} / {en}{f' {place}' if place else ''}")


def moment(at: datetime | None) -> str:
    """A time as existing software reads it: Vietnamese local time, `yyyy/MM/dd HH:mm:ss`; empty for none."""
    return "" if at is None else at.astimezone(VIET_NAM).strftime("%Y/%m/%d %H:%M:%S")
