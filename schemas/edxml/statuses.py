"""From an edXML status to a manifest with one status item (contract §2.4).

A status names the bytes that arrived by their digest, which edXML does not have: the document has to be at hand. What
the file says by itself is a draft.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import NAMESPACE_URL, UUID, uuid5

from schemas.edxml.converted import Converted, canonical_agency, encoded, filled, given_back, key_json, reference_json
from schemas.edxml.kept import FIELD, ORIGINAL, STATUS_FIELDS, Json, status_json, without
from schemas.edxml.naming import agency, key_in, natural_key
from schemas.edxml.reading import Reading
from schemas.edxml.records import ResponseFor, Status
from schemas.edxml.tying import Known, tie_answer, tie_response
from schemas.manifest import SPEC, StatusCode, StatusManifest, parse_manifest
from schemas.times import rfc3339


def status_manifest(
    reading: Reading,
    *,
    known: Sequence[Known] = (),
    id: UUID | None = None,
    sent_at: datetime | None = None,
    speaker: str | None = None,
) -> Converted:
    """The manifest of an edXML status.

    `known` are the documents that it can be about: edXML has no digest, and a status names the bytes that arrived.
    `speaker` signs, if it is not the agency itself but its hub. Raises Refusal: LT-EDXML, LT-CONCERNS-UNKNOWN and
    LT-CONCERNS-AMBIGUOUS if it cannot be tied to one document, and what `parse_manifest` raises.
    """
    message = reading.accepted()
    if not isinstance(message, Status):
        raise TypeError("a document is not a status")
    if (given := given_back(message)) is not None:
        return given
    draft = status_draft(reading, id=id, sent_at=sent_at, speaker=speaker)
    item = draft["items"][0]
    about = message.header.response_for
    assert about is not None
    document = tie_response(about, _sender(message), known)
    item["concerns"] = reference_json(document.reference)
    if item["code"] in (StatusCode.CHANGE_AGREED, StatusCode.CHANGE_REFUSED):
        answered = tie_answer(document, known)
        item["answers"] = reference_json(answered.reference)
        if answered.action is None:
            del item["answers"]["digest"]
    payload = encoded(draft)
    parsed = parse_manifest(payload)
    assert isinstance(parsed, StatusManifest)
    return Converted(manifest=parsed, payload=payload, contents={}, remarks=())


def status_draft(
    reading: Reading, *, id: UUID | None = None, sent_at: datetime | None = None, speaker: str | None = None
) -> Json:
    """What the file says of a status manifest by itself: all but the reference of the document that it concerns.

    In its place stands what the file says of the document: agency, number, notation, date, edXML id. No manifest yet.
    """
    message = reading.accepted()
    assert isinstance(message, Status)
    header = message.header
    about = header.response_for
    assert about is not None and header.timestamp is not None and header.from_ is not None
    agency_code = canonical_agency(header.from_.organ_id, header.from_, "OrganId")
    staff = header.staff
    item: Json = {
        "concerns": _named(about, _sender(message)),
        "for": agency_code if speaker not in (None, agency_code) else None,
        "code": header.status_code,
        "at": rfc3339(header.timestamp),
        "to": [about.organ_id] if header.status_code == StatusCode.TAKE_BACK else None,
        "reason": header.description,
        "staff": staff
        and filled({"name": staff.staff, "department": staff.department, "phone": staff.mobile, "email": staff.email}),
    }
    return filled(
        {
            "spec": SPEC,
            "kind": "status",
            "id": str(id or uuid5(NAMESPACE_URL, f"edxml:{reading.sha256}")),
            "from": speaker or agency_code,
            "sent_at": rfc3339(sent_at or header.timestamp),
            "items": [filled(item)],
            FIELD: (without(status_json(message), STATUS_FIELDS) or {}) | {ORIGINAL: reading.sha256},
        }
    )


def _named(about: ResponseFor, sender: str | None) -> Json:
    """What is said of the document: its id in edXML, and its natural key or at least whose it is."""
    key = natural_key(sender, about.code, about.issued_on) or key_in(about.document_id)
    return filled({"document_id": about.document_id} | (key_json(key) if key else {"from": agency(sender or "")}))


def _sender(message: Status) -> str | None:
    """Who issued the document: of a 13, who speaks; of all others, who is spoken to."""
    header = message.header
    of = header.from_ if header.status_code == StatusCode.TAKE_BACK else header.response_for
    return of.organ_id if of is not None else None
