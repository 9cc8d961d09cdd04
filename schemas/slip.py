"""The slip (contract §3.2): what the broker signs and adds to everything that it delivers, one for every publish.

It tells a recipient what the sender's message cannot: when the exchange accepted it, for whom this copy is, with which
certificate it was signed, and which event of the log it is promised to be. Signing is `schemas.jws`'s; here are only
the bytes to be signed.
"""

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

import orjson
from pydantic import AfterValidator, Field, ValidationError

from schemas.errors import Refusal
from schemas.manifest.common import SPEC, Code, Digest, Moment, Reference, Wire, refuse
from schemas.manifest.refusals import refusal_of
from schemas.strict_json import loads
from schemas.times import rfc3339

KIND: Final = "slip"
BROKER_CUSTODY: Final = "broker"


def _is_base64(text: str) -> str:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise refuse("base64 of a DER certificate", found=f"a text of {len(text)} characters") from None
    return text


class SlipRecipient(Wire):
    """One agency that a hub's or a rerouted copy is for, and what the sender had written for it."""

    code: Code
    addressed_as: str


class Slip(Wire):
    """What one slip says. `document` refers to what is delivered: a document, or a forwarded status message."""

    spec: Literal["lienthong/1"] = SPEC
    kind: Literal["slip"] = KIND
    document: Reference
    accepted_at: Moment
    attempt: Annotated[int, Field(ge=1)]
    recipients: tuple[SlipRecipient, ...] | None = None
    """Present on hub and rerouted copies; elsewhere the mailbox's owner is meant."""
    certificate: Annotated[str, Field(min_length=1), AfterValidator(_is_base64)]
    """Base64 of the DER certificate of who signed what is delivered."""
    leaf: Digest
    log_by: Moment
    custody: Literal["broker"] | None = None
    """Present if the exchange keeps the key of who signed: no agency's own signature is meant then."""

    def certificate_der(self) -> bytes:
        """The certificate's DER bytes."""
        return base64.b64decode(self.certificate)


def encode_slip(
    *,
    from_: str,
    id: str | UUID,
    digest: str,
    accepted_at: datetime,
    attempt: int,
    certificate: str,
    leaf: str,
    log_by: datetime,
    recipients: Sequence[SlipRecipient] | None = None,
    custody: str | None = None,
) -> bytes:
    """The bytes that the broker signs, for the message (`from_`, `id`, `digest`) that is delivered.

    `certificate` is base64 of the DER of who signed that message, `leaf` lower-case hex, `custody` who keeps its key.
    Nothing is checked: the values come from the database, and one slip is made for every publish.
    """
    fields: dict[str, object] = {
        "spec": SPEC,
        "kind": KIND,
        "document": {"from": from_, "id": str(id), "digest": digest},
        "accepted_at": rfc3339(accepted_at),
        "attempt": attempt,
    }
    if recipients is not None:
        fields["recipients"] = [{"code": one.code, "addressed_as": one.addressed_as} for one in recipients]
    if custody == BROKER_CUSTODY:
        fields["custody"] = custody
    return orjson.dumps(fields | {"certificate": certificate, "leaf": leaf, "log_by": rfc3339(log_by)})


def parse_slip(payload: bytes) -> Slip:
    """Read a slip from its signed bytes.

    Raises Refusal: LT-SHAPE if it is not strict JSON, LT-VERSION for another contract, LT-SCHEMA with the field's path.
    """
    claimed = loads(payload, what="slip")
    if not isinstance(claimed, dict) or claimed.get("kind") != KIND:
        raise Refusal(code="LT-SCHEMA", field="slip.kind", found="something else", expected=f'kind "{KIND}"')
    if claimed.get("spec") != SPEC:
        raise Refusal(code="LT-VERSION", field="slip.spec", found=str(claimed.get("spec")), expected=f'"{SPEC}"')
    try:
        return Slip.model_validate_json(payload, strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        refusal = refusal_of(error)
    raise refusal
