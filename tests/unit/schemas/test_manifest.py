"""Manifests: what is taken, what is refused with which words, and that the published JSON Schemas say the same."""

import json
import unicodedata
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker
from pydantic import ValidationError

from schemas.errors import FOUND_LIMIT, Refusal
from schemas.manifest import (
    KINDS,
    Action,
    DocumentFields,
    DocumentManifest,
    MessageConcern,
    MessageReference,
    NaturalKey,
    NoticeManifest,
    Part,
    Reference,
    RequestManifest,
    Role,
    StatusCode,
    StatusManifest,
    encode_manifest,
    known_fields,
    parse_manifest,
)
from schemas.publish import REPOSITORY
from tests.unit.schemas.manifest_examples import BAD, DIGEST, DOCUMENT, GOOD, ID, KEY, NOTICE, STATUS, Bad


def payload(manifest: Any) -> bytes:
    return json.dumps(manifest, ensure_ascii=False).encode()


def refusal_of(manifest: Any) -> Refusal:
    with pytest.raises(Refusal) as refused:
        parse_manifest(manifest if isinstance(manifest, bytes) else payload(manifest))
    return refused.value


@cache
def published(kind: str) -> Draft202012Validator:
    schema = json.loads((REPOSITORY / "schemas" / "json" / f"{kind}.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=FormatChecker(["date"]))


@pytest.mark.parametrize("name", GOOD)
def test_a_good_manifest_is_taken_by_the_models_and_by_the_published_schema(name: str) -> None:
    manifest = GOOD[name]
    parsed = parse_manifest(payload(manifest))
    assert type(parsed) is KINDS[manifest["kind"]]
    assert str(parsed.id) == manifest["id"]
    assert parsed.from_ == manifest["from"]
    assert list(published(manifest["kind"]).iter_errors(manifest)) == []


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_a_bad_manifest_is_refused_and_the_refusal_names_the_field(bad: Bad) -> None:
    refusal = refusal_of(bad.manifest)
    assert (refusal.code, refusal.field) == (bad.code, bad.field)
    assert refusal.found
    assert refusal.expected
    # A person must be able to read it: none of pydantic's or Python's own words.
    for foreign in ("pydantic", "tuple", "Input should", "ctx", "__", "str_", "NoneType", "String should"):
        assert foreign not in str(refusal)


@pytest.mark.parametrize("bad", [bad for bad in BAD if bad.in_json_schema], ids=lambda bad: bad.name)
def test_the_published_schema_refuses_what_the_models_refuse(bad: Bad) -> None:
    kind = bad.manifest.get("kind")
    validator = published(kind if kind in KINDS else "document")
    assert not validator.is_valid(bad.manifest)


@pytest.mark.parametrize("bad", [bad for bad in BAD if not bad.in_json_schema], ids=lambda bad: bad.name)
def test_the_table_is_honest_about_what_a_json_schema_cannot_say(bad: Bad) -> None:
    assert published(bad.manifest["kind"]).is_valid(bad.manifest)


@pytest.mark.parametrize("name", GOOD)
def test_what_is_written_is_read_again_as_the_same(name: str) -> None:
    parsed = parse_manifest(payload(GOOD[name]))
    written = encode_manifest(parsed)
    assert parse_manifest(written) == parsed
    assert b"null" not in written
    assert published(parsed.kind).is_valid(json.loads(written))
    assert list(json.loads(written))[:4] == ["spec", "kind", "id", "from"]


def test_a_manifest_built_in_python_is_written_by_its_wire_names() -> None:
    manifest = DocumentManifest(
        id=UUID(ID),
        from_="G22",
        sent_at=datetime(2026, 3, 12, 1, 30, tzinfo=UTC),
        action=Action.NEW,
        to=("H53",),
        document=DocumentFields(number="12", issued_on=date(2026, 3, 12)),
        parts=(Part(name="a.pdf", media_type="application/pdf", size=1, sha256=DIGEST, role=Role.DOCUMENT),),
    )
    assert json.loads(encode_manifest(manifest)) == {
        "spec": "lienthong/1",
        "kind": "document",
        "id": ID,
        "from": "G22",
        "sent_at": "2026-03-12T01:30:00.000000Z",
        "action": "new",
        "to": ["H53"],
        "document": {"number": "12", "issued_on": "2026-03-12"},
        "parts": [{"name": "a.pdf", "media_type": "application/pdf", "size": 1, "sha256": DIGEST, "role": "document"}],
    }


def test_python_names_are_not_wire_names() -> None:
    misspelt = {name.replace("from", "from_"): value for name, value in DOCUMENT.items()}
    assert refusal_of(misspelt).field == "from"


def test_a_manifest_does_not_change() -> None:
    parsed = parse_manifest(payload(DOCUMENT))
    with pytest.raises(ValidationError):
        parsed.test = True  # type: ignore[misc]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "LT-SHAPE"),
        (b"\xff", "LT-SHAPE"),
        (b'{"spec":"lienthong/1","spec":"lienthong/1"}', "LT-SHAPE"),
        (payload(DOCUMENT | {"document": {"subject": "a\x00b"}}), "LT-SHAPE"),
        (b"[]", "LT-SCHEMA"),
        (b'"lienthong/1"', "LT-SCHEMA"),
        (b"null", "LT-SCHEMA"),
        (b"{}", "LT-VERSION"),
    ],
)
def test_what_is_no_strict_json_object_is_refused_before_any_field(data: bytes, code: str) -> None:
    assert refusal_of(data).code == code


