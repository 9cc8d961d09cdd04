"""Settings, letters, parts, plans: mistakes are told with their field, before anything leaves."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import Letter, Part, Refuse, Rejected
from adapters.compose import PreparedPart, document, document_manifest
from adapters.content import ContentMissing, LocalFolder, PartFiles, measure, write_verified
from adapters.identity import Signer
from adapters.letter import Ref
from adapters.pace import Signal
from adapters.settings import from_table, load
from adapters.simulate.office import altered
from adapters.simulate.plan import load_plan
from schemas.certificates import new_private_key
from schemas.content_layout import accepted_path, stored_path
from schemas.errors import Refusal
from schemas.jws import parse_message, signature_holds
from schemas.manifest import DocumentManifest, parse_manifest
from schemas.problem import Problem

NOW = datetime(2026, 3, 11, 18, 30, tzinfo=UTC)  # in Viet Nam it is already the 12th
SIGNER = Signer(code="G22", key=new_private_key("P-256"), thumbprint=bytes(32))
PART = PreparedPart(
    name="a.pdf", media_type="application/pdf", role="document", size=1,
    sha256=hashlib.sha256(b"x").hexdigest(), inline=b"x",
)  # fmt: skip
LETTER = Letter(number="12", notation="TB", subject="Về việc", to=["H53"], parts=[Part.data("a.pdf", b"x")])
ID = "01980000-0000-7000-8000-000000000000"


def composed(letter: Letter = LETTER, **more: Any) -> Any:
    return document(letter, [PART], speaker="G22", signer=SIGNER, id=ID, now=NOW, **more)


def test_a_letter_without_a_date_is_issued_today_in_viet_nam() -> None:
    manifest = document_manifest(LETTER, [PART], speaker="G22", id=ID, now=NOW)
    assert str(manifest["document"]["issued_on"]) == "2026-03-12"


def test_what_is_signed_reads_back_as_it_was_written() -> None:
    parsed = parse_message(composed().body, slip_allowed=False)
    manifest = parse_manifest(parsed.signed.payload)
    assert isinstance(manifest, DocumentManifest)
    assert (manifest.to, manifest.document.subject, dict(parsed.content)) == (("H53",), "Về việc", {PART.sha256: b"x"})
    assert signature_holds(parsed.signed, SIGNER.key.public_key())


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"to": []}, "to"),
        ({"priority": 4}, "deliver_by"),
        ({"subject": "x" * 501}, "subject"),
        ({"priority": 9}, "priority"),
    ],
)
def test_a_mistake_is_told_with_its_field_before_anything_is_sent(change: dict[str, Any], field: str) -> None:
    with pytest.raises(Refusal) as refused:
        composed(replace(LETTER, **change))
    assert field in str(refused.value.field)


def test_a_message_that_would_be_too_large_is_told_so() -> None:
    with pytest.raises(Refusal, match="LT-SIZE"):
        composed(
            replace(
                LETTER, to=[f"H53.{'X' * 28}{number}" for number in range(4999)], further={"summary": "x" * 400_000}
            )
        )


def test_an_altered_message_keeps_its_signature_and_loses_its_truth() -> None:
    good = composed()
    false = altered(good)
    signed = parse_message(false.body, slip_allowed=False).signed
    assert (false.id, signed.digest) == (good.id, false.digest) and false.digest != good.digest
    assert not signature_holds(signed, SIGNER.key.public_key())


def test_a_refusal_needs_a_reason() -> None:
    with pytest.raises(ValueError, match="reason"):
        Refuse("  ")


def test_a_rejection_reads_as_a_sentence_and_knows_whether_to_try_again() -> None:
    rejected = Rejected(
        document=Ref("G22", ID, "d"), code="LT-TIME", field="sent_at", found="yesterday", expected="today", detail={}
    )
    assert str(rejected).startswith("LT-TIME in sent_at: found yesterday, expected today")
    assert not Rejected(
        document=Ref("", "", ""), code="LT-NEW", field=None, found=None, expected=None, detail={}
    ).retryable


# ── Content ──


def test_parts_go_under_the_agencys_own_name_and_come_from_what_was_accepted(tmp_path: Path) -> None:
    sha256, size = measure(b"a part")
    store, files = LocalFolder(tmp_path, "G22"), PartFiles(tmp_path / "parts")
    store.put(b"a part", sha256)
    assert size == 6 and stored_path(tmp_path, "G22", sha256).read_bytes() == b"a part"
    with pytest.raises(ContentMissing):
        files.keep(sha256, partial(store.copy_to, size=size))
    accepted_path(tmp_path, sha256).parent.mkdir(parents=True)
    accepted_path(tmp_path, sha256).write_bytes(b"a part")
    with pytest.raises(ContentMissing, match=r"6 bytes .* the manifest says 5"):
        store.copy_to(sha256, tmp_path / "none", size=5)
    assert files.keep(sha256, partial(store.copy_to, size=size)).read_bytes() == b"a part" and files.has(sha256)


def test_other_bytes_under_a_digest_are_never_kept(tmp_path: Path) -> None:
    target = tmp_path / "ab" / "abcd"
    with pytest.raises(ContentMissing, match="digest"):
        write_verified(b"other bytes", "ab" * 32, target)
    assert list(target.parent.iterdir()) == []


@given(st.binary(max_size=3_000_000))
def test_a_file_and_its_bytes_measure_the_same(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "measured"
    path.write_bytes(data)
    assert measure(path) == measure(data) == (hashlib.sha256(data).hexdigest(), len(data))


# ── Settings and plans ──

TABLE = {
    "code": "h53.31",
    "amqp_url": "amqp://exchange/",
    "key_file": "agency.key",
    "certificate_file": "agency.pem",
    "root_file": "roots.pem",
    "broker_certificate_file": "broker.pem",
    "data_dir": "data",
}


def test_settings_are_canonical_and_their_paths_count_from_their_folder() -> None:
    settings = from_table(TABLE | {"served": [{"code": "H53.32"}]}, folder=Path("/srv/office"), what="x")
    assert (settings.code, settings.submitter, settings.key_file) == (
        "H53.31",
        "H53.31",
        Path("/srv/office/agency.key"),
    )
    assert settings.codes == {"H53.31", "H53.32"} and settings.has_mailbox


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"code": None}, "code is missing"),
        ({"code": "not a code!"}, "code is 'not a code!'"),
        ({"key_file": 3}, "key_file is 3"),
        ({"resend_after_seconds": -1}, "resend_after_seconds is -1"),
        ({"served": [{}]}, r"\[\[served\]\] number 1: code is missing"),
        ({"served": "H53"}, "served is 'H53'"),
    ],
)
def test_a_wrong_setting_is_named(change: dict[str, Any], told: str) -> None:
    table = {name: value for name, value in (TABLE | change).items() if value is not None}
    with pytest.raises(Problem, match=told):
        from_table(table, folder=Path("/"), what="agency.toml")


def test_a_password_comes_from_the_environment_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "password").write_text("from the file\n")
    named = from_table(TABLE | {"amqp_password_file": "password"}, folder=tmp_path, what="x")
    unnamed = from_table(TABLE, folder=tmp_path, what="x")
    assert named.amqp_password() == "from the file"
    with pytest.raises(Problem, match="amqp_password_file"):
        unnamed.amqp_password()
    monkeypatch.setenv("LIENTHONG_AGENCY_AMQP_PASSWORD", "from the environment")
    assert unnamed.amqp_password() == "from the environment"


def test_a_broken_toml_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "agency.toml").write_text("code = \nx = 1")
    with pytest.raises(Problem, match="line 1"):
        load(tmp_path / "agency.toml")


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        ("{", "Expecting"),
        ("{}", "offices"),
        (json.dumps({"offices": [], "submissions": [{"from": "G22", "to": []}]}), "through G22"),
        (json.dumps({"offices": [], "submissions": [{"from": "G22", "to": [], "variant": "odd"}]}), "odd"),
    ],
)
def test_a_wrong_plan_is_told_so(tmp_path: Path, plan: str, told: str) -> None:
    (tmp_path / "plan.json").write_text(plan)
    with pytest.raises(Problem, match=told):
        load_plan(tmp_path / "plan.json")


# ── Waking ──


async def test_a_signal_between_two_looks_is_not_lost() -> None:
    signal = Signal()
    seen = signal.version
    signal.set()
    await asyncio.wait_for(signal.wait(seen, None), 1)
    waiting = asyncio.create_task(signal.wait(signal.version, None))
    await asyncio.sleep(0)
    assert not waiting.done()
    signal.set()
    await asyncio.wait_for(waiting, 1)
