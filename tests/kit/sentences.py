"""The sentences that stand in a module's source, for tests that each of them is known in Vietnamese.

A sentence is a text with a blank in it. What is filled in stands as `X1`, `X2`, …; where one of two texts is chosen,
both are given. Docstrings, statements of SQL and what errors of the program say are no sentences for people.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from itertools import product
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OURS = {"ValueError", "TypeError", "AssertionError", "RuntimeError", "re.compile", "Problem", "load_queries"}
"""Calls whose texts are for the program, or are told as problems."""

_WORDS = re.compile(r"[^\W\d_]{2,}")


def in_modules(
    *patterns: str, beside: Collection[str] = (), unless_for: Collection[str] = ()
) -> Iterator[tuple[str, str]]:
    """Where, and each sentence of the modules; `beside` are calls, `unless_for` keywords whose texts are left out."""
    for pattern in patterns:
        files = sorted(ROOT.glob(pattern))
        assert files, f"there is no {pattern}"
        for file in files:
            tree = ast.parse(file.read_text(encoding="utf-8"))
            place = str(file.relative_to(ROOT))
            for line, text in _of(tree, OURS | set(beside), set(unless_for)):
                if " " in text.strip() and _WORDS.search(re.sub(r"X\d+", "", text)):
                    yield f"{place}:{line}", text


def in_sql(*patterns: str) -> Iterator[tuple[str, str]]:
    """Where, and each quoted text of SQL with a blank between words; pieces of a sentence are given one by one."""
    for pattern in patterns:
        for file in sorted(ROOT.glob(pattern)):
            source = re.sub(r"--.*", "", file.read_text(encoding="utf-8"))
            for match in re.finditer(r"'((?:[^']|'')*)'", source):
                text = match[1].replace("''", "'")
                if " " in text.strip() and len(_WORDS.findall(text)) > 1:
                    yield str(file.relative_to(ROOT)), text


def in_call(call: ast.Call, *, beside: Collection[str] = ()) -> Iterator[str]:
    """Each text that is handed to a call; `beside` are keywords whose texts are left out."""
    for argument in [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg not in beside)]:
        for text in _texts(argument):
            yield _filled(text)


def _of(node: ast.AST, beside: set[str], keywords: set[str]) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.Call) and ast.unparse(node.func) in beside:
        return
    if isinstance(node, ast.keyword) and node.arg in keywords:
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a docstring
    if isinstance(node, ast.Constant | ast.JoinedStr):
        for text in _texts(node):
            yield node.lineno, _filled(text)
        return
    for child in ast.iter_child_nodes(node):
        yield from _of(child, beside, keywords)


def _filled(text: str) -> str:
    first, *rest = text.split("{}")
    return first + "".join(f"X{number}{piece}" for number, piece in enumerate(rest, 1))


def _texts(node: ast.expr) -> Iterator[str]:
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=pieces):
            for ways in product(*(list(_pieces(piece)) for piece in pieces)):
                yield "".join(ways)
        case ast.IfExp():
            yield from (*_texts(node.body), *_texts(node.orelse))


def _pieces(piece: ast.expr) -> Iterator[str]:
    if isinstance(piece, ast.FormattedValue):
        ways = list(_texts(piece.value)) if isinstance(piece.value, ast.IfExp) else []
        yield from ways or ["{}"]
    else:
        yield from _texts(piece)
