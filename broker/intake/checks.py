"""The checks that need nothing but the message, the directory and the time: contract §4, steps 1 to 4 and 6 to 9. Pure.

Each function is one step, or a few that belong together, and raises the Refusal that decides. They serve every kind of
manifest. What needs the record (duplicates, content, concerned documents) is asked elsewhere and judged by
`broker.intake.judging`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from broker.directory.snapshot import Agency, Directory, Enrolled
from broker.intake.recipients import SUSPENDED
from broker.intake.submission import Claims, Manifest, Opened, Submission
from schemas import strict_json
from schemas.errors import Refusal
from schemas.jws import Message, Signed, parse_message, signature_holds
from schemas.manifest import DocumentManifest, RequestManifest, StatusManifest, parse_manifest
from schemas.times import rfc3339
from schemas.verdict import Finding, SignatureVerdict, trust_at
from schemas.wire import Key, code_in_key

CLAIM_LIMIT: Final = 64
"""Characters of a claimed code or id that are recorded of something that could not be read."""
SUBMITTED_KINDS: Final = {DocumentManifest: "document", StatusManifest: "status", RequestManifest: "request"}
"""What agencies may submit; notices are the broker's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeLimits:
    """How far `sent_at` may lie from the moment of receipt (contract §4 step 9)."""

    past: timedelta
    ahead: timedelta


# ── Steps 1 to 4 ─────────────────────────────────────────────────────────────────────────────────────────────────────
def read_message(submission: Submission) -> Message:
    """Step 1: size, strict JSON, shape. Raises Refusal LT-SIZE, LT-SHAPE, LT-ALGORITHM."""
    return parse_message(submission.body, slip_allowed=False)


def check_route(submission: Submission, directory: Directory) -> tuple[Agency, Key]:
    """Step 2, as far as it can be seen from outside: who published it, and where. Returns the submitter and the key.

    Raises Refusal LT-USER without a validated user who is an agency that may use its connection, LT-ROUTING-KEY if
    the key has another form, names somebody else, asks for copies, or does not fit the AMQP `type`.
    """
    submitter = check_user(submission.submitter, directory)
    key = code_in_key(submission.routing_key)
    if key.code != submitter.code:
        raise Refusal(code="LT-ROUTING-KEY", field="routing_key", found=key.code, expected=submitter.code)
    if submission.has_copy_header:
        raise Refusal(code="LT-ROUTING-KEY", field="headers.CC", found="a CC header", expected="one routing key")
    if submission.kind is not None and submission.kind != key.kind:
        raise Refusal(code="LT-ROUTING-KEY", field="type", found=submission.kind, expected=key.kind)
    return submitter, key


def check_user(user: str | None, directory: Directory) -> Agency:
    """The agency or hub whose AMQP user this is. Raises Refusal LT-USER."""
    if not user:
        raise Refusal(
            code="LT-USER",
            field="user_id",
            found="no user",
            expected="the validated user_id of the publishing connection",
        )
    submitter = directory.agency(user)
    if submitter is None:
        raise Refusal(code="LT-USER", field="user_id", found=user, expected="the code of an agency in the directory")
    if submitter.state == SUSPENDED:
        raise Refusal(code="LT-USER", field="user_id", found=f"{user}, suspended", expected="an active agency")
    return submitter


def read_manifest(message: Message) -> Manifest:
    """Step 3: schema and `must_understand`.

    Raises Refusal LT-SHAPE, LT-VERSION, LT-MUST-UNDERSTAND, LT-SCHEMA, LT-REASON-MISSING.
    """
    return parse_manifest(message.signed.payload)


def check_lane(manifest: Manifest, key: Key) -> None:
    """Step 2, as far as the manifest must be known: kind and lane fit the key. Raises Refusal LT-ROUTING-KEY."""
    kind = SUBMITTED_KINDS.get(type(manifest))
    if kind != key.kind:
        found = kind or "a notice"
        raise Refusal(code="LT-ROUTING-KEY", field="kind", found=found, expected=f"{key.kind}, as the routing key says")
    if isinstance(manifest, DocumentManifest):
        lane = "urgent" if manifest.document.priority > 0 else "normal"
        if lane != key.lane:
            raise Refusal(
                code="LT-ROUTING-KEY",
                field="document.priority",
                found=f"priority {manifest.document.priority} in the {key.lane} lane",
                expected=f"a publish to the {lane} lane",
            )


def check_speaker(manifest: Manifest, submitter: Agency, directory: Directory) -> Agency:
    """Step 4: the AMQP user is the agency `from`, or a hub with the mandate to sign for it. Returns the agency `from`.

    Raises Refusal LT-USER.
    """
    sender = directory.agency(manifest.from_)
    if sender is None:
        raise Refusal(code="LT-USER", field="from", found=manifest.from_, expected="the code of an agency that exists")
    if sender.id == submitter.id:
        return sender
    if sender.state == SUSPENDED:
        raise Refusal(code="LT-USER", field="from", found=f"{sender.code}, suspended", expected="an active agency")
    if not directory.may_sign_for(submitter.id, sender.id):
        raise Refusal(
            code="LT-USER",
            field="from",
            found=f"{sender.code}, submitted by {submitter.code}",
            expected=f"{submitter.code} itself, or an agency that it may sign for",
        )
    return sender


