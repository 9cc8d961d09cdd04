"""What is wrong with an edXML file: where, what was found, what was expected, in English and Vietnamese.

An `error` makes the file unusable; a `remark` tells of something that is out of order and is understood all the same,
as the field has it every day. `check` reports all of them; whoever has to answer a sender raises `refusal`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple, Protocol, TypeAlias

from schemas.errors import CATALOGUE, Refusal

SHOWN: Final = 80
"""Characters of a found value that are repeated."""


class Text(NamedTuple):
    """A clause in both languages."""

    en: str
    vi: str


class Place(NamedTuple):
    """Where in the file: line and column count from 1, columns in characters; the element by its path."""

    line: int
    column: int
    element: str


class Severity(StrEnum):
    """Whether the file can be used in spite of it."""

    ERROR = "error"
    REMARK = "remark"


class Kind(StrEnum):
    """What sort of fault, for programs."""

    TOO_LARGE = "too-large"
    TOO_DEEP = "too-deep"
    FORBIDDEN = "forbidden"
    ENCODING = "encoding"
    NOT_WELL_FORMED = "not-well-formed"
    PREFIX = "undeclared-prefix"
    NAMESPACE = "namespace"
    ROOT = "root"
    MISSING = "missing"
    REPEATED = "repeated"
    VALUE = "value"
    LENGTH = "length"
    UNKNOWN = "unknown-element"
    STRAY = "stray-text"
    DUPLICATE = "duplicate"
    BASE64 = "base64"
    ZIP = "zip"
    LINK = "attachment-link"
    MAPPING = "mapping"


TITLES: Final[dict[Kind, Text]] = {
    Kind.TOO_LARGE: Text("too large", "quá lớn"),
    Kind.TOO_DEEP: Text("nested too deeply", "lồng nhau quá sâu"),
    Kind.FORBIDDEN: Text("not allowed", "không được phép"),
    Kind.ENCODING: Text("encoding", "bảng mã ký tự"),
    Kind.NOT_WELL_FORMED: Text("not well-formed XML", "XML sai cú pháp"),
    Kind.PREFIX: Text("undeclared prefix", "tiền tố chưa khai báo"),
    Kind.NAMESPACE: Text("namespace", "không gian tên"),
    Kind.ROOT: Text("not an edXML message", "không phải gói tin edXML"),
    Kind.MISSING: Text("missing", "thiếu"),
    Kind.REPEATED: Text("repeated", "lặp lại"),
    Kind.VALUE: Text("value", "giá trị"),
    Kind.LENGTH: Text("length", "độ dài"),
    Kind.UNKNOWN: Text("unknown element", "phần tử không biết"),
    Kind.STRAY: Text("stray text", "văn bản thừa"),
    Kind.DUPLICATE: Text("named twice", "trùng nhau"),
    Kind.BASE64: Text("attachment data", "dữ liệu tệp đính kèm"),
    Kind.ZIP: Text("packed attachment", "tệp đính kèm nén"),
    Kind.LINK: Text("attachment link", "liên kết tệp đính kèm"),
    Kind.MAPPING: Text("cannot be carried over", "không chuyển đổi được"),
}
"""What each sort of fault is called."""

NOTHING: Final = Text("nothing", "không có gì")
EMPTY: Final = Text("an empty element", "phần tử rỗng")


@dataclass(frozen=True, kw_only=True, slots=True)
class EdxmlFault:
    """One fault. `found` holds the value of the one element that is named, cut, and nothing else of the document."""

    kind: Kind
    severity: Severity = Severity.ERROR
    place: Place
    found: Text
    expected: Text

    @property
    def en(self) -> str:
        """One sentence in English."""
        line, column, element = self.place
        return (
            f"Line {line}, column {column}, {element}: {TITLES[self.kind].en}; "
            f"found {self.found.en}, expected {self.expected.en}."
        )

    @property
    def vi(self) -> str:
        """One sentence in Vietnamese."""
        line, column, element = self.place
        return (
            f"Dòng {line}, cột {column}, {element}: {TITLES[self.kind].vi}. "
            f"Tìm thấy: {self.found.vi}. Cần: {self.expected.vi}."
        )

    def as_dict(self) -> dict[str, object]:
        """For programs: the code of the catalogue, the place and both texts."""
        return {
            "code": "LT-EDXML",
            "kind": self.kind.value,
            "severity": self.severity.value,
            "line": self.place.line,
            "column": self.place.column,
            "element": self.place.element,
            "found": self.found._asdict(),
            "expected": self.expected._asdict(),
            "en": self.en,
            "vi": self.vi,
        }


class Stop(Exception):
    """Reading cannot go on after this fault."""

    def __init__(self, fault: EdxmlFault) -> None:
        super().__init__(fault.en)
        self.fault = fault


class HasPlace(Protocol):
    """An element of the file."""

    @property
    def place(self) -> Place: ...


Placed: TypeAlias = Place | HasPlace
Found: TypeAlias = Text | str
"""A clause, or a value of the document, which will be quoted."""


class Faults:
    """The faults of one file, in the order in which they were found; after `limit` they are only counted."""

    def __init__(self, limit: int) -> None:
        self.found: list[EdxmlFault] = []
        self.untold = 0
        self._limit = limit
        self._remarks = 0

    def add(self, fault: EdxmlFault) -> None:
        self._say(fault.severity, fault.kind, fault.place, fault.found, fault.expected)

    @property
    def has_room(self) -> bool:
        """Whether a remark would still be kept."""
        return len(self.found) < self._limit

    def error(self, kind: Kind, place: Placed, *, found: Found, expected: Text) -> None:
        self._say(Severity.ERROR, kind, place, found, expected)

    def remark(self, kind: Kind, place: Placed, *, found: Found, expected: Text) -> None:
        self._say(Severity.REMARK, kind, place, found, expected)

    def _say(self, severity: Severity, kind: Kind, place: Placed, found: Found, expected: Text) -> None:
        """The place is only looked for, and a value only quoted, if it is told: there may be a hundred thousand."""
        if self._makes_room(severity):
            where = place if isinstance(place, Place) else place.place
            words = quoted(found) if isinstance(found, str) else found
            self.found.append(EdxmlFault(kind=kind, severity=severity, place=where, found=words, expected=expected))
            self._remarks += severity is Severity.REMARK

    def _makes_room(self, severity: Severity) -> bool:
        """Whether one more is kept; it is counted if not. An error is never crowded out by remarks."""
        if len(self.found) < self._limit:
            return True
        self.untold += 1
        if severity is Severity.REMARK or not self._remarks:
            return False
        self.found.remove(next(one for one in self.found if one.severity is Severity.REMARK))
        self._remarks -= 1
        return True


def quoted(value: str) -> Text:
    """A found value, cut, the same in both languages, without anything that could act on a terminal."""
    short = value if len(value) <= SHOWN else f"{value[: SHOWN - 1]}…"
    return same('"' + "".join(sign if sign.isprintable() else "·" for sign in " ".join(short.split())) + '"')


def namespace_found(namespace: str | None) -> Found:
    """The namespace that an element is in."""
    return namespace or Text("no namespace", "không có không gian tên")


def same(words: str) -> Text:
    """What reads the same in both languages."""
    return Text(words, words)


def errors_of(faults: Sequence[EdxmlFault]) -> tuple[EdxmlFault, ...]:
    """Those that make the file unusable."""
    return tuple(fault for fault in faults if fault.severity is Severity.ERROR)


def refusal(faults: Sequence[EdxmlFault]) -> Refusal:
    """The answer to the sender: LT-EDXML with the first error's place; the others are for `check`."""
    errors = errors_of(faults)
    first = errors[0]
    line, column, element = first.place
    others = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return EdxmlRefusal(
        code="LT-EDXML",
        field=f"{element}, line {line}, column {column}",
        found=f"{TITLES[first.kind].en}: {first.found.en}",
        expected=f"{first.expected.en}{others}",
    ).of(errors)


class EdxmlRefusal(Refusal):
    """LT-EDXML with all the faults behind it; `detail` then has them in both languages."""

    faults: tuple[EdxmlFault, ...] = ()

    def of(self, faults: Sequence[EdxmlFault]) -> "EdxmlRefusal":
        self.faults = tuple(faults)
        return self

    def diagnostics(self) -> str:
        """The first error in both languages, a line each."""
        entry = CATALOGUE["LT-EDXML"]
        first = self.faults[0]
        return f"LT-EDXML: {first.en} {entry.remedy_en}\n{first.vi} {entry.remedy_vi}"

    def detail(self) -> dict[str, object]:
        entry = CATALOGUE["LT-EDXML"]
        first = self.faults[0]
        return {
            **Refusal.detail(self),
            "en": f"{first.en} {entry.remedy_en}",
            "vi": f"{first.vi} {entry.remedy_vi}",
        }
