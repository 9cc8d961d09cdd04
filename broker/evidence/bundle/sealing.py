"""The seal: the exchange's signature over every byte before it, and what it thereby says. Pure.

Leaves and signatures prove each thing that a bundle contains. That nothing was left out, no proof can say; so the
exchange says it, under its key: "these are all events about this document up to these checkpoints". If it ever turns
out otherwise, the seal and the missing leaf together prove who said so.

The seal is ECDSA in most exchanges, and an ECDSA signature (r, s) has a twin (r, n - s) that verifies as well. Only the
one with the smaller s is allowed here, so that not even the seal itself has two spellings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from broker.evidence.bundle.judging import Judge, Judged
from broker.evidence.bundle.lines import SEAL_TYP, SPEC, Bundle, Fault, Message
from schemas import base64url, strict_json
from schemas.canonical import canonical_json
from schemas.errors import Refusal
from schemas.jws import PrivateKey, parse_compact, sign_compact
from schemas.times import parse_rfc3339

_ORDERS: Final = {
    "ES256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "ES384": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
}
"""Orders of the groups P-256 and P-384 (FIPS 186-4 D.1.2)."""


def seal_payload(*, by: str, made_at: str, scope: Mapping[str, Any], sha256: str, counts: Mapping[str, int]) -> bytes:
    """The bytes that the exchange `by` signs for a bundle whose other lines have this SHA-256 (lower-case hex)."""
    fields = {
        "kind": "seal",
        "spec": SPEC,
        "from": by,
        "made_at": made_at,
        "scope": dict(scope),
        "sha256": sha256,
        "counts": dict(counts),
    }
    return canonical_json(fields)


def make_seal(payload: bytes, *, key: PrivateKey, thumbprint: bytes) -> str:
    """The seal's compact JWS, its signature in the one spelling that is allowed."""
    compact = sign_compact(payload, key=key, thumbprint=thumbprint, typ=SEAL_TYP)
    signed = parse_compact(compact, typ=SEAL_TYP)
    signature = base64url.decode(signed.signature, field="signature")
    return f"{signed.protected}.{signed.payload_b64}.{base64url.encode(_lower(signed.alg, signature))}"


def seal_faults(bundle: Bundle, judge: Judge) -> tuple[Judged | None, list[Fault]]:
    """The verdict on a bundle's seal, and what does not hold."""
    seal = bundle.seal
    try:
        claimed = strict_json.loads(seal.signed.payload, what="seal")
        if not isinstance(claimed, dict) or not isinstance(claimed.get("from"), str):
            raise Refusal(code="LT-SHAPE", found="another payload", expected="a seal with from")
        made_at = parse_rfc3339(bundle.made_at)
    except Refusal as refusal:
        return None, [_fault(seal, str(refusal.found), str(refusal.expected))]
    expected = seal_payload(
        by=claimed["from"],
        made_at=bundle.made_at,
        scope=bundle.scope,
        sha256=bundle.sealed,
        counts=bundle.counts,
    )
    if seal.signed.payload != expected:
        member = next((name for name, value in _members(expected).items() if claimed.get(name) != value), "spelling")
        return None, [
            _fault(seal, f"a seal over other content ({member})", f"one over SHA-256 {bundle.sealed}, as the lines are")
        ]
    signature = base64url.decode(seal.signed.signature, field="signature")
    if _lower(seal.signed.alg, signature) != signature:
        return None, [_fault(seal, "the larger of two ECDSA signatures", "the one with the smaller s")]
    judged = judge.judge(seal, speaker=claimed["from"], signed_at=made_at, received_at=made_at, exchange=True)
    fault = judged.verdict.first_fault()
    return judged, [] if fault is None else [_fault(seal, f"{fault.why} ({fault.code})", "the exchange's own seal")]


def _members(payload: bytes) -> dict[str, Any]:
    members: dict[str, Any] = strict_json.loads(payload, what="seal")
    return members


def _lower(alg: str, signature: bytes) -> bytes:
    order = _ORDERS.get(alg)
    if order is None:
        return signature
    half = len(signature) // 2
    s = int.from_bytes(signature[half:], "big")
    return signature[:half] + min(s, order - s).to_bytes(half, "big") if 0 < s < order else signature


def _fault(seal: Message, found: str, expected: str) -> Fault:
    return Fault(reason="seal", line=seal.line, what="seal", found=found, expected=expected)
