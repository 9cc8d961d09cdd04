"""Documents: their columns, signed bytes, parts, what they change, and that they are held."""

from __future__ import annotations

from pathlib import Path

from tests.integration.evidence.story import Story
from tests.integration.evidence.tampering.kit import FIRST, Tampering, columns, each, found_and_named, named_by_another

TAMPERINGS = [
    columns(
        "document",
        "document_id = (SELECT min(document_id) FROM document)",
        {
            "digest": "sha256('x')",
            "action": "'recall'",
            "priority": "4",
            "test": "true",
            "number": "'0'",
            "notation": "'X'",
            "issued_on": "'2020-01-01'",
            "type": "'Y'",
            "subject": "'Z'",
            "natural_key": "sha256('x')",
            "sent_at": "sent_at - interval '1 day'",
            "accepted_at": "accepted_at - interval '1 second'",
            "leaf": "sha256('x')",
            "recipients": "7",
            "warnings": '\'[{"error": "LT-DUP-NATURAL"}]\'',
            "via": '\'{"protocol": "x"}\'',
            "thumbprint": "(SELECT c.thumbprint FROM certificate c WHERE c.thumbprint <> document.thumbprint LIMIT 1)",
            "submitter_id": "(SELECT min(agency_id) FROM agency)",
            "log_by": "log_by + interval '1 hour'",
            "unresolved": "'[\"X\"]'",
        },
    ),
    columns(
        "document",
        "unresolved <> '[]'",
        {"unresolved": "'[]'", "warnings": "jsonb_set(warnings, '{0,addressed_as}', '\"X\"')"},
    ),
    Tampering(
        name="what was promised of a document's acceptance",
        sql=f"UPDATE document SET log_by = log_by + interval '1 hour' WHERE document_id = {FIRST}",
        where="document",
        what="log_by",
    ),
    Tampering(
        name="a document's sender",
        sql=f"UPDATE document SET sender_id = 1 WHERE document_id = {FIRST}",
        where="document",
        what="row",
    ),
    Tampering(
        name="a document's signed bytes",
        sql="UPDATE document d SET jws = o.jws FROM document o"
        f" WHERE d.document_id = {FIRST} AND o.document_id = {FIRST} + 1",
        where="document",
        what="jws",
    ),
    Tampering(
        name="a document's signature",
        sql="UPDATE document SET jws = convert_to(regexp_replace(convert_from(jws, 'UTF8'), '\"signature\":\"..',"
        f" '\"signature\":\"AA'), 'UTF8') WHERE document_id = {FIRST}",
        where="document",
        what="jws",
        full=True,
    ),
    Tampering(
        name="a document in the name of another's certificate",
        sql=named_by_another("document", "document"),
        where="document",
        what=("thumbprint", "signer"),
        full=True,
    ),
    Tampering(
        name="a document removed",
        sql="ALTER TABLE delivery DISABLE TRIGGER ALL; ALTER TABLE document DISABLE TRIGGER ALL;"
        f"DELETE FROM document WHERE document_id = {FIRST}",
        where="document",
        what="row",
    ),
    Tampering(
        name="a document made up",
        sql="INSERT INTO document (sender_id, id, digest, jws, action, thumbprint, submitter_id, sent_at, accepted_at,"
        " leaf, log_by, recipients) SELECT sender_id, gen_random_uuid(), digest, jws, action, thumbprint, submitter_id,"
        f" sent_at, accepted_at, leaf, log_by, 0 FROM document WHERE document_id = {FIRST}",
        where="document",
        what="row",
    ),
    Tampering(
        name="a document's part",
        sql="UPDATE document_part p SET digest = (SELECT digest FROM content c WHERE c.digest <> p.digest LIMIT 1)"
        f" WHERE document_id = {FIRST}",
        where="document",
        what="document_part",
    ),
    Tampering(name="a part's bytes", sql="UPDATE content SET inline = 'x'", where="content", what="inline"),
    Tampering(name="a hold made up", sql="UPDATE document SET held_at = now()", where="document", what="held_at"),
    Tampering(
        name="a part's place among the others",
        sql="UPDATE document_part SET ordinal = 5",
        where="document",
        what="document_part",
    ),
    Tampering(
        name="what a document changes removed",
        sql="DELETE FROM document_concerns",
        where="document_concerns",
        what="row",
    ),
    Tampering(
        name="what a document changes made up",
        sql=f"INSERT INTO document_concerns SELECT (SELECT max(document_id) FROM document), {FIRST}",
        where="document_concerns",
        what="row",
    ),
    Tampering(
        name="a part's name", sql="UPDATE document_part SET name = 'x.pdf'", where="document", what="document_part"
    ),
    Tampering(
        name="a part's bytes, dated before all time",
        sql="UPDATE content SET inline = 'x', stored_at = '1960-01-01'",
        where="content",
        what="inline",
    ),
    Tampering(
        name="what is known of a part removed",
        sql="SET LOCAL session_replication_role = replica; DELETE FROM content",
        where="content",
        what="row",
    ),
]


@each(TAMPERINGS)
async def test_tampering_is_found_and_named(story: Story, tampering: Tampering, tmp_path: Path) -> None:
    await found_and_named(story, tampering, tmp_path)
