"""Turns what pydantic says about a manifest into a refusal that a person understands: the field, found, expected."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from schemas.agency_codes import CODE_LIMIT, CODE_PATTERN
from schemas.errors import Refusal
from schemas.manifest.common import MESSAGE_TAG, NATURAL_KEY_TAG, REFERENCE_TAG
from schemas.manifest.document import MEDIA_TYPE_PATTERN, PART_NAME_PATTERN

_TAGS: Final = frozenset({REFERENCE_TAG, NATURAL_KEY_TAG, MESSAGE_TAG, "Reference", "MessageConcern"})
"""Members of an error's location that name a form, not a field."""

_PATTERNS: Final[Mapping[str, str]] = {
    CODE_PATTERN: f"a canonical agency code: groups of A-Z and 0-9 separated by dots, at most {CODE_LIMIT} characters",
    r"^[0-9a-f]{64}$": "a SHA-256 as 64 lower-case hex digits",
    PART_NAME_PATTERN: "a plain file name: no path separators, no control characters, not only dots",
    MEDIA_TYPE_PATTERN: "a media type, such as application/pdf",
}

_EXPECTED: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "missing": lambda _: "this field to be present",
    "string_type": lambda _: "a text",
    "int_type": lambda _: "a whole number",
    "bool_type": lambda _: "true or false",
    "tuple_type": lambda _: "a list",
    "list_type": lambda _: "a list",
    "dict_type": lambda _: "an object",
    "model_type": lambda _: "an object",
    "model_attributes_type": lambda _: "an object",
    "date_type": lambda _: "a date, such as 2026-03-12",
    "date_parsing": lambda _: "a date, such as 2026-03-12",
    "date_from_datetime_parsing": lambda _: "a date, such as 2026-03-12",
    "string_too_long": lambda context: f"at most {context['max_length']} characters",
    "string_too_short": lambda context: f"at least {context['min_length']} character(s)",
    "too_long": lambda context: f"at most {context['max_length']} items",
    "too_short": lambda context: f"at least {context['min_length']} item(s)",
    "greater_than_equal": lambda context: f"a number of at least {context['ge']}",
    "less_than_equal": lambda context: f"a number of at most {context['le']}",
    "literal_error": lambda context: f"one of {context['expected']}",
    "enum": lambda context: f"one of {context['expected']}",
    "string_pattern_mismatch": lambda context: _PATTERNS.get(
        context["pattern"], "a text without control characters that is not blank"
    ),
}
"""Pydantic's error types, as clauses for a person. A type that is not here is told in pydantic's own words."""

_TOO_LONG_TO_REPEAT: Final = frozenset({"string_too_long", "too_long", "too_short"})


def refusal_of(error: ValidationError) -> Refusal:
    """The first thing wrong with a manifest as LT-SCHEMA, or LT-REASON-MISSING for a reason that must be given."""
    first = error.errors(include_url=False)[0]
    context: Mapping[str, Any] = first.get("ctx", {})
    ours = first["type"].startswith("lienthong")
    return Refusal(
        code="LT-REASON-MISSING" if first["type"] == "lienthong_reason" else "LT-SCHEMA",
        field=_path(first, context if ours else {}),
        found=(context.get("found") if ours else None) or _found(first),
        expected=context["expected"] if ours else _expected(first, context),
    )


def _path(error: ErrorDetails, context: Mapping[str, Any]) -> str | None:
    steps = [str(step) for step in error["loc"] if step not in _TAGS]
    below = context.get("field")
    return ".".join([*steps, *([below] if below else [])]) or None


def _expected(error: ErrorDetails, context: Mapping[str, Any]) -> str:
    say = _EXPECTED.get(error["type"])
    return error["msg"] if say is None else say(context)


def _found(error: ErrorDetails) -> str:
    """The refused value in a few words; only the value of the field that is named, and no long text."""
    if error["type"] == "missing":
        return "nothing"
    value = error["input"]
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return (
            f"a text of {len(value)} characters"
            if error["type"] in _TOO_LONG_TO_REPEAT
            else json.dumps(value, ensure_ascii=False)
        )
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    return "an object"
