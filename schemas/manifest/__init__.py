"""Manifests (contract §2): what is signed. Reading them is strict, and a refusal says which field, found and expected.

`parse_manifest` is the only door for bytes that came from outside; `encode_manifest` writes what is going to be signed.
Nobody re-serialises a manifest that came in: its digest is over the bytes as they came.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final, get_args

import orjson
from pydantic import BaseModel, ValidationError

from schemas.errors import Refusal
from schemas.manifest.common import SPEC, Manifest, MessageReference, NaturalKey, Reference
from schemas.manifest.document import (
    Action,
    Changes,
    DocumentFields,
    DocumentManifest,
    Part,
    Role,
    Signer,
    Via,
)
from schemas.manifest.notice import (
    MessageConcern,
    NoticeEvent,
    NoticeItem,
    NoticeManifest,
    NoticeRecipient,
    NoticeRecipients,
)
from schemas.manifest.refusals import refusal_of
from schemas.manifest.request import RequestManifest
from schemas.manifest.status import Staff, StatusItem, StatusManifest
from schemas.states import StatusCode
from schemas.strict_json import loads

__all__ = [
    "KINDS",
    "SPEC",
    "Action",
    "AnyManifest",
    "Changes",
    "DocumentFields",
    "DocumentManifest",
    "Manifest",
    "MessageConcern",
    "MessageReference",
    "NaturalKey",
    "NoticeEvent",
    "NoticeItem",
    "NoticeManifest",
    "NoticeRecipient",
    "NoticeRecipients",
    "Part",
    "Reference",
    "RequestManifest",
    "Role",
    "Signer",
    "Staff",
    "StatusCode",
    "StatusItem",
    "StatusManifest",
    "Via",
    "encode_manifest",
    "known_fields",
    "parse_manifest",
]

AnyManifest = DocumentManifest | StatusManifest | NoticeManifest | RequestManifest

KINDS: Final[Mapping[str, type[AnyManifest]]] = {
    "document": DocumentManifest,
    "status": StatusManifest,
    "notice": NoticeManifest,
    "request": RequestManifest,
}
"""The kinds of manifest."""


def parse_manifest(payload: bytes) -> AnyManifest:
    """Read a manifest from its signed bytes (contract §4, step 3).

    Raises Refusal: LT-SHAPE if it is not strict JSON, LT-VERSION for another contract, LT-MUST-UNDERSTAND for a
    demanded field that is not known here, LT-REASON-MISSING, and LT-SCHEMA with the field's path for everything else.
    """
    claimed = loads(payload, what="manifest")
    if not isinstance(claimed, dict):
        raise Refusal(code="LT-SCHEMA", field="manifest", found=_kind_of(claimed), expected="a JSON object")
    spec = claimed.get("spec")
    if spec != SPEC:
        raise Refusal(code="LT-VERSION", field="spec", found=_shown(spec), expected=f'"{SPEC}"')
    kind = claimed.get("kind")
    model = KINDS.get(kind) if isinstance(kind, str) else None
    if model is None:
        raise Refusal(code="LT-SCHEMA", field="kind", found=_shown(kind), expected=f"one of {', '.join(KINDS)}")
    if demanded := claimed.get("must_understand"):
        _check_understood(demanded, known_fields(model))
    try:
        return model.model_validate_json(payload, strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        refusal = refusal_of(error)
    raise refusal


def encode_manifest(manifest: Manifest) -> bytes:
    """The bytes to be signed: UTF-8 JSON by wire names; a field that says what its absence says is left out."""
    fields = manifest.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude_none=True)
    kind = type(manifest).model_fields["kind"].default
    return orjson.dumps({"spec": SPEC, "kind": kind} | fields)


@cache
def known_fields(model: type[BaseModel]) -> frozenset[str]:
    """Every field of a kind of manifest by its wire name; nested ones as paths without positions (`parts.size`)."""
    return frozenset(_paths(model))


def _paths(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        wire_name = field.alias or name
        yield wire_name
        for nested in _models_in(field.annotation):
            yield from (f"{wire_name}.{path}" for path in _paths(nested))


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _check_understood(demanded: Any, known: frozenset[str]) -> None:
    names = demanded if isinstance(demanded, list) else [demanded]
    for position, name in enumerate(names):
        # What is not a text is the schema's to refuse.
        if isinstance(name, str) and name not in known:
            raise Refusal(
                code="LT-MUST-UNDERSTAND",
                field=f"must_understand.{position}",
                found=f'"{name}"',
                expected="the names of fields that this exchange knows",
            )


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    return _kind_of(value)


def _kind_of(value: Any) -> str:
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    return "null" if value is None else orjson.dumps(value).decode()
