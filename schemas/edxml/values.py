"""The simple values of the format: how each is read, which other spellings are understood, how it is written.

Times in the format have no zone: they are Asia/Ho_Chi_Minh, which has been UTC+7 all the year since 1975. Everything
here returns aware times.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, Final, NamedTuple

from schemas.edxml.faults import Text, same

VIET_NAM: Final = timezone(timedelta(hours=7), "+07:00")
"""Asia/Ho_Chi_Minh."""

YEARS: Final = range(2, 9999)
"""A little less than Python has, so that every moment has its time in UTC too."""

_DATE: Final = re.compile(r"\d{4}/\d{1,2}/\d{1,2}", re.ASCII)
_MOMENT: Final = re.compile(r"\d{4}/\d{1,2}/\d{1,2} \d{1,2}:\d{2}:\d{2}", re.ASCII)
_TIME: Final = r"(?P<H>\d{1,2}):(?P<M>\d{2})(?::(?P<S>\d{2})(?:\.\d+)?)?"
_ZONE: Final = r"(?P<zone>Z|[+-]\d{2}:?\d{2})?"
_FORMS: Final = tuple(
    re.compile(form, re.ASCII)
    for form in (
        rf"(?P<y>\d{{4}})(?P<sep>[/-])(?P<m>\d{{1,2}})(?P=sep)(?P<d>\d{{1,2}})(?:[ T]+{_TIME})?{_ZONE}",
        # With AM or PM the month stands in front, or not: which day is meant cannot be told.
        rf"(?P<d>\d{{1,2}})(?P<sep>[/.-])(?P<m>\d{{1,2}})(?P=sep)(?P<y>\d{{4}})(?: +{_TIME})?{_ZONE}",
        rf"(?P<y>\d{{4}})(?P<m>\d{{2}})(?P<d>\d{{2}})(?:T?(?P<H>\d{{2}})(?P<M>\d{{2}})(?P<S>\d{{2}}))?{_ZONE}",
    )
)
"""All spellings of a day, with or without a time, that are met and can mean one day only."""

_NUMBER: Final = re.compile(r"[+-]?\d{1,9}", re.ASCII)


class Read(NamedTuple):
    """A value, and whether it was written as the format has it (False: in a form that is understood all the same)."""

    value: Any
    regular: bool = True


class Value(NamedTuple):
    """A kind of simple value. `read` gets a text without blanks around it and says None to what it is not."""

    expected: Text
    read: Callable[[str], Read | None]
    write: Callable[[Any], str]
    # Whether blanks around it belong to it.
    verbatim: bool = False


def _read_date(text: str) -> Read | None:
    """The day in Viet Nam: the evening of another day elsewhere, if a zone is told."""
    moment = _moment(text)
    return Read(moment.astimezone(VIET_NAM).date(), bool(_DATE.fullmatch(text))) if moment else None


def _read_moment(text: str) -> Read | None:
    moment = _moment(text)
    return Read(moment, bool(_MOMENT.fullmatch(text))) if moment else None


def _moment(text: str) -> datetime | None:
    """The time that is spelt so; midnight if none is told, Vietnamese if no zone is, or a zone without a time."""
    match = next((match for form in _FORMS if (match := form.fullmatch(text))), None)
    if match is None or int(match["y"]) not in YEARS:
        return None
    try:
        zone = _zone(match["zone"]) if match["zone"] and match["H"] else VIET_NAM
        year, month, day, hour, minute, second = (int(match[name] or 0) for name in ("y", "m", "d", "H", "M", "S"))
        return datetime(year, month, day, hour, minute, second, tzinfo=zone)
    except ValueError:
        return None


def _zone(text: str) -> timezone:
    """Raises ValueError for what is no zone."""
    if text == "Z":
        return UTC
    hours, minutes = int(text[1:3]), int(text[-2:])
    return timezone((-1 if text[0] == "-" else 1) * timedelta(hours=hours, minutes=minutes))


def naive(moment: datetime) -> datetime:
    """An aware time as the format has it: Vietnamese, whole seconds, no zone. Raises ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError("a time without an offset cannot be written: it would mean a different moment elsewhere")
    within = min(max(moment, datetime(YEARS.start, 1, 2, tzinfo=UTC)), datetime(YEARS.stop - 1, 12, 30, tzinfo=UTC))
    return within.astimezone(VIET_NAM).replace(microsecond=0, tzinfo=None)


def _write_date(value: date) -> str:
    return f"{value.year:04}/{value.month:02}/{value.day:02}"


def _write_moment(value: datetime) -> str:
    local = naive(value)
    return f"{_write_date(local.date())} {local:%H:%M:%S}"


def _read_number(text: str) -> Read | None:
    return Read(int(text)) if _NUMBER.fullmatch(text) else None


def number(low: int, high: int | None = None) -> Value:
    """A whole number within bounds."""
    to = f"-{high}" if high is not None else ""
    words = (f"a whole number {low}{to}", f"số nguyên {low}{to}") if to else (f"a number from {low}", f"số từ {low}")

    def read(text: str) -> Read | None:
        found = _read_number(text)
        return found if found and low <= found.value and (high is None or found.value <= high) else None

    return Value(Text(*words), read, str)


_FLAGS: Final = {"true": Read(True), "false": Read(False), "1": Read(True, False), "0": Read(False, False)}
_BITS: Final = {"1": Read(True), "0": Read(False), "true": Read(True, False), "false": Read(False, False)}

TEXT: Final = Value(Text("a text", "văn bản"), Read, str, verbatim=True)
TOKEN: Final = Value(Text("a value", "giá trị"), Read, str)
DATE: Final = Value(Text("a day as yyyy/MM/dd", "ngày dạng yyyy/MM/dd"), _read_date, _write_date)
MOMENT: Final = Value(
    Text("a time as yyyy/MM/dd HH:mm:ss", "thời điểm dạng yyyy/MM/dd HH:mm:ss"), _read_moment, _write_moment
)
FLAG: Final = Value(same("true / false"), lambda text: _FLAGS.get(text.lower()), lambda value: str(value).lower())
BIT: Final = Value(same("0 / 1"), lambda text: _BITS.get(text.lower()), lambda value: str(int(value)))
