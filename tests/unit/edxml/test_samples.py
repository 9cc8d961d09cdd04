"""The published SDK's samples, read where they lie. They are no part of the project: without them this is skipped."""

from pathlib import Path

import pytest

from schemas.edxml.documents import document_manifest
from schemas.edxml.faults import Kind
from schemas.edxml.reading import read
from schemas.edxml.records import BusinessType, Document, Status
from schemas.edxml.rendering import render_document, render_statuses
from schemas.edxml.statuses import status_draft, status_manifest
from schemas.edxml.tying import Known, known_of
from schemas.edxml.writing import write
from schemas.manifest import Action, DocumentManifest, Reference, Role, StatusManifest
from tests.unit.edxml.strategies import bare

REPOSITORY = Path(__file__).resolve().parents[3]
SAMPLES = REPOSITORY.parent / "shared" / "samples" / "edxml"

pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"the SDK's samples are not at {SAMPLES}")

DOCUMENTS = {
    "edoc_new.edxml": (BusinessType.NEW, Action.NEW),
    "edoc_revocation.edxml": (BusinessType.RECALL, Action.RECALL),
    "edoc_replacement.edxml": (BusinessType.REPLACE, Action.REPLACE),
}
STATUSES = {
    "status_inbox_01.edxml": "01",
    "status_rejection_02.edxml": "02",
    "status_acceptance_03.edxml": "03",
    "status_processing_05.edxml": "05",
    "status_finish_06.edxml": "06",
    "status_cancellation_13.edxml": "13",
    "status_change-acceptance_15.edxml": "15",
}
MALFORMED = "malformed_edoc.edxml"


def data_of(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


def test_every_sample_is_answered_here() -> None:
    assert {path.name for path in SAMPLES.iterdir()} == {*DOCUMENTS, *STATUSES, MALFORMED}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_is_good_and_its_attachment_comes_out(name: str) -> None:
    found = read(data_of(name))
    assert found.faults == ()
    message = found.message
    assert isinstance(message, Document) and message.business_type is DOCUMENTS[name][0]
    content = message.attachments[0].content
    assert content is not None and content.wrapped
    assert content.size == 388_347
    assert sum(map(len, content.pieces())) == content.size
    assert message.verdict is not None
    assert message.verdict.cryptography.why.startswith("no verifiable signature")
    assert not message.verdict.good


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_is_written_line_for_line_as_the_sdk_did(name: str) -> None:
    data = data_of(name)
    found = read(data).accepted()
    ours = [line.strip() for line in write(found).decode().splitlines()]
    theirs = [line.strip() for line in data.decode().splitlines() if line.strip()]
    without_signature = theirs[: theirs.index("<Signature>")] + theirs[theirs.index("</Signature>") + 1 :]
    # The time inside the ZIP is another one.
    assert [line[:96] for line in ours] == [line[:96] for line in without_signature]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_becomes_a_manifest_and_comes_back(name: str) -> None:
    data = data_of(name)
    made = document_manifest(read(data))
    assert isinstance(made.manifest, DocumentManifest)
    assert made.manifest.action is DOCUMENTS[name][1]
    original = render_document(made.payload, made.contents).original
    assert original is not None and b"".join(original.pieces()) == data
    file = next(part.sha256 for part in made.manifest.parts if part.role is Role.EDXML)
    contents = {digest: content for digest, content in made.contents.items() if digest != file}
    message = render_document(made.payload, contents).message
    assert message is not None
    assert bare(message) == bare(read(data).accepted())


@pytest.mark.parametrize("name", STATUSES)
def test_a_status_is_good_and_written_line_for_line_as_the_sdk_did(name: str) -> None:
    data = data_of(name)
    found = read(data)
    assert found.faults == ()
    assert isinstance(found.message, Status) and found.message.header.status_code == STATUSES[name]
    ours = [line.strip() for line in write(found.message).decode().splitlines()]
    assert ours == [line.strip() for line in data.decode().splitlines() if line.strip()]


@pytest.mark.parametrize("name", STATUSES)
def test_a_status_is_tied_to_its_document_and_comes_back(name: str) -> None:
    found = read(data_of(name))
    document = known_of(document_manifest(read(data_of("edoc_revocation.edxml"))).payload)
    asking = Known(
        reference=Reference(from_="G22", id=document.reference.id, digest="0f" * 32),
        action=None,
        concerns=(document.reference,),
    )
    made = status_manifest(found, known=[document, asking])
    assert isinstance(made.manifest, StatusManifest)
    assert made.manifest.items[0].concerns == document.reference
    assert made.manifest.from_ == ("G22" if STATUSES[name] == "13" else "H41")
    assert render_statuses(made.payload, [document])[0].message == found.message
    assert status_draft(found)["items"][0]["concerns"]["number"] == "7816"


def test_the_malformed_sample_is_refused_with_all_its_faults_and_their_places() -> None:
    found = read(data_of(MALFORMED))
    assert not found.good
    assert [(fault.kind, fault.place.line, fault.place.column) for fault in found.errors] == [
        (Kind.PREFIX, 116, 9),
        (Kind.PREFIX, 125, 3),
        (Kind.BASE64, 130, 7),
    ]
    assert '"xlink:href"' in found.errors[0].vi
    assert isinstance(found.message, Document) and found.message.verdict is not None
    assert not found.message.verdict.good
