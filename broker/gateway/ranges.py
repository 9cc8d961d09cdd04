"""Which bytes of a content a request means: single ranges, and the conditions on them (RFC 9110 §13, §14). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_SINGLE: Final = re.compile(r"bytes=\s*([0-9]{0,15})-([0-9]{0,15})\s*", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """Bytes from `start` up to and without `stop`; `partial` if that is what was asked for."""

    start: int
    stop: int
    partial: bool

    @property
    def length(self) -> int:
        return self.stop - self.start


class Unsatisfiable(Exception):
    """The range lies outside the content: 416."""


def span_of(size: int, *, range_header: str | None, if_range: str | None, etag: str) -> Span:
    """What to send of `size` bytes. Several ranges, other units and nonsense are answered with the whole.

    Raises Unsatisfiable.
    """
    whole = Span(start=0, stop=size, partial=False)
    if range_header is None or (if_range is not None and if_range.strip() != etag):
        return whole
    match = _SINGLE.fullmatch(range_header)
    if match is None:
        return whole
    first, last = match.groups()
    if not first and not last:
        return whole
    if not first:
        length = min(int(last), size)
        if length == 0:
            raise Unsatisfiable
        return Span(start=size - length, stop=size, partial=True)
    start = int(first)
    if last and int(last) < start:
        return whole
    if start >= size:
        raise Unsatisfiable
    return Span(start=start, stop=min(int(last) + 1, size) if last else size, partial=True)


def names(header: str | None, etag: str) -> bool:
    """Whether an If-None-Match header names this content; weak comparison."""
    if header is None:
        return False
    return header.strip() == "*" or etag in {one.strip().removeprefix("W/") for one in header.split(",")}