def test_the_version_is_judged_before_anything_else_of_the_manifest() -> None:
    assert refusal_of({"spec": "lienthong/2", "kind": "hologram", "must_understand": ["x"]}).code == "LT-VERSION"


def test_a_demanded_field_that_is_known_lets_the_manifest_pass() -> None:
    demands = ["document.deliver_by", "parts.sha256", "replies_to", "document.signer.authority"]
    assert parse_manifest(payload(DOCUMENT | {"must_understand": demands})).must_understand == tuple(demands)


def test_fields_of_another_kind_are_not_known() -> None:
    assert "items.for" in known_fields(StatusManifest)
    assert "items.for" not in known_fields(DocumentManifest)
    assert refusal_of(STATUS | {"must_understand": ["action"]}).code == "LT-MUST-UNDERSTAND"


def test_a_refusal_repeats_one_fields_value_and_no_more_of_the_document() -> None:
    secret = "Nội dung không được lộ "
    long = refusal_of(DOCUMENT | {"document": {"subject": secret * 100}})
    assert long.found == "a text of 2300 characters"
    beside = refusal_of(DOCUMENT | {"document": {"subject": secret, "priority": "x"}, "reason": secret})
    assert secret.strip() not in str(beside)
    whole = refusal_of(DOCUMENT | {"document": [secret]})
    assert whole.found == "a list of 1"
    assert secret.strip() not in str(whole)
    wide = refusal_of(DOCUMENT | {"action": "y" * 5000})
    assert wide.found is not None
    assert len(wide.found) <= FOUND_LIMIT


def test_a_number_is_compared_as_written_but_for_normal_form_and_blanks() -> None:
    decomposed = unicodedata.normalize("NFD", KEY["notation"])
    assert decomposed != KEY["notation"]
    key = natural_key()
    assert natural_key(notation=f" {decomposed}\n").key_digest() == key.key_digest()
    assert natural_key(issued_on=date(2026, 12, 31)).key_digest() == key.key_digest(), "only the year counts"
    for other in (
        natural_key(number="7"),
        natural_key(notation="cv-tư"),
        natural_key(issued_on=date(2025, 3, 10)),
        natural_key(from_="G09"),
        natural_key(number="0", notation="7CV-TƯ"),
    ):
        assert other.key_digest() != key.key_digest()


def natural_key(**fields: Any) -> NaturalKey:
    return NaturalKey(
        **({"from_": "G22", "number": "07", "notation": "CV-TƯ", "issued_on": date(2026, 3, 10)} | fields)
    )


def test_the_natural_key_is_the_hash_of_its_canonical_json() -> None:
    # printf '["G22",2026,"07","CV-TƯ"]' | sha256sum
    assert natural_key().key_digest().hex() == "a3d297de8608c3cdedcae6f48f7acd101ae3749a20cc0d9e676ab036c6441796"


