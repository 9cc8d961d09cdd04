"""Sigstore's own verification of Merkle inclusion and signed checkpoints takes what a bundle holds.

The bundle is read here with nothing but json and base64, as a stranger would after docs/evidence-bundle.md.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sigstore._internal.merkle import verify_merkle_inclusion
from sigstore._internal.rekor.checkpoint import SignedCheckpoint
from sigstore._internal.trust import Keyring, RekorKeyring
from sigstore.errors import VerificationError
from sigstore_models.common.v1 import PublicKey, PublicKeyDetails

from tests.kit.evidence_story import Told


def lines(bundle: bytes, kind: str) -> list[dict[str, Any]]:
    return [one for one in map(json.loads, bundle.splitlines()) if one["type"] == kind]


def keyring(told: Told) -> RekorKeyring:
    spki = told.paper.log_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    key = PublicKey.from_dict({"rawBytes": b64encode(spki).decode(), "keyDetails": PublicKeyDetails.PKIX_ED25519})
    return RekorKeyring(Keyring([key]))


def key_id(told: Told) -> Any:
    return bytes.fromhex(told.paper.vkey().split("+")[1])


def entry(event: dict[str, Any], bundle: bytes, size: int, root: bytes) -> Any:
    hashes = [b64decode(one) for one in lines(bundle, "hashes")[0]["list"]]
    body = json.dumps(event["body"], sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    proof = SimpleNamespace(
        log_index=event["index"], tree_size=size, root_hash=root, hashes=[hashes[at] for at in event["path"]]
    )
    return SimpleNamespace(_inner=SimpleNamespace(inclusion_proof=proof, canonicalized_body=body))


def test_sigstore_takes_the_checkpoint_and_every_inclusion_proof(told: Told, bundle: bytes) -> None:
    (line,) = lines(bundle, "checkpoint")
    signed = SignedCheckpoint.from_text(line["note"])
    signed.signed_note.verify(keyring(told), key_id(told))
    size, root = signed.checkpoint.log_size, bytes.fromhex(signed.checkpoint.log_hash)
    events = lines(bundle, "event")
    assert len(events) > 10
    for event in events:
        verify_merkle_inclusion(entry(event, bundle, size, root))


def test_sigstore_refuses_what_was_changed(told: Told, bundle: bytes) -> None:
    (line,) = lines(bundle, "checkpoint")
    signed = SignedCheckpoint.from_text(line["note"])
    size, root = signed.checkpoint.log_size, bytes.fromhex(signed.checkpoint.log_hash)
    event = lines(bundle, "event")[-1]
    event["body"]["at"] = "2026-03-12T00:00:00.000000Z"
    with pytest.raises(VerificationError):
        verify_merkle_inclusion(entry(event, bundle, size, root))
    other = SignedCheckpoint.from_text(line["note"].replace(f"\n{size}\n", f"\n{size + 1}\n"))
    with pytest.raises(VerificationError):
        other.signed_note.verify(keyring(told), key_id(told))
