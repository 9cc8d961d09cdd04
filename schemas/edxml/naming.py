"""How edXML names agencies, documents and files, and how a manifest does.

Agency codes stand in the older right-to-left form or any other; a manifest has them canonical. A document is named by
an id of no fixed form: a UUID, or `<agency>,<yyyy/MM/dd>,<number>/<notation>` as the SDK's samples have it.
"""

import re
from collections.abc import Mapping
from datetime import date
from typing import Final
from uuid import UUID

from schemas.agency_codes import canonical_code, from_qcvn102, is_qcvn102
from schemas.edxml.values import DATE
from schemas.errors import Refusal
from schemas.manifest import NaturalKey
from schemas.manifest.document import MAX_NAME_BYTES, MEDIA_TYPE_PATTERN

_COMPOSITE: Final = re.compile(r"([^,]+),([^,]+),(.+)", re.DOTALL)
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NOT_IN_NAMES: Final = re.compile("[\x00-\x1f\x7f-\x9f/\\\\\u2028-\u202e\u2066-\u2069]")
_MEDIA_TYPE: Final = re.compile(MEDIA_TYPE_PATTERN)

UNKNOWN_MEDIA_TYPE: Final = "application/octet-stream"

MEDIA_TYPES: Final[Mapping[str, str]] = {
    "pdf": "application/pdf",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "ppt": "application/vnd.ms-powerpoint",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "odt": "application/vnd.oasis.opendocument.text",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "rtf": "application/rtf",
    "txt": "text/plain",
    "xml": "application/xml",
    "edxml": "application/xml",
    "html": "text/html",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "zip": "application/zip",
    "rar": "application/vnd.rar",
    "7z": "application/x-7z-compressed",
}
"""By a file's extension."""

_SAYS_NOTHING: Final = frozenset(
    {"", "application/zip", UNKNOWN_MEDIA_TYPE, "application/doc", "application/docx", "application/xsl",
     "application/xslx", "application/x-zip-compressed"}
)  # fmt: skip
"""Types that builders write for whatever they wrap, and the misspelt ones of the SDK's table: the name knows better."""


def agency(organ_id: str) -> str | None:
    """The canonical code of an agency id; None if it cannot be one."""
    try:
        code = canonical_code(organ_id)
        return from_qcvn102(code) if is_qcvn102(code) else code
    except Refusal:
        return None


def as_uuid(document_id: str | None) -> UUID | None:
    """The document id as a UUID, if it is one."""
    text = (document_id or "").strip()
    return UUID(text) if _UUID.fullmatch(text) else None


def split_code(code: str) -> tuple[str, str]:
    """Number and notation of `7816/VPCP-TTĐT`: the first slash divides."""
    number, _, notation = code.partition("/")
    return number.strip(), notation.strip()


def natural_key(organ_id: str | None, code: str | None, issued_on: date | None) -> NaturalKey | None:
    """The natural key of a document that is named by agency, number/notation and date; None if one is wanting."""
    sender = agency(organ_id) if organ_id else None
    if sender is None or not code or issued_on is None:
        return None
    number, notation = split_code(code)
    return NaturalKey(from_=sender, issued_on=issued_on, number=number, notation=notation)


def key_in(document_id: str | None) -> NaturalKey | None:
    """The natural key inside a composite document id; None if it is of another form or names an impossible date."""
    match = _COMPOSITE.fullmatch(document_id or "")
    if match is None:
        return None
    read = DATE.read(match[2].strip())
    return natural_key(match[1], match[3], read.value) if read else None


def composite_id(key: NaturalKey) -> str:
    """The document id of a natural key, as the SDK's samples have it."""
    return f"{key.from_},{DATE.write(key.issued_on)},{key.number}/{key.notation}"


def file_name(name: str | None, position: int) -> str:
    """A plain file name that a manifest takes; `name` itself if it is one."""
    plain = _NOT_IN_NAMES.sub("_", (name or "").strip())
    if not plain.strip(". "):
        return f"attachment-{position}"
    stem, dot, extension = plain.rpartition(".")
    ending = f".{extension}" if dot and stem and len(extension) <= 10 else ""
    if ending:
        plain = stem
    room = MAX_NAME_BYTES - len(ending.encode())
    return plain.encode()[:room].decode("utf-8", "ignore") + ending


def media_type(name: str, *declared: str | None) -> str:
    """The media type of a file: what is declared, unless it says nothing; then what its extension tells."""
    for one in declared:
        stated = (one or "").strip().lower()
        if stated not in _SAYS_NOTHING and len(stated) <= 255 and _MEDIA_TYPE.fullmatch(stated):
            return stated
    return MEDIA_TYPES.get(name.rpartition(".")[2].lower(), UNKNOWN_MEDIA_TYPE)
