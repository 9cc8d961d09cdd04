"""Names of agencies for people, as the gateway's directory tells them. Pure.

A name proves nothing: it comes unsigned, and anything may stand in it. What is signed, compared and sent is the code,
always; a name only stands before it where a person reads, and the code in the last brackets is the one that holds.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from schemas.agency_codes import is_canonical

NAME_LIMIT: Final = 120
"""Characters of a name that are shown."""
KEPT: Final = 2000
"""Codes that are remembered; beyond, those that were asked about longest ago are forgotten."""
DAY: Final = 86_400.0
"""Seconds after which a code is asked about again."""
NO_NAMES: Final[Mapping[str, str]] = MappingProxyType({})


class Entry(NamedTuple):
    """What the directory said of a code: its name, empty if it knows none, and when (seconds since 1970)."""

    name: str
    asked_at: float

    def is_fresh(self, now: float) -> bool:
        """Whether it need not be asked about again; a time to come is a clock that was wrong."""
        return 0 <= now - self.asked_at < DAY


def clean(name: str) -> str:
    """A stranger's name as one short line: nothing that ends a line, acts on a terminal or turns the writing."""
    composed = unicodedata.normalize("NFC", name[: 4 * NAME_LIMIT])
    visible = "".join(" " if unicodedata.category(sign)[0] in "CZ" else sign for sign in composed)
    plain = " ".join(visible.split())
    return plain if len(plain) <= NAME_LIMIT else plain[: NAME_LIMIT - 1].rstrip() + "…"


def shown(code: str, names: Mapping[str, str]) -> str:
    """`Ủy ban nhân dân xã X (H01.02)`; the code alone if no name is known. `names` may hold anything."""
    name = clean(names.get(code, ""))
    return f"{name} ({code})" if name and name != code else code


def named(sentence: str, codes: Collection[str], names: Mapping[str, str]) -> str:
    """A sentence of ours in which these codes stand, with their names; other codes that begin alike are left alone."""
    if not codes:
        return sentence
    form = "|".join(map(re.escape, sorted(codes, key=len, reverse=True)))
    return re.sub(rf"(?<![\w.])(?:{form})(?!\w|\.\w)", lambda found: shown(found[0], names), sentence)


def of_answer(code: str, status: int, body: bytes) -> str | None:
    """The name in the gateway's answer to `GET /v1/agencies/{code}`; empty if it tells none of this code.

    None for what is no answer of a gateway (an error, another program's page): worth asking again.
    """
    told = _object(body)
    if told is None or (status != 200 and (status, told.get("error")) != (404, "LT-NOT-FOUND")):
        return None
    name = told.get("name")
    return clean(name) if status == 200 and told.get("code") == code and isinstance(name, str) else ""


def written(entries: Mapping[str, Entry]) -> bytes:
    """The cache as a file."""
    return json.dumps({code: list(entry) for code, entry in entries.items()}, ensure_ascii=False).encode()


def read(data: bytes) -> dict[str, Entry]:
    """A cache out of its file; whatever in it is not as it was written is left out."""
    found: dict[str, Entry] = {}
    for code, value in (_object(data) or {}).items():
        match value:
            case [str(name), float(asked_at)] if is_canonical(code):
                found[code] = Entry(clean(name), asked_at)
    return newest(found)


def newest(entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """At most `KEPT` of them."""
    ordered = sorted(entries.items(), key=lambda one: one[1].asked_at, reverse=True)
    return dict(ordered[:KEPT])


def _object(data: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
