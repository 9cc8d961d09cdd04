"""Named SQL: every room keeps its statements in a ``.sql`` file beside its code and asks for them by name.

A statement begins with ``-- name: some_name`` and a second comment line that says what it is for; it ends where the
next one begins. Reads package files only; runs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType

_NAME = re.compile(r"^--\s*name:\s*(?P<name>\S+)\s*$")
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*")


class QueryFileError(Exception):
    """Correct the .sql file: each statement needs `-- name: lower_case_name` and, below it, a `-- purpose` line."""


def load_queries(package: str, file: str) -> Mapping[str, str]:
    """Read the statements of ``file`` in ``package`` ("broker.directory"), by name.

    Raises QueryFileError if a name is malformed or taken twice, or if a statement has no purpose line or no text.
    """
    return parse_queries(files(package).joinpath(file).read_text(encoding="utf-8"), origin=f"{package}/{file}")


def parse_queries(text: str, *, origin: str) -> Mapping[str, str]:
    """Split the text of a query file into its statements; ``origin`` is only used to say where a fault is.

    The name and purpose lines stay in the statement, so that they show up in the server's own statistics and logs.
    """
    blocks: dict[str, list[str]] = {}
    current: list[str] | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        heading = _NAME.match(line)
        if heading:
            name = heading["name"]
            if not _IDENTIFIER.fullmatch(name):
                raise QueryFileError(f"{origin}:{number}: `{name}` is not a lower_case_name")
            if name in blocks:
                raise QueryFileError(f"{origin}:{number}: the name `{name}` is taken by an earlier statement")
            current = blocks[name] = [line]
        elif current is not None:
            current.append(line)
        elif line.strip() and not line.startswith("--"):
            raise QueryFileError(f"{origin}:{number}: a statement stands before the first `-- name:` line")
    for name, lines in blocks.items():
        if len(lines) < 2 or not re.match(r"^--\s*\S", lines[1]):
            raise QueryFileError(f"{origin}: `{name}` has no purpose line below its name")
        if not any(line.strip() and not line.lstrip().startswith("--") for line in lines):
            raise QueryFileError(f"{origin}: `{name}` has no statement")
    return MappingProxyType({name: "\n".join(lines).strip().rstrip(";") for name, lines in blocks.items()})
