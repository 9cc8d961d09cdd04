"""To which document an edXML status, answer or change belongs.

edXML has no digests and no ids that are the same everywhere. The id counts where there is one; else the natural key
(agency, year, number, notation). What fits several documents is told as such, with the candidates, and never guessed.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from typing import Final

from schemas.edxml.kept import FIELD
from schemas.edxml.naming import agency, as_uuid, key_in, natural_key, split_code
from schemas.edxml.records import ResponseFor
from schemas.errors import Refusal
from schemas.manifest import (
    Action,
    DocumentManifest,
    NaturalKey,
    Reference,
    StatusCode,
    StatusManifest,
    parse_manifest,
)
from schemas.manifest.common import nfc

_DOCUMENTS_OF_THEIR_OWN: Final = (Action.NEW, Action.REPLACE)

NOT_KNOWN: Final = "one of the documents that are at hand"


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """A document, or a status message with a 13, of which the signed bytes are at hand."""

    reference: Reference
    # What it does; None for a status message.
    action: Action | None
    key: NaturalKey | None = None
    # The id that it has in edXML, if it came or went as edXML.
    document_id: str | None = None
    # What a change, or a 13, is about.
    concerns: tuple[Reference | NaturalKey, ...] = ()

    def is_named(self, document_id: str, sender: str | None) -> bool:
        """Whether that is its id. Only a UUID means the same whoever says it; other ids are their sender's."""
        id = as_uuid(document_id)
        if id is not None and id == self.reference.id:
            return True
        mine = id is not None or sender is None or agency(sender) == self.reference.from_
        return mine and document_id == self.document_id

    def is_about(self, other: "Known") -> bool:
        """Whether this asks for a change of `other`. Never of itself, though a recall has the key of its document."""
        return self.reference != other.reference and any(
            one.id == other.reference.id
            if isinstance(one, Reference)
            else other.key is not None and one.key_digest() == other.key.key_digest()
            for one in self.concerns
        )


def known_of(payload: bytes) -> Known:
    """What is known of a manifest from its signed bytes. Raises Refusal if it is none, or a notice or a request."""
    manifest = parse_manifest(payload)
    reference = Reference(from_=manifest.from_, id=manifest.id, digest=sha256(payload).hexdigest())
    if isinstance(manifest, DocumentManifest):
        return Known(
            reference=reference,
            action=manifest.action,
            key=manifest.natural_key(),
            document_id=_document_id(payload),
            concerns=manifest.concerns,
        )
    if isinstance(manifest, StatusManifest):
        asked = tuple(item.concerns for item in manifest.items if item.code is StatusCode.TAKE_BACK)
        return Known(reference=reference, action=None, concerns=asked)
    raise Refusal(code="LT-SCHEMA", field="kind", found=manifest.kind, expected="document or status")


def _document_id(payload: bytes) -> str | None:
    extension = json.loads(payload).get(FIELD)
    header = extension.get("MessageHeader") if isinstance(extension, dict) else None
    found = header.get("DocumentId") if isinstance(header, dict) else None
    return found if isinstance(found, str) else None


def tie(
    *, sender: str | None, document_id: str | None, code: str | None, issued_on: date | None, known: Iterable[Known]
) -> Known:
    """The one document that is meant.

    Raises Refusal LT-CONCERNS-UNKNOWN if none of `known` fits and LT-CONCERNS-AMBIGUOUS, with their ids, if several do.
    """
    documents = [one for one in known if one.action is not None]
    shown = document_id or code or "nothing"
    if document_id:
        named = _originals([one for one in documents if one.is_named(document_id, sender)])
        if named:
            return _one(named, shown)
    keyed = _originals([one for one in documents if _fits(one, sender, document_id, code, issued_on)])
    if not keyed:
        raise Refusal(code="LT-CONCERNS-UNKNOWN", field="concerns", found=shown, expected=NOT_KNOWN)
    return _one(keyed, shown)


def tie_response(about: ResponseFor, sender: str | None, known: Iterable[Known]) -> Known:
    """The document that a `ResponseFor` means; `sender` is who issued it. Raises like `tie`."""
    return tie(sender=sender, document_id=about.document_id, code=about.code, issued_on=about.issued_on, known=known)


def tie_answer(document: Known, known: Iterable[Known]) -> Known:
    """The one asking message about `document` that a 15 or 16 can answer. Raises like `tie`."""
    asking = [one for one in known if one.action is not Action.NEW and one.is_about(document)]
    if not asking:
        raise Refusal(
            code="LT-CONCERNS-UNKNOWN",
            field="answers",
            found="an answer without what it answers",
            expected="the recall, update, replacement or 13 that is answered, among the documents at hand",
        )
    return _one(asking, "an answer that does not say to what")


def _originals(found: Sequence[Known]) -> Sequence[Known]:
    """edXML sends a recalled or updated document again under the same id: meant is the document, not its change."""
    return [one for one in found if one.action in _DOCUMENTS_OF_THEIR_OWN] or found


def _one(found: Sequence[Known], shown: str) -> Known:
    distinct = {one.reference.digest: one for one in found}
    if len(distinct) > 1:
        raise Refusal(
            code="LT-CONCERNS-AMBIGUOUS",
            field="concerns",
            found=f"{shown}, which fits {len(distinct)} documents",
            expected="one document",
            candidates=tuple(str(one.reference.id) for one in distinct.values()),
        )
    return next(iter(distinct.values()))


def _fits(one: Known, sender: str | None, document_id: str | None, code: str | None, issued_on: date | None) -> bool:
    """Whether the natural key is that of `one`; without a date any year fits."""
    if one.key is None:
        return False
    wanted = natural_key(sender, code, issued_on) or key_in(document_id)
    if wanted is not None:
        return wanted.key_digest() == one.key.key_digest()
    if not code or not sender:
        return False
    number, notation = split_code(code)
    mine = (one.key.from_, nfc(one.key.number), nfc(one.key.notation))
    return mine == (agency(sender), nfc(number), nfc(notation))
