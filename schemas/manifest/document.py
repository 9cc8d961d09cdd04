"""The manifest of a document (contract §2.2 and §2.3): what is sent, to whom, and what it changes.

The rules that need the directory, the database or the bytes of the parts are the broker's; everything that can be said
from the manifest alone is said here.
"""

from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator
from pydantic.config import JsonDict, JsonValue

from schemas.manifest.common import (
    Addressee,
    Code,
    Day,
    Digest,
    Manifest,
    Moment,
    NaturalKey,
    ReferenceOrKey,
    Wire,
    nfc,
    refuse,
    refuse_missing_reason,
)

MAX_RECIPIENTS: Final = 5_000
MAX_PARTS: Final = 100
MAX_SUBJECT: Final = 500
"""Characters."""
MAX_NAME_BYTES: Final = 255
"""UTF-8 bytes of a part's name: what file systems take."""

PART_NAME_PATTERN: Final = (
    r"^[^\x00-\x1f\x7f-\x9f/\\\u2028-\u202e\u2066-\u2069]*[^\x00-\x20\x7f-\x9f/\\\u2028-\u202e\u2066-\u2069.]"
    r"[^\x00-\x1f\x7f-\x9f/\\\u2028-\u202e\u2066-\u2069]*$"
)
"""No separators, no control characters (those that turn the reading direction round included), not only dots."""

MEDIA_TYPE_PATTERN: Final = (
    r"^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
    r'( ?; ?[A-Za-z0-9-]+=([A-Za-z0-9!#$&^_.+-]+|"[^"\\\x00-\x1f\x7f]*"))*$'
)
"""type/subtype of RFC 6838, with parameters."""


class Action(StrEnum):
    """What a document does; edXML business types 0, 1, 2, 3."""

    NEW = "new"
    RECALL = "recall"
    UPDATE = "update"
    REPLACE = "replace"


class Role(StrEnum):
    """What a part is: the document itself, an attachment, or a whole edXML file, byte for byte."""

    DOCUMENT = "document"
    ATTACHMENT = "attachment"
    EDXML = "edxml"


def _fits_a_file_system(name: str) -> str:
    if len(name.encode()) > MAX_NAME_BYTES:
        raise refuse(f"a file name of at most {MAX_NAME_BYTES} bytes in UTF-8", found=f"{len(name.encode())} bytes")
    return name


class Part(Wire):
    """One file of a document; its bytes are inline or in the content store, under `sha256`."""

    name: Annotated[
        str,
        Field(min_length=1, max_length=MAX_NAME_BYTES, pattern=PART_NAME_PATTERN),
        AfterValidator(_fits_a_file_system),
    ]
    media_type: Annotated[str, Field(max_length=255, pattern=MEDIA_TYPE_PATTERN)]
    size: Annotated[int, Field(ge=0, le=2**53)]
    """Bytes."""
    sha256: Digest
    role: Role


class Signer(Wire):
    """The person who signed the document, as it says there."""

    name: str | None = None
    position: str | None = None
    authority: str | None = None
    """Quyền hạn: TL., KT., TM. and so on."""


class DocumentFields(Wire):
    """What a records clerk writes about a document; texts are kept as written."""

    number: str = ""
    notation: str = ""
    issued_on: Day | None = None
    place: str | None = None
    type: str | None = None
    """Name of the type, e.g. Công văn."""
    subject: Annotated[str, Field(max_length=MAX_SUBJECT)] = ""
    summary: str | None = None
    signer: Signer | None = None
    priority: Annotated[int, Field(ge=0, le=4)] = 0
    """0 thường, 1 khẩn, 2 thượng khẩn, 3 hỏa tốc, 4 hỏa tốc hẹn giờ."""
    due_on: Day | None = None
    deliver_by: Moment | None = None
    """The hour that priority 4 appoints."""
    expires_at: Moment | None = None
    pages: Annotated[int, Field(ge=0)] | None = None
    copies: Annotated[int, Field(ge=0)] | None = None
    appendixes: tuple[str, ...] = ()
    filed_to: tuple[str, ...] = ()
    """Nơi nhận: the filing list as printed; not addresses."""
    scope: str | None = None
    drafter: str | None = None
    steering: Annotated[int, Field(ge=0, le=3)] | None = None
    """1 not steering, 2 steering, 3 report on steering; 0 occurs (edXML `SteeringType`)."""

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"priority": {"const": 4}}, "required": ["priority"]},
            "then": {"properties": {"deliver_by": {"type": "string"}}, "required": ["deliver_by"]},
        }
    )

    @model_validator(mode="after")
    def _appoints_an_hour(self) -> Self:
        if self.priority == 4 and self.deliver_by is None:
            raise refuse("a time by which it must be delivered, with priority 4", field="deliver_by", found="nothing")
        return self


