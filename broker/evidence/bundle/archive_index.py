"""The index of an archive: one CSV row for every document, told from the parts alone so that it can be checked."""

from __future__ import annotations

import csv
import io
import json
from typing import Final

from schemas.jws import parse_stored
from schemas.manifest import DocumentManifest, parse_manifest

CONTENTS: Final = "contents.bundle"
INDEX: Final = "index.csv"

COLUMNS: Final = (
    "accepted_at",
    "from",
    "id",
    "digest",
    "action",
    "type",
    "number",
    "notation",
    "issued_on",
    "subject",
    "recipients",
    "part",
)


def index_rows(bundle: bytes, part: str) -> str:
    """The rows of the index for the documents of one part, as CSV; what is told comes from the bundle alone."""
    lines = [json.loads(line) for line in bundle.splitlines()]
    first = {
        line["body"]["document"]["digest"]: line["body"]
        for line in lines
        if line["type"] == "event" and line["body"]["event"] == "accepted" and line["body"].get("part", 1) == 1
    }
    rows = []
    for line in lines:
        if line["type"] != "document":
            continue
        signed = parse_stored(json.dumps(line["jws"]).encode())
        manifest = parse_manifest(signed.payload)
        if not isinstance(manifest, DocumentManifest):
            continue
        body, document = first[signed.digest], manifest.document
        told = (body["at"], manifest.from_, str(manifest.id), signed.digest, manifest.action.value, document.type or "")
        name = (document.number, document.notation, str(document.issued_on or ""), document.subject)
        rows.append((*told, *(_harmless(one) for one in name), body["count"], part))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(sorted(rows))
    return text.getvalue()


def _harmless(text: str) -> str:
    """What a spreadsheet would take for a formula gets an apostrophe before it."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
