"""Checkpoints are C2SP signed notes: the specifications' own example parses, ours verify, changed ones are refused."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from broker.evidence.merkle import EvidenceFault
from broker.evidence.notes import (
    COSIGNATURE,
    Checkpoint,
    Note,
    cosignature_line,
    parse_note,
    parse_verifier_key,
    sign_note,
    verifier_key,
    verify_checkpoint,
    verify_note,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
WITNESS = Ed25519PrivateKey.from_private_bytes(bytes(range(2, 34)))
NAME = "lt.exchange/log"
VKEY = verifier_key(NAME, KEY.public_key())
WITNESS_VKEY = verifier_key("witness.example/w1", WITNESS.public_key(), kind=COSIGNATURE)
CHECKPOINT = Checkpoint("lt.exchange/2026", 20_852_163, bytes(range(32)))
SIGNED = sign_note(CHECKPOINT.encode(), NAME, KEY)

SPECIFICATION = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa"
    " Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "— witness.example.com/w1"
    " jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
).encode()


def test_the_example_of_the_specification_is_read_and_written_back() -> None:
    note = parse_note(SPECIFICATION)
    assert [line.name for line in note.signatures] == ["example.com/behind-the-sofa", "witness.example.com/w1"]
    checkpoint = Checkpoint.parse(note.text)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20_852_163)
    assert checkpoint.encode() == note.text
    assert note.encode() == SPECIFICATION


def test_the_verifier_key_of_the_go_checksum_database_is_read() -> None:
    text = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
    key = parse_verifier_key(text)
    assert (key.name, key.key_id.hex(), key.encode()) == ("sum.golang.org", "033de0ae", text)


def test_a_checkpoint_that_was_signed_verifies() -> None:
    assert verify_checkpoint(SIGNED, [VKEY], origin="lt.exchange/2026") == CHECKPOINT
    assert SIGNED.decode().startswith("lt.exchange/2026\n20852163\nAAECAw")


def test_a_checkpoint_of_another_origin_is_refused() -> None:
    with pytest.raises(EvidenceFault, match="expected origin"):
        verify_checkpoint(SIGNED, [VKEY], origin="lt.exchange/2027")


def test_signatures_by_others_are_ignored_but_one_by_a_known_key_must_hold() -> None:
    mine, theirs = parse_note(SIGNED), parse_note(sign_note(CHECKPOINT.encode(), "else.example/log", OTHER))
    both = Note(mine.text, (*theirs.signatures, *mine.signatures))
    assert [held.key.name for held in verify_note(both, [VKEY])] == [NAME]
    with pytest.raises(EvidenceFault, match="expected one by else"):
        verify_note(mine, [verifier_key("else.example/log", OTHER.public_key())])
    broken = Note(mine.text.replace("20852163", "20852164"), (*theirs.signatures, *mine.signatures))
    with pytest.raises(EvidenceFault, match="does not fit"):
        verify_note(broken, [VKEY])


def test_a_checkpoint_may_be_signed_by_an_old_and_a_new_key() -> None:
    old, new = parse_note(SIGNED), parse_note(sign_note(CHECKPOINT.encode(), NAME, OTHER))
    both = Note(old.text, (*old.signatures, *new.signatures)).encode()
    for vkeys in ([VKEY], [verifier_key(NAME, OTHER.public_key())], [VKEY, verifier_key(NAME, OTHER.public_key())]):
        assert verify_checkpoint(both, vkeys) == CHECKPOINT


def test_a_witness_signs_the_time_too_and_does_not_replace_the_log() -> None:
    at = datetime(2026, 11, 22, 4, 30, tzinfo=UTC)
    note = parse_note(SIGNED)
    line = cosignature_line(note.text, "witness.example/w1", WITNESS, at)
    witnessed = Note(note.text, (*note.signatures, line))
    assert [held.at for held in verify_note(witnessed, [VKEY, WITNESS_VKEY])] == [None, at]
    assert verify_checkpoint(witnessed.encode(), [VKEY, WITNESS_VKEY]) == CHECKPOINT
    with pytest.raises(EvidenceFault, match="signature by the log itself"):
        verify_checkpoint(Note(note.text, (line,)).encode(), [VKEY, WITNESS_VKEY])
    later = line.signature[:7] + bytes([line.signature[7] ^ 1]) + line.signature[8:]
    with pytest.raises(EvidenceFault, match="does not fit"):
        verify_note(Note(note.text, (type(line)(line.name, line.key_id, later),)), [WITNESS_VKEY])


@given(st.integers(0, len(SIGNED) - 1), st.integers(1, 255))
def test_a_note_with_one_byte_changed_is_refused(at: int, change: int) -> None:
    changed = SIGNED[:at] + bytes([SIGNED[at] ^ change]) + SIGNED[at + 1 :]
    with pytest.raises(EvidenceFault):
        verify_checkpoint(changed, [VKEY], origin="lt.exchange/2026")


@pytest.mark.parametrize(
    "text",
    [
        "origin\n1\n",
        "\n1\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        "origin\n01\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        "origin\n-1\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        "origin\n1\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9=\n",
        "origin\n1\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==\n",
        "origin\n1\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n\nmore\n",
        "origin\n1\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "origin\n1 \nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
    ],
)
def test_a_text_that_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(EvidenceFault):
        Checkpoint.parse(text)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text\n",
        b"text\n\n",
        b"text\n\n\xe2\x80\x94 name AAAA",
        b"text\n\n- name AAAAAAAA\n",
        b"text\n\n\xe2\x80\x94 na+me AAAAAAAA\n",
        b"text\n\n\xe2\x80\x94 name AAAA\n",
        b"text\r\n\n\xe2\x80\x94 name AAAAAAAA\n",
        b"te\xffxt\n\n\xe2\x80\x94 name AAAAAAAA\n",
        b"text\n\n\xe2\x80\x94 name AAAAAAA\n",
        b"text\n\n" + b"\xe2\x80\x94 name AAAAAAAA\n" * 65,
        b"t" * 70_000 + b"\n\n\xe2\x80\x94 name AAAAAAAA\n",
    ],
)
def test_bytes_that_are_no_note_are_refused(data: bytes) -> None:
    with pytest.raises(EvidenceFault):
        parse_note(data)


@pytest.mark.parametrize(
    "text", ["", "name", "name+1234", VKEY[:-1], VKEY.replace("+", " ", 1), f" {VKEY}", VKEY + "="]
)
def test_what_is_no_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(EvidenceFault):
        parse_verifier_key(text)


def test_an_origin_cannot_smuggle_lines_in() -> None:
    with pytest.raises(ValueError, match="one line"):
        Checkpoint("a\n5", 1, bytes(32)).encode()
