"""The manifest of statuses (contract §2.4): up to 500 facts about documents of one sender under one signature."""

from typing import Annotated, Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic.config import JsonDict, JsonValue

from schemas.manifest.common import (
    Addressee,
    Code,
    Manifest,
    Moment,
    Reference,
    ReferenceOrMessage,
    Wire,
    nfc,
    refuse,
    refuse_missing_reason,
)
from schemas.manifest.document import MAX_RECIPIENTS
from schemas.states import StatusCode

MAX_ITEMS: Final = 500

_WITH_REASON: Final = frozenset({StatusCode.REFUSED, StatusCode.TAKE_BACK, StatusCode.CHANGE_REFUSED})
_ANSWERS: Final = frozenset({StatusCode.CHANGE_AGREED, StatusCode.CHANGE_REFUSED})


def _when(codes: frozenset[StatusCode], then: JsonDict) -> JsonValue:
    condition: JsonDict = {
        "properties": {"code": {"enum": [str(code) for code in sorted(codes)]}},
        "required": ["code"],
    }
    return {"if": condition, "then": then}


_RULES: Final[list[JsonValue]] = [
    _when(_WITH_REASON, {"properties": {"reason": {"type": "string", "pattern": r"\S"}}, "required": ["reason"]}),
    _when(frozenset({StatusCode.TAKE_BACK}), {"properties": {"to": {"minItems": 1}}, "required": ["to"]}),
    _when(_ANSWERS, {"properties": {"answers": {"type": "object"}}, "required": ["answers"]}),
]
"""The rules of `StatusItem` that depend on the code, as JSON Schema; a test holds the two together."""


class Staff(Wire):
    """Who at the recipient's did it; personal data, never in an event or a log."""

    name: str | None = None
    department: str | None = None
    phone: str | None = None
    email: str | None = None


class StatusItem(Wire):
    """One status about one document."""

    model_config = ConfigDict(json_schema_extra={"allOf": _RULES})

    concerns: Reference
    for_: Code | None = Field(default=None, alias="for")
    """The agency for which it speaks, if not the manifest's `from`."""
    code: StatusCode
    at: Moment
    """Time of the fact."""
    to: Annotated[tuple[Addressee, ...], Field(max_length=MAX_RECIPIENTS)] = ()
    """For 13: the recipients asked."""
    answers: ReferenceOrMessage | None = None
    """For 15 and 16."""
    reason: str | None = None
    staff: Staff | None = None

    @model_validator(mode="after")
    def _fits_its_code(self) -> Self:
        code = self.code
        if code in _WITH_REASON and not nfc(self.reason or ""):
            raise refuse_missing_reason(f"the reason of this status {code}")
        if code is StatusCode.TAKE_BACK and not self.to:
            raise refuse("the recipients that status 13 asks", field="to", found="none")
        if code in _ANSWERS and self.answers is None:
            raise refuse(f"what this status {code} answers", field="answers", found="nothing")
        return self


class StatusManifest(Manifest):
    """Statuses, each judged for itself by the exchange."""

    kind: Literal["status"] = "status"
    items: Annotated[tuple[StatusItem, ...], Field(min_length=1, max_length=MAX_ITEMS)]

    @model_validator(mode="after")
    def _concerns_one_sender(self) -> Self:
        sender = self.items[0].concerns.from_
        for position, item in enumerate(self.items):
            if item.concerns.from_ != sender:
                raise refuse(
                    f"documents of one sender in one message, here {sender}",
                    field=f"items.{position}.concerns.from",
                    found=item.concerns.from_,
                )
        return self