class Changes(Wire):
    """What an update changes: the document's fields, its recipients, or both."""

    metadata: bool = False
    added: Annotated[tuple[Code, ...], Field(max_length=MAX_RECIPIENTS)] = ()
    """They also receive the original."""
    removed: Annotated[tuple[Code, ...], Field(max_length=MAX_RECIPIENTS)] = ()


class Via(Wire):
    """Which protocol and system the manifest was made out of, when an adapter or façade made it."""

    protocol: str
    system: str | None = None


_CHANGES: Final = ("recall", "update", "replace")
_WITH_REASON: Final = ("recall", "replace")
_WITH_PARTS: Final = ("new", "replace")


def _when(actions: tuple[str, ...], then: JsonDict) -> JsonValue:
    return {"if": {"properties": {"action": {"enum": list(actions)}}, "required": ["action"]}, "then": then}


_RULES: Final[list[JsonValue]] = [
    _when(("new",), {"properties": {"to": {"minItems": 1}, "concerns": {"maxItems": 0}}, "required": ["to"]}),
    _when(_CHANGES, {"properties": {"concerns": {"minItems": 1}}, "required": ["concerns"]}),
    _when(_WITH_REASON, {"properties": {"reason": {"type": "string", "pattern": r"\S"}}, "required": ["reason"]}),
    _when(_WITH_PARTS, {"properties": {"parts": {"minItems": 1}}, "required": ["parts"]}),
    _when(("update",), {"properties": {"changes": {"type": "object"}}, "required": ["changes"]}),
    _when(("new", "recall", "replace"), {"properties": {"changes": {"type": "null"}}}),
]
"""The rules of `DocumentManifest` that depend on the action, as JSON Schema; a test holds the two together."""


class DocumentManifest(Manifest):
    """A document on its way, or a change of one."""

    model_config = ConfigDict(json_schema_extra={"allOf": _RULES})

    kind: Literal["document"] = "document"
    action: Action
    to: Annotated[tuple[Addressee, ...], Field(max_length=MAX_RECIPIENTS)] = ()
    """Codes, aliases and groups as written; empty for a change means the recipients of the original."""
    partial: bool = False
    """Accept for the recipients that resolve; by default one unknown recipient refuses the whole."""
    document: DocumentFields
    replies_to: tuple[ReferenceOrKey, ...] = ()
    concerns: tuple[ReferenceOrKey, ...] = ()
    changes: Changes | None = None
    reason: str | None = None
    parts: Annotated[tuple[Part, ...], Field(max_length=MAX_PARTS)] = ()
    via: Via | None = None

    @model_validator(mode="after")
    def _fits_its_action(self) -> Self:
        action = self.action
        if action == "new":
            if not self.to:
                raise refuse("at least one recipient", field="to", found="none")
            if self.concerns:
                raise refuse("nothing: a new document changes no other (replies_to?)", field="concerns")
        else:
            if not self.concerns:
                raise refuse(f"at least one document that this {action} changes", field="concerns", found="none")
            if action in _WITH_REASON and not nfc(self.reason or ""):
                raise refuse_missing_reason(f"the reason of this {action}")
        if action in _WITH_PARTS and not self.parts:
            raise refuse(f"at least one part in a document of action {action}", field="parts", found="none")
        if (action == "update") != (self.changes is not None):
            expected = "what this update changes" if action == "update" else "nothing: only an update has it"
            raise refuse(expected, field="changes")
        return self

    @property
    def urgent(self) -> bool:
        """Whether it travels in the urgent lane: priority 1 and above."""
        return self.document.priority >= 1

    def natural_key(self) -> NaturalKey | None:
        """The document's own natural key; None if it has no date of issue, or neither number nor notation."""
        fields = self.document
        if fields.issued_on is None or not (nfc(fields.number) or nfc(fields.notation)):
            return None
        return NaturalKey(from_=self.from_, issued_on=fields.issued_on, number=fields.number, notation=fields.notation)
