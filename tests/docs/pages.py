"""Pages taken apart into blocks with their directions, and outputs compared. Pure; the rules are in the README."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

RUN: Final = ("sh", "python")
SHOWN: Final = ("text", "json")
FILES: Final = ("yaml", "toml", "xml", "json", "ini", "text")
WORDS: Final = ("exit", "in", "file", "background", "until", "repeat", "hidden", "output")

_FENCE: Final = re.compile(r"^(?P<marks>```+|~~~+)\s*(?P<language>[\w+-]*)\s*$")
_DIRECTIONS: Final = re.compile(r"^<!--\s*run:\s*(?P<words>.*?)\s*-->\s*$")
_SAME: Final = (
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "<id>"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "<digest>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?(Z|[+-]\d\d:\d\d)?"), "<time>"),
    (re.compile(r"\b\d{4}/\d\d/\d\d \d\d:\d\d(:\d\d)?"), "<time>"),
    (re.compile(r"\b\d\d/\d\d/\d{4} \d\d:\d\d(:\d\d)?"), "<time>"),
    (re.compile(r"\b(\d{4}-\d\d-\d\d|\d{4}/\d\d/\d\d|\d\d/\d\d/\d{4})\b"), "<day>"),
    (re.compile(r"\b20\d\d-\d\d/"), "<month>/"),
    (re.compile(r"\b127\.0\.0\.1:\d+\b"), "<address>"),
)


class BadPage(Exception):
    """A page breaks the rules of tests/docs/README.md."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """A fenced block and what is to be done with it."""

    page: str
    line: int
    language: str
    text: str
    directions: Mapping[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: str, text: str) -> list[Block]:
    """The fenced blocks of a page, in order. Raises BadPage for directions that nobody follows."""
    found: list[Block] = []
    directions: dict[str, str] = {}
    gathered: list[str] | None = None
    marks, language, start = "", "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        if gathered is not None:
            if line.strip() == marks:
                block = Block(
                    page=page, line=start, language=language, text="\n".join(gathered) + "\n", directions=directions
                )
                found.append(block)
                gathered, directions = None, {}
            else:
                gathered.append(line)
            continue
        fence, told = _FENCE.match(line), _DIRECTIONS.match(line)
        if fence is not None:
            marks, language, start, gathered = fence["marks"], fence["language"], number, []
        elif told is not None:
            directions = _words(told["words"], f"{page}:{number}")
        elif line.strip() and directions:
            raise BadPage(f"{page}:{number}: directions without a block behind them")
        elif line.lstrip().startswith(("```", "~~~")):
            raise BadPage(f"{page}:{number}: a fence that is not understood (no indentation, one word): {line!r}")
    if gathered is not None:
        raise BadPage(f"{page}:{start}: a block that is never closed")
    return found


def _words(text: str, place: str) -> dict[str, str]:
    found = {}
    for word in shlex.split(text):
        name, _, value = word.partition("=")
        if name not in WORDS:
            raise BadPage(f"{place}: {name!r} is none of {', '.join(WORDS)}")
        found[name] = value
    return found


def deed(block: Block, before: str | None) -> str:
    """What is done with a block: `run`, `write` or `compare`; `before` is the deed of the block in front of it.

    Raises BadPage for a block that would only be looked at.
    """
    if "file" in block.directions:
        if block.language not in (*FILES, *RUN):
            raise BadPage(f"{block.place}: a file in the language {block.language!r}")
        return "write"
    if block.language in RUN and "output" not in block.directions:
        return "run"
    if block.language in SHOWN and ("output" in block.directions or before == "run"):
        return "compare"
    raise BadPage(
        f"{block.place}: a {block.language or 'nameless'} block that is neither run, nor written to a file (file=…), "
        "nor the output of the block in front of it"
    )


def plain(text: str) -> list[str]:
    """An output with what differs from run to run made the same."""
    for form, same in _SAME:
        text = form.sub(same, text)
    return [line.rstrip() for line in text.strip("\n").splitlines()]


def differs(shown: str, printed: str) -> str | None:
    """Why an output is not what the page shows, or None."""
    wanted, found = plain(shown), plain(printed)
    form = ""
    for line in wanted:
        if line.strip() == "…":
            form += r"(?:[^\n]*\n)*?"
        else:
            form += "[^\n]*".join(re.escape(part) for part in line.split("…")) + r"\n"
    if re.fullmatch(form, "".join(f"{line}\n" for line in found)):
        return None
    return "\n".join(
        ["the page shows:", *(f"  {line}" for line in wanted), "printed was:", *(f"  {line}" for line in found)]
    )
