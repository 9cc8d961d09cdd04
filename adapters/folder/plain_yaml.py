"""A small part of YAML, read strictly: mappings, lists and texts, nothing else. Pure.

Every value is the text that stands there: `03` is not a number, `no` not a falsehood, `22/11/2026` not a date. Anchors,
aliases, tags and merge keys are refused (so nothing unfolds), as are doubled names, several documents in a file, deep
nesting and large files. Errors say line and column in both languages.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from adapters.folder.texts import Told

Value: TypeAlias = "str | list[Value] | dict[str, Value]"

MAX_BYTES: Final = 256 * 1024
MAX_DEPTH: Final = 6
MAX_VALUES: Final = 20_000


_PROBLEMS: Final = (
    ("mapping values are not allowed", Told("a value with a colon in it; put the whole value in quotes",
                                            'giá trị có dấu hai chấm; hãy đặt cả giá trị trong dấu nháy kép "…"')),
    ("character '\\t'", Told("a tab; use blanks", "có dấu Tab; hãy dùng dấu cách")),
    ("unexpected end of stream", Told("a quote that is never closed", "dấu nháy mở mà không đóng")),
    ("could not find expected ':'", Told("a line without `name:`", "dòng không có dạng `tên: giá trị`")),
    ("expected <block end>", Told("other indentation than above, or something behind a quote",
                                  "thụt đầu dòng khác các dòng trên, hoặc có chữ thừa sau dấu nháy")),
    ("cannot start any token", Told("a value that begins with a sign that YAML keeps for itself; put it in quotes",
                                    "giá trị bắt đầu bằng ký hiệu riêng của YAML; hãy đặt trong dấu nháy kép")),
    ("expected ',' or", Told("a bracket that is never closed", "ngoặc mở mà không đóng")),
)  # fmt: skip
"""What people get wrong, by a piece of the parser's words."""


class NotPlain(Exception):
    """The file cannot be read; `told` says where and why."""

    def __init__(self, told: Told) -> None:
        super().__init__(told.en)
        self.told = told


def load(data: bytes) -> dict[str, Value]:
    """The names and values of a sheet. Raises NotPlain."""
    if len(data) > MAX_BYTES:
        raise NotPlain(Told(f"The sheet has more than {MAX_BYTES} bytes.", f"Phiếu lớn hơn {MAX_BYTES} byte."))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as why:
        raise NotPlain(
            Told(
                f"The sheet is not UTF-8 (byte {why.start + 1}). Save it as UTF-8.",
                f"Phiếu không ở mã UTF-8 (byte {why.start + 1}). Hãy lưu lại với mã UTF-8.",
            )
        ) from why
    try:
        found = _Reader(text).document()
    except yaml.MarkedYAMLError as why:
        mark = why.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        told = _in_words(str(why.problem))
        raise _at(line, column, told.en, told.vi) from why
    except (yaml.YAMLError, RecursionError) as why:
        raise NotPlain(Told(f"The sheet is not YAML: {why}", f"Phiếu không đúng cú pháp YAML: {why}")) from why
    if not isinstance(found, dict):
        raise _at(1, 1, "expected lines of the form `name: value`", "cần các dòng dạng `tên: giá trị`")
    return found


def _at(line: int, column: int, en: str, vi: str) -> NotPlain:
    return NotPlain(Told(f"Line {line}, column {column}: {en}.", f"Dòng {line}, cột {column}: {vi}."))


def _in_words(problem: str) -> Told:
    for piece, told in _PROBLEMS:
        if piece in problem:
            return told
    return Told(f"not YAML: {problem}", f"không đúng cú pháp YAML: {problem}")


class _Reader:
    """From the parser's events to values; no YAML constructor ever runs."""

    def __init__(self, text: str) -> None:
        self._events = yaml.parse(text, Loader=yaml.SafeLoader)
        self._values = 0

    def document(self) -> Value:
        event = self._next()
        while not isinstance(event, DocumentStartEvent):
            if isinstance(event, StreamEndEvent):
                raise _at(1, 1, "the sheet is empty", "phiếu trống")
            event = self._next()
        found = self._value(self._next(), 0)
        self._next()  # the document's end
        after = self._next()
        if not isinstance(after, StreamEndEvent):
            raise self._refused(after, "a second document in one file", "tệp có nhiều tài liệu YAML")
        return found

    def _next(self) -> Event:
        return next(self._events)

    def _value(self, event: Event, depth: int) -> Value:
        self._values += 1
        if self._values > MAX_VALUES:
            raise self._refused(event, f"more than {MAX_VALUES} values", f"nhiều hơn {MAX_VALUES} giá trị")
        if depth > MAX_DEPTH:
            raise self._refused(event, f"more than {MAX_DEPTH} levels", f"lồng quá {MAX_DEPTH} cấp")
        if isinstance(event, AliasEvent) or getattr(event, "anchor", None) is not None:
            raise self._refused(
                event, "& and * have no meaning here; quote them", "không dùng & và *; hãy đặt trong dấu nháy"
            )
        if getattr(event, "tag", None) is not None:
            raise self._refused(event, "! has no meaning here; quote it", "không dùng !; hãy đặt trong dấu nháy")
        match event:
            case ScalarEvent():
                return str(event.value)
            case SequenceStartEvent():
                items: list[Value] = []
                while not isinstance(inside := self._next(), SequenceEndEvent):
                    items.append(self._value(inside, depth + 1))
                return items
            case MappingStartEvent():
                return self._mapping(depth)
        raise self._refused(event, "something unexpected", "nội dung không mong đợi")

    def _mapping(self, depth: int) -> dict[str, Value]:
        found: dict[str, Value] = {}
        while not isinstance(inside := self._next(), MappingEndEvent):
            name = self._value(inside, depth + 1)
            if not isinstance(name, str):
                raise self._refused(inside, "a name must be a text", "tên trường phải là chữ")
            if name in found:
                raise self._refused(inside, f"`{name}` stands there twice", f"`{name}` viết hai lần")
            found[name] = self._value(self._next(), depth + 1)
        return found

    @staticmethod
    def _refused(event: Event, en: str, vi: str) -> NotPlain:
        mark = event.start_mark
        return _at(mark.line + 1, mark.column + 1, en, vi) if mark else _at(1, 1, en, vi)
