"""Facts of rows in operators' actions: how a value that could be guessed is told, and what the actions said. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson

from schemas.canonical import canonical_json
from schemas.exchange_events import Facts


@dataclass(frozen=True, slots=True)
class ToldFacts:
    """What one action of an operator tells of the row that it was about, as that was afterwards."""

    action: str
    target: str
    facts: Facts
    """Empty where a version before told none."""


def told_facts(bodies: Iterable[bytes]) -> Iterator[ToldFacts]:
    """What these events of operators' actions tell, in their order: the newest about a target comes last.

    Bytes that are no such event are passed over: they are found where the log is verified.
    """
    for body in bodies:
        try:
            event = orjson.loads(body)
            told = ToldFacts(str(event["action"]), str(event["target"]), dict(event.get("facts") or {}))
        except (ValueError, KeyError, TypeError):
            continue
        yield told


def salted_digest(column: str, value: Any, salt: str) -> str:
    """SHA-256, in hex, of a column's name and value and of what keeps the value from being guessed."""
    # Not HMAC: that hashes a long key first, and the key's own digest is told.
    return sha256(canonical_json([column, value, salt])).hexdigest()