def open_submission(submission: Submission, directory: Directory) -> Opened[Manifest]:
    """Steps 1 to 4 in order. Raises the Refusal of the first that fails."""
    message = read_message(submission)
    submitter, key = check_route(submission, directory)
    manifest = read_manifest(message)
    check_lane(manifest, key)
    sender = check_speaker(manifest, submitter, directory)
    return Opened(submission=submission, message=message, manifest=manifest, submitter=submitter, sender=sender)


def claims_of(submission: Submission) -> Claims:
    """Whatever a refused message says of itself, for its record: bounded, and never trusted. Raises nothing."""
    try:
        signed = parse_message(submission.body, slip_allowed=True).signed
    except Refusal:
        return Claims(kind=submission.kind)
    try:
        manifest = strict_json.loads(signed.payload, what="payload")
    except Refusal:
        return Claims(kind=submission.kind, digest=signed.digest)
    if not isinstance(manifest, dict):
        return Claims(kind=submission.kind, digest=signed.digest)

    def text(name: str, *, of: dict[str, object] = manifest) -> str | None:
        value = of.get(name)
        return value[:CLAIM_LIMIT] if isinstance(value, str) else None

    document = manifest.get("document")
    numbered = document if isinstance(document, dict) else {}
    return Claims(
        kind=text("kind"),
        sender=text("from"),
        id=text("id"),
        digest=signed.digest,
        number=text("number", of=numbered),
        notation=text("notation", of=numbered),
    )


# ── Steps 6 to 9 ─────────────────────────────────────────────────────────────────────────────────────────────────────
def judge_signature(
    signed: Signed, *, sender: Agency, submitter: Agency, sent_at: datetime, directory: Directory, now: datetime
) -> SignatureVerdict:
    """The three answers about the signature (contract §4, steps 6 to 8); each is given as far as it can be known.

    Costs a signature's verification; safe to call from several threads, which then run in parallel.
    """
    enrolled = directory.certificate(signed.thumbprint)
    if enrolled is None:
        why = "the certificate with this thumbprint is not enrolled"
        return SignatureVerdict(
            cryptography=Finding.unknown("LT-SIGNER-UNKNOWN", why),
            trust=Finding.unknown("LT-SIGNER-UNKNOWN", why),
            policy=Finding.bad("LT-SIGNER-UNKNOWN", why),
        )
    return SignatureVerdict(
        cryptography=_cryptography(signed, enrolled),
        trust=trust_at(
            not_before=enrolled.not_before,
            not_after=enrolled.not_after,
            revoked_at=enrolled.revoked_at,
            signed_at=sent_at,
            now=now,
        ),
        policy=_policy(enrolled, sender, submitter, directory),
    )


def check_signature(verdict: SignatureVerdict) -> None:
    """Raise the Refusal of the first answer that is not good: policy (6), cryptography (7), trust (8)."""
    fault = verdict.first_fault()
    if fault is not None:
        raise Refusal(
            code=fault.code or "LT-SIGNATURE",
            field="signature" if fault is verdict.cryptography else "protected.x5t#S256",
            found=fault.why,
            expected=_EXPECTED_OF_SIGNER.get(fault.code or "", "a signature that verifies"),
        )


def check_time(sent_at: datetime, *, now: datetime, limits: TimeLimits) -> None:
    """Step 9: `sent_at` lies within the limits around `now`. Raises Refusal LT-TIME."""
    if not now - limits.past <= sent_at <= now + limits.ahead:
        raise Refusal(
            code="LT-TIME",
            field="sent_at",
            found=rfc3339(sent_at),
            expected=f"between {rfc3339(now - limits.past)} and {rfc3339(now + limits.ahead)}",
        )


_EXPECTED_OF_SIGNER: Final = {
    "LT-SIGNER-UNKNOWN": "a certificate enrolled for the sender or its hub",
    "LT-SIGNER-NOT-ALLOWED": "a certificate enrolled for the sender, or for the hub that submits for it",
    "LT-SIGNER-EXPIRED": "a certificate valid when the message was signed and now",
    "LT-SIGNER-REVOKED": "a certificate that has not been revoked",
    "LT-ALGORITHM": "an algorithm that fits the key of the certificate",
}


def _cryptography(signed: Signed, enrolled: Enrolled) -> Finding:
    try:
        holds = signature_holds(signed, enrolled.public_key)
    except Refusal as refusal:
        return Finding.bad(refusal.code, refusal.found or refusal.entry.en)
    if holds:
        return Finding.good(f"{signed.alg} verifies under the enrolled key")
    return Finding.bad("LT-SIGNATURE", f"{signed.alg} does not verify under the enrolled key")


def _policy(enrolled: Enrolled, sender: Agency, submitter: Agency, directory: Directory) -> Finding:
    """Enrolled for `from`, or for the hub that submits; that this hub may sign for `from` was step 4."""
    if enrolled.agency_id == sender.id:
        return Finding.good(f"enrolled for {sender.code}" + _custody(enrolled))
    if enrolled.agency_id == submitter.id:
        return Finding.good(
            f"enrolled for {submitter.code}, a hub that may sign for {sender.code}" + _custody(enrolled)
        )
    owner = directory.by_id(enrolled.agency_id)
    return Finding.bad("LT-SIGNER-NOT-ALLOWED", f"the certificate is enrolled for {owner.code}")


def _custody(enrolled: Enrolled) -> str:
    return "; the exchange keeps the key" if enrolled.custody == "broker" else ""
