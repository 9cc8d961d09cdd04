"""The shapes of event bodies (contract §9), so that whatever stands in a leaf can be read without surprises. Pure.

Only what a checker looks at is asked for; unknown fields and unknown kinds are let through, so that events can grow.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID

from schemas.errors import Refusal
from schemas.times import parse_rfc3339

_HEX: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)

Check = Callable[[Any], bool]


def problem_of(body: Mapping[str, Any]) -> tuple[str, str] | None:
    """What is wrong with an event's body as (found, expected), or None."""
    for name, check, expected in (*_EVERY, *_BY_KIND.get(str(body.get("event")), ())):
        optional = name.endswith("?")
        name = name.removesuffix("?")
        if name not in body:
            if optional:
                continue
            return f"an event without {name}", f"{name}: {expected}"
        if not check(body[name]):
            return f"another {name}", f"{name}: {expected}"
    if body["event"] == "directory_changed" and body["change"] == "certificate.enrolled":
        custody = body.get("facts", {}).get("custody")
        if custody not in ("agency", "broker"):
            return f"custody {str(custody)[:40]!a}", "custody: agency or broker"
    return None


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _time(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(parse_rfc3339(value))
    except Refusal:
        return False


def _hex(value: Any) -> bool:
    return isinstance(value, str) and _HEX.fullmatch(value) is not None


def _uuid(value: Any) -> bool:
    try:
        return isinstance(value, str) and str(UUID(value)) == value
    except ValueError:
        return False


def _reference(value: Any) -> bool:
    return isinstance(value, dict) and _text(value.get("from")) and _uuid(value.get("id")) and _hex(value.get("digest"))


def _list(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(check(one) for one in value)


def _pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and _text(value[0]) and _text(value[1])


def _item(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and _number(value.get("item"))
        and _reference(value.get("document"))
        and _text(value.get("recipient"))
        and _text(value.get("code"))
        and _time(value.get("at"))
        and _text(value.get("error", ""))
        and isinstance(value.get("anomalous", False), bool)
    )


def _rerouted(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and _text(value.get("closed"))
        and _list(_text)(value.get("successors"))
        and isinstance(value.get("moved"), bool)
        and ("owner" not in value or (_text(value["owner"]) and len(value["successors"]) == 1))
        and ("due_arrival" not in value or _time(value["due_arrival"]))
    )


def _run(value: Any) -> bool:
    """How so many recipients, one after the other, are addressed: None is by their own codes."""
    return isinstance(value, list) and len(value) == 2 and (value[0] is None or _text(value[0])) and _number(value[1])


def _added(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and _list(_pair)(value.get("recipients"))
        and ("addressed" not in value or _list(_run)(value["addressed"]))
    )


_TEXT: Final = (_text, "a text")
_TEXTS: Final = (_list(_text), "a list of texts")
_NUMBER: Final = (_number, "a whole number")
_TIME: Final = (_time, "a time of RFC 3339")
_REFERENCE: Final = (_reference, "from, id and digest")
_DIGEST: Final = (_hex, "SHA-256 in lower-case hex")
_OBJECT: Final = (lambda value: isinstance(value, dict), "an object")

_EVERY: Final[tuple[tuple[str, Check, str], ...]] = (
    ("v", lambda value: _number(value) and value == 1, "1"),
    ("event", *_TEXT),
    ("at", *_TIME),
    ("part?", *_NUMBER),
    ("parts?", *_NUMBER),
)

_BY_KIND: Final[Mapping[str, tuple[tuple[str, Check, str], ...]]] = {
    "accepted": (
        ("document", *_REFERENCE),
        ("action", *_TEXT),
        ("priority", *_NUMBER),
        ("test", lambda value: isinstance(value, bool), "true or false"),
        ("sent_at", *_TIME),
        ("submitter", *_TEXT),
        ("thumbprint", *_DIGEST),
        ("count", *_NUMBER),
        ("recipients", _list(_pair), "pairs of recipient and mailbox owner"),
        ("parts_digests?", _list(_hex), "SHA-256 values"),
        ("concerns?", _list(_reference), "references"),
        ("due_arrival?", *_TIME),
        ("log_by?", *_TIME),
        ("addressed?", _list(_run), "pairs of what was written and how many recipients"),
        ("added?", _added, "recipients of what is changed"),
        ("unresolved_sha256?", *_DIGEST),
        ("warnings_sha256?", *_DIGEST),
        ("notice?", *_TEXT),
    ),
    "dispatched": (
        ("message", *_REFERENCE),
        ("kind", *_TEXT),
        ("attempt", *_NUMBER),
        ("owners", *_TEXTS),
        ("recipients?", *_TEXTS),
    ),
    "status_recorded": (
        ("message", *_REFERENCE),
        ("submitter", *_TEXT),
        ("thumbprint", *_DIGEST),
        ("items", _list(_item), "status items"),
        ("log_by?", *_TIME),
        ("forwards?", *_TEXTS),
        ("row?", *_OBJECT),
        ("notice?", *_TEXT),
    ),
    "rerouted": (
        ("document", *_REFERENCE),
        ("deliveries", _list(_rerouted), "deliveries to agencies that have closed"),
        ("notice?", *_TEXT),
    ),
    "overdue": (
        ("document", *_REFERENCE),
        ("what", *_TEXT),
        ("due", *_TIME),
        ("recipients", *_TEXTS),
        ("notice?", *_TEXT),
    ),
    "operator_action": (("actor", *_TEXT), ("action", *_TEXT), ("target", *_TEXT), ("recipients?", *_TEXTS)),
    "directory_changed": (("change", *_TEXT), ("codes", *_TEXTS), ("facts?", *_OBJECT)),
    "rejected": (
        ("error", *_TEXT),
        ("id?", *_TEXT),
        ("claimed_from?", *_TEXT),
        ("row?", *_OBJECT),
        ("notice?", *_TEXT),
    ),
}
