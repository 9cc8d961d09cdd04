"""The traps of the wire: hashes without zeros, a CRLF behind the file, answers that old clients can read."""

from __future__ import annotations

import hashlib
import json
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.gateway.vxp.answers import Answer, refused
from broker.gateway.vxp.ids import document_id
from broker.gateway.vxp.making import file_in, unpadded
from broker.gateway.vxp.sealing import CustodyKey
from schemas.edxml.faults import EdxmlRefusal
from schemas.edxml.reading import read
from schemas.errors import CATALOGUE, Refusal
from schemas.problem import Problem
from tests.kit.vxp import edoc


@given(st.binary(max_size=200), st.booleans(), st.booleans())
def test_the_file_is_found_with_both_hashes_and_with_or_without_the_crlf(file: bytes, crlf: bool, padded: bool) -> None:
    digest = hashlib.sha256(file).digest()
    given_hash = digest.hex().upper() if padded else unpadded(digest)
    assert file_in(BytesIO(file + b"\r\n" if crlf else file), given_hash) == file


def test_another_file_does_not_fit() -> None:
    digest = hashlib.sha256(b"a").hexdigest()
    assert file_in(BytesIO(b"b"), digest) is None
    assert file_in(BytesIO(b"a\n"), digest) is None
    assert file_in(BytesIO(b"a\r\n\r\n"), digest) is None
    assert file_in(BytesIO(b"a\r\n"), None) == b"a\r\n"


def test_the_captured_hash_is_recognised() -> None:
    digest = bytes.fromhex("fcc28b4fe1e2a0ec1065f5212e9db5f2b08d0173d9a8c002e99ab6a9b1cdcbce")
    assert unpadded(digest) == "fcc28b4fe1e2a0ec1065f5212e9db5f2b08d173d9a8c02e99ab6a9b1cdcbce"


def test_the_same_file_has_the_same_id_and_another_system_another() -> None:
    assert document_id("a", "document", b"1") == document_id("a", "document", b"1")
    ids = {document_id(system, kind, b"1") for system in "ab" for kind in ("document", "status")}
    assert len(ids) == 4


@given(st.text(max_size=300), st.text(max_size=50))
def test_every_answer_is_ascii_without_nulls(description: str, value: str) -> None:
    body = Answer(code=22, description=description, more={"data": [{"title": value}]}).body
    read = json.loads(body.decode("ascii"))
    assert read["status"] == "FAIL" and read["ErrorCode"] == "22"
    assert read["DocId"] == ""  # the official client loses the error of an answer without one
    assert read["data"][0]["title"] == value and b"null" not in body.replace(value.encode("unicode_escape"), b"")


@pytest.mark.parametrize("code", sorted(CATALOGUE))
def test_every_error_of_the_catalogue_has_an_answer(code: str) -> None:
    read = json.loads(refused(Refusal(code=code, field="to.0", found="X", candidates=("H53",))).body)
    assert read["ErrorCode"] == str(CATALOGUE[code].vxp or 20)
    assert code in read["ErrorDesc"] and "H53" in read["ErrorDesc"] and CATALOGUE[code].vi in read["ErrorDesc"]


def test_a_faulty_file_is_answered_with_all_of_its_faults_in_both_languages_and_none_twice() -> None:
    file = edoc("H53.31", ["G22"]).replace(b"<edXML:CodeNotation>UBND-VP</edXML:CodeNotation>", b"")
    file = file.replace(b"BussinessDocType>0", b"BussinessDocType>7")
    with pytest.raises(EdxmlRefusal) as caught:
        read(file).accepted()
    vi, en = json.loads(refused(caught.value).body)["ErrorDesc"].split(" / ")
    assert vi.startswith("LT-EDXML: Dòng ") and en.startswith("Line ")
    assert len(caught.value.faults) == 2
    for fault in caught.value.faults:
        assert vi.count(fault.vi) == 1 and en.count(fault.en) == 1


def test_of_very_many_faults_the_first_are_told_and_the_others_counted() -> None:
    file = edoc("H53.31", ["a b"] * 30)
    with pytest.raises(EdxmlRefusal) as caught:
        read(file).accepted()
    others = len(caught.value.faults) - 5
    vi, en = json.loads(refused(caught.value).body)["ErrorDesc"].split(" / ")
    assert others > 0 and f"Và {others} lỗi khác." in vi and f"And {others} more." in en
    assert CATALOGUE["LT-EDXML"].remedy_en in en


def test_what_is_sealed_opens_only_in_its_own_place(tmp_path: Path) -> None:
    key = CustodyKey.load(tmp_path / "keys" / "custody.key", make=True)
    assert (tmp_path / "keys" / "custody.key").stat().st_mode & 0o777 == 0o600
    sealed = key.seal(b"secret", purpose=b"here")
    assert b"secret" not in sealed and key.open(sealed, purpose=b"here") == b"secret"
    again = CustodyKey.load(tmp_path / "keys" / "custody.key")
    assert again.open(sealed, purpose=b"here") == b"secret"
    other = CustodyKey.load(tmp_path / "other.key", make=True)
    for opener, purpose, data in (
        (key, b"there", sealed),
        (other, b"here", sealed),
        (key, b"here", sealed[:-1]),
        (key, b"here", b"\x02" + sealed[1:]),
        (key, b"here", b""),
    ):
        with pytest.raises(Problem):
            opener.open(data, purpose=purpose)
    with pytest.raises(Problem):
        CustodyKey.load(tmp_path / "absent.key")
