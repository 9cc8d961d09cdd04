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

_DATE: Final = re.compile(r"(\d{4})/(\d{1,2})/(\d{1,2})", re.ASCII)
_OTHER_DATES: Final = (
    re.compile(r"(?P<y>\d{4})/(?P<m>\d{1,2})/(?P<d>\d{1,2})[ T]\d{1,2}:\d{2}:\d{2}(?:\.\d+)?", re.ASCII),
    re.compile(r"(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})(?:[ T].*)?", re.ASCII),
    re.compile(r"(?P<d>\d{1,2})/(?P<m>\d{1,2})/(?P<y>\d{4})(?: .*)?", re.ASCII),
)
_MOMENT: Final = re.compile(r"(\d{4})/(\d{1,2})/(\d{1,2}) (\d{1,2}):(\d{2}):(\d{2})", re.ASCII)
_OTHER_MOMENT: Final = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4}) (\d{1,2}):(\d{2}):(\d{2})", re.ASCII)
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
    if match := _DATE.fullmatch(text):
        year, month, day = (int(group) for group in match.groups())
        return _date(year, month, day, regular=True)
    for form in _OTHER_DATES:
        if match := form.fullmatch(text):
            return _date(int(match["y"]), int(match["m"]), int(match["d"]), regular=False)
    return None


def _date(year: int, month: int, day: int, *, regular: bool) -> Read | None:
    if year not in YEARS:
        return None
    try:
        return Read(date(year, month, day), regular)
    except ValueError:
        return None


def _read_moment(text: str) -> Read | None:
    try:
        if match := _MOMENT.fullmatch(text):
            year, month, day, hour, minute, second = (int(group) for group in match.groups())
            return Read(datetime(year, month, day, hour, minute, second, tzinfo=VIET_NAM))
        if match := _OTHER_MOMENT.fullmatch(text):
            day, month, year, hour, minute, second = (int(group) for group in match.groups())
            return Read(datetime(year, month, day, hour, minute, second, tzinfo=VIET_NAM), False)
        read = datetime.fromisoformat(text.replace("/", "-"))
    except ValueError:
        return None
    return Read(aware(read), False)


def _read_moment_in_range(text: str) -> Read | None:
    read = _read_moment(text)
    return read if read is not None and read.value.year in YEARS else None


def aware(moment: datetime) -> datetime:
    """A time of the format as an aware one: what has no zone is Vietnamese."""
    return moment.replace(tzinfo=VIET_NAM) if moment.tzinfo is None else moment


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
DATE: Final = Value(same("yyyy/MM/dd"), _read_date, _write_date)
MOMENT: Final = Value(same("yyyy/MM/dd HH:mm:ss"), _read_moment_in_range, _write_moment)
FLAG: Final = Value(same("true / false"), lambda text: _FLAGS.get(text.lower()), lambda value: str(value).lower())
BIT: Final = Value(same("0 / 1"), lambda text: _BITS.get(text.lower()), lambda value: str(int(value)))
