"""What XML cannot hold is shown by U+FFFD in a file made of a manifest; what is carried behind it has it as it was.

JSON can hold characters that XML 1.0 cannot (§2.2): a soft line break pasted out of a word processor is one. A document
or status that has one must reach offices that read edXML all the same.
"""

import re
from dataclasses import fields, replace
from typing import Any, Final, TypeVar

from schemas.edxml.records import Document, Further, Record, Status

NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""A character that no XML file can hold, escaped or not."""

REPLACEMENT: Final = "\ufffd"

Made = TypeVar("Made", Document, Status)


def writable_text(text: str) -> str:
    """`text` as XML can hold it."""
    return NOT_XML.sub(REPLACEMENT, text)


def writable(message: Made) -> Made:
    """`message` with every text in it as XML can hold it; the same message if all are."""
    changed: Made = _writable(message)
    return changed


def _writable(value: Any) -> Any:
    if isinstance(value, str):
        return writable_text(value)
    if isinstance(value, tuple):
        made = tuple(map(_writable, value))
        return value if made == value else made
    if not isinstance(value, Record | Further | Document | Status):
        return value
    old = {field.name: getattr(value, field.name) for field in fields(value)}
    changed = {name: made for name, one in old.items() if (made := _writable(one)) is not one}
    return replace(value, **changed) if changed else value
