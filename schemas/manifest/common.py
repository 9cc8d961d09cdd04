"""What all manifests share (contract §2.1): the common fields, references, natural keys, and types of single fields.

The models are frozen and ignore fields that they do not know, so that the contract can grow. They hold texts exactly as
they were written; whatever compares texts compares them after NFC.
"""

import re
import unicodedata
from datetime import date, datetime
from hashlib import sha256
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    PlainValidator,
    Tag,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from schemas.agency_codes import CODE_LIMIT, CODE_PATTERN
from schemas.canonical import canonical_json
from schemas.errors import Refusal
from schemas.times import RFC3339_PATTERN, parse_rfc3339, rfc3339

SPEC: Final = "lienthong/1"
"""The version of the contract that these models are."""

UUID_PATTERN: Final = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_UUID: Final = re.compile(UUID_PATTERN.removeprefix("^").removesuffix("$"), re.ASCII)


REFERENCE_TAG: Final = "<reference>"
NATURAL_KEY_TAG: Final = "<natural key>"
MESSAGE_TAG: Final = "<message>"
"""Which form of a reference was recognised: pydantic puts it into an error's location; it is no part of a path."""


def refuse(expected: str, *, field: str | None = None, found: str | None = None) -> PydanticCustomError:
    """The error that a rule of ours raises.

    `expected` is a clause for a person; `field` the path below the thing that the rule judges, when it is not the
    thing itself; `found` what stands there, when it is not the value itself.
    """
    return PydanticCustomError("lienthong", "{expected}", {"expected": expected, "field": field, "found": found})


def refuse_missing_reason(expected: str) -> PydanticCustomError:
    """The error for a `reason` that must be given and is not; it becomes LT-REASON-MISSING."""
    context = {"expected": expected, "field": "reason", "found": "no reason"}
    return PydanticCustomError("lienthong_reason", "{expected}", context)


def _moment(value: object) -> datetime:
    if isinstance(value, str):
        try:
            return parse_rfc3339(value)
        except Refusal as refusal:
            raise refuse(refusal.expected or "") from None
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value
    raise refuse("a time of RFC 3339 with seconds and offset, such as 2026-03-12T08:30:00+07:00")


def _id(value: object) -> UUID:
    if isinstance(value, str) and _UUID.fullmatch(value):
        return UUID(value)
    if isinstance(value, UUID):
        return value
    raise refuse("a UUID written in lower case as 8-4-4-4-12 hex digits")


def _day(value: object) -> date:
    # Not pydantic's own reading, which takes seconds since 1970 written as a text for a date.
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    raise refuse("a date, such as 2026-03-12")


Day = Annotated[
    date,
    PlainValidator(_day),
    PlainSerializer(date.isoformat, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date"}),
]
"""A date, written as year, month and day."""

Moment = Annotated[
    datetime,
    PlainValidator(_moment),
    PlainSerializer(rfc3339, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": RFC3339_PATTERN}),
]
"""RFC 3339 with an offset; naive times are refused. Inside the program an aware datetime, in UTC when it was read."""

MessageId = Annotated[
    UUID,
    PlainValidator(_id),
    PlainSerializer(str, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "uuid", "pattern": UUID_PATTERN}),
]
"""A UUID that was written exactly in lower case, 8-4-4-4-12."""

Code = Annotated[str, Field(pattern=CODE_PATTERN, max_length=CODE_LIMIT)]
"""A canonical agency code."""

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 in lower-case hex."""

Addressee = Annotated[
    str, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$")
]
"""What may stand in `to`: a code, an alias or a group, resolved by the directory. Not blank, no control characters."""


def nfc(text: str) -> str:
    """`text` as it is compared: NFC, without surrounding blanks, case kept."""
    return text.strip() if text.isascii() else unicodedata.normalize("NFC", text).strip()


class Wire(BaseModel):
    """Base of everything that stands in a manifest: frozen, ignoring unknown fields, built by field name in Python."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        # A refused value is repeated by `schemas.manifest.refusals`, cut and only for its field.
        hide_input_in_errors=True,
        regex_engine="rust-regex",
    )


class Reference(Wire):
    """Names a document, or another message, by who sent it, its id and the digest of its signed bytes."""

    from_: Code = Field(alias="from")
    id: MessageId
    digest: Digest


class MessageReference(Wire):
    """Names a status message by who sent it and its id; only in `answers`."""

    from_: Code = Field(alias="from")
    id: MessageId


class NaturalKey(Wire):
    """Names a document as people do: sender, date of issue, number and notation (contract §2.2)."""

    from_: Code = Field(alias="from")
    issued_on: Day
    number: str
    notation: str

    def key_digest(self) -> bytes:
        """SHA-256 of canonical JSON [from, year, number, notation]; NFC and trimmed, case and leading zeros kept."""
        key = [self.from_, self.issued_on.year, nfc(self.number), nfc(self.notation)]
        return sha256(canonical_json(key)).digest()


class _ChosenBy:
    """Describes a choice of two forms in the JSON Schema as it is made here: by whether a member is present."""

    def __init__(self, member: str) -> None:
        self._member = member

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        with_it, without_it = handler(schema)["oneOf"]
        return {"if": {"required": [self._member]}, "then": with_it, "else": without_it}


def _has(member: str, model: type[BaseModel], present: str, absent: str) -> Discriminator:
    def tag(value: Any) -> str:
        found = member in value if isinstance(value, dict) else isinstance(value, model)
        return present if found else absent

    return Discriminator(tag)


ReferenceOrKey = Annotated[
    Annotated[Reference, Tag(REFERENCE_TAG)] | Annotated[NaturalKey, Tag(NATURAL_KEY_TAG)],
    _has("id", Reference, REFERENCE_TAG, NATURAL_KEY_TAG),
    _ChosenBy("id"),
]
"""How a document names another: by reference, or by natural key. What has an `id` is read as a reference."""

ReferenceOrMessage = Annotated[
    Annotated[Reference, Tag(REFERENCE_TAG)] | Annotated[MessageReference, Tag(MESSAGE_TAG)],
    _has("digest", Reference, REFERENCE_TAG, MESSAGE_TAG),
    _ChosenBy("digest"),
]
"""What an answer answers: a change by reference, or the status message with the 13 by sender and id."""


class Manifest(Wire):
    """The common fields of contract §2.1; `kind` is added by each kind of manifest."""

    spec: Literal["lienthong/1"] = SPEC
    id: MessageId
    from_: Code = Field(alias="from")
    sent_at: Moment
    must_understand: tuple[str, ...] = ()
    test: bool = False