@given(st.text(max_size=20), st.text(max_size=20))
def test_every_number_and_notation_that_json_can_carry_has_a_key(number: str, notation: str) -> None:
    key = natural_key(number=number, notation=notation)
    assert len(key.key_digest()) == 32
    trimmed = natural_key(number=f" {number} ", notation=notation)
    assert trimmed.key_digest() == key.key_digest()


@pytest.mark.parametrize(
    ("fields", "has_one"),
    [
        ({"number": "12", "notation": "A", "issued_on": "2026-03-12"}, True),
        ({"number": "12", "issued_on": "2026-03-12"}, True),
        ({"number": "12", "notation": "A"}, False),
        ({"number": " ", "issued_on": "2026-03-12"}, False),
        ({}, False),
    ],
)
def test_a_document_without_date_or_without_number_has_no_natural_key(fields: Any, has_one: bool) -> None:
    manifest = parse_manifest(payload(DOCUMENT | {"document": fields}))
    assert isinstance(manifest, DocumentManifest)
    assert (manifest.natural_key() is not None) is has_one


@pytest.mark.parametrize(("priority", "urgent"), [(0, False), (1, True), (2, True), (3, True)])
def test_priority_1_and_above_is_urgent(priority: int, urgent: bool) -> None:
    manifest = parse_manifest(payload(DOCUMENT | {"document": {"priority": priority}}))
    assert isinstance(manifest, DocumentManifest)
    assert manifest.urgent is urgent


def test_what_concerns_another_message_is_read_in_the_form_it_was_written() -> None:
    document = parse_manifest(payload(DOCUMENT))
    status = parse_manifest(payload(STATUS))
    notice = parse_manifest(payload(NOTICE))
    assert isinstance(document, DocumentManifest)
    assert isinstance(status, StatusManifest)
    assert isinstance(notice, NoticeManifest)
    assert [type(one) for one in document.replies_to] == [Reference, NaturalKey]
    assert [type(item.answers) for item in status.items[3:]] == [Reference, MessageReference]
    assert [type(item.concerns) for item in notice.items] == [Reference, MessageConcern, type(None)]
    assert status.items[1].for_ == "H53.31.20"
    assert status.items[1].code is StatusCode.REFUSED


def test_times_are_read_as_moments() -> None:
    request = parse_manifest(payload(GOOD["request"]))
    assert isinstance(request, RequestManifest)
    assert request.since == datetime(2026, 2, 28, 17, tzinfo=UTC)
    assert request.since.utcoffset() == timedelta(0)


def test_the_largest_manifests_of_the_contract_are_taken() -> None:
    document = DOCUMENT | {"to": [f"H53.{n}" for n in range(5000)], "parts": [DOCUMENT["parts"][0]] * 100}
    status = STATUS | {"items": [STATUS["items"][0]] * 500}
    for manifest in (document, status):
        parse_manifest(payload(manifest))
        assert published(manifest["kind"]).is_valid(manifest)


# Without line feeds: Python's own `$` also matches before one at the end, unlike the `$` of JSON Schema.
texts = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=5)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(GOOD)), st.data())
def test_whatever_stands_in_a_field_the_answer_is_a_manifest_or_a_refusal(name: str, data: st.DataObject) -> None:
    manifest = dict(GOOD[name])
    field = data.draw(st.sampled_from(sorted(manifest)))
    manifest[field] = data.draw(json_values)
    try:
        parse_manifest(payload(manifest))
    except Refusal as refusal:
        assert refusal.field
        assert refusal.expected
        assert refusal.found is not None


@given(st.sampled_from(sorted(GOOD)), st.data())
def test_models_and_published_schemas_agree_on_single_fields(name: str, data: st.DataObject) -> None:
    manifest = dict(GOOD[name])
    field = data.draw(st.sampled_from(sorted(set(manifest) - {"must_understand"})))
    manifest[field] = data.draw(json_values)
    try:
        parse_manifest(payload(manifest))
        taken = True
    except Refusal as refusal:
        if refusal.code == "LT-SHAPE":
            return
        taken = False
    assert published(GOOD[name]["kind"]).is_valid(manifest) is taken
