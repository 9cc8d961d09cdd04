"""Authentication tokens of agencies (contract §6): what one must say, who may have signed it. Pure.

A token is a compact JWS of `typ` lienthong-auth+jwt, so that neither a manifest can be replayed as a token nor a token
as a manifest. That a token for PUT is used once is kept by `broker.gateway.authentication`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from broker.directory.records import Agency
from broker.directory.snapshot import Directory
from broker.intake.checks import check_signature, judge_signature
from broker.intake.recipients import SUSPENDED
from schemas import strict_json
from schemas.errors import Refusal
from schemas.jws import parse_compact

TYP: Final = "lienthong-auth+jwt"
LONGEST_LIFE: Final = timedelta(minutes=5)
"""`exp` is at most this long after `iat`."""
AHEAD: Final = timedelta(seconds=60)
"""How far a client's clock may be ahead of ours. One that is behind makes tokens that end sooner; `exp` is exact."""
LONGEST_TOKEN: Final = 4096
"""Characters; a real one has about 700."""
LONGEST_ID: Final = 128
"""Characters of a `jti`."""
READING: Final = ("GET", "HEAD")


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Who is asking, by a token that was verified."""

    # In whose name it is asked.
    agency: Agency
    # Whose certificate signed: the agency itself or its hub.
    signer: Agency
    thumbprint: bytes
    jti: str
    expires_at: datetime


def verify_token(text: str, *, method: str, url: str, audience: str, directory: Directory, now: datetime) -> Caller:
    """The caller that a token proves, for one method and address. `audience` is this gateway's name.

    Raises Refusal LT-AUTH for a token that is not good for this request, LT-SIGNER-UNKNOWN, LT-SIGNER-NOT-ALLOWED,
    LT-SIGNATURE, LT-SIGNER-EXPIRED, LT-SIGNER-REVOKED, LT-ALGORITHM for its signature.
    """
    if len(text) > LONGEST_TOKEN:
        raise _refused("token", f"{len(text)} characters", f"at most {LONGEST_TOKEN}")
    try:
        signed = parse_compact(text, typ=TYP)
        claims = strict_json.loads(signed.payload, what="token")
    except Refusal as refusal:
        if refusal.code == "LT-ALGORITHM":
            raise
        raise _refused(f"token.{refusal.field}", refusal.found, refusal.expected) from refusal
    if not isinstance(claims, dict):
        raise _refused("token", "no JSON object", "the claims of contract §6")
    issued_at, expires_at = _check_times(claims, now)
    for name, expected in (("aud", audience), ("htm", method), ("htu", url)):
        if _text(claims, name) != expected:
            raise _refused(f"token.{name}", _text(claims, name), expected)
    jti = _text(claims, "jti")
    if not 1 <= len(jti) <= LONGEST_ID:
        raise _refused("token.jti", f"{len(jti)} characters", f"1 to {LONGEST_ID}")
    agency = directory.agency(_text(claims, "iss"))
    if agency is None:
        raise _refused("token.iss", _text(claims, "iss"), "the canonical code of an agency in the directory")
    enrolled = directory.certificate(signed.thumbprint)
    signer = agency if enrolled is None else directory.by_id(enrolled.agency_id)
    _check_may_speak(agency, signer, method, directory)
    verdict = judge_signature(signed, sender=agency, submitter=signer, sent_at=issued_at, directory=directory, now=now)
    check_signature(verdict)
    return Caller(agency=agency, signer=signer, thumbprint=signed.thumbprint, jti=jti, expires_at=expires_at)


def _check_times(claims: dict[str, Any], now: datetime) -> tuple[datetime, datetime]:
    issued_at, expires_at = _moment(claims, "iat"), _moment(claims, "exp")
    if not timedelta(0) < expires_at - issued_at <= LONGEST_LIFE:
        found = f"{(expires_at - issued_at).total_seconds():.0f} s after iat"
        raise _refused("token.exp", found, f"1 to {LONGEST_LIFE.total_seconds():.0f} s after iat")
    if issued_at > now + AHEAD:
        raise _refused("token.iat", "a time to come", f"at most {AHEAD.total_seconds():.0f} s ahead; set the clock")
    if expires_at <= now:
        raise _refused("token.exp", "a time that is over", "a token made for this request; set the clock")
    return issued_at, expires_at


def _check_may_speak(agency: Agency, signer: Agency, method: str, directory: Directory) -> None:
    """A hub speaks for an agency under its mandate to sign, and reads for it only under that to receive as well."""
    for one in (agency, signer):
        if one.state == SUSPENDED:
            raise _refused("token.iss", f"{one.code}, suspended", "an active agency")
    if signer.id == agency.id:
        return
    allowed = (
        signer.open_on(directory.today)
        and directory.may_sign_for(signer.id, agency.id)
        and (method not in READING or directory.may_receive_for(signer.id, agency.id))
    )
    if not allowed:
        raise Refusal(
            code="LT-SIGNER-NOT-ALLOWED",
            field="protected.x5t#S256",
            found=f"a certificate enrolled for {signer.code}",
            expected=f"one enrolled for {agency.code}, or for a hub with the mandates to sign and receive for it",
        )


def _text(claims: dict[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str):
        raise _refused(f"token.{name}", "nothing" if name not in claims else "no text", "a text")
    return value


def _moment(claims: dict[str, Any], name: str) -> datetime:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**33:
        raise _refused(f"token.{name}", "nothing" if name not in claims else "no time", "seconds since 1970")
    return datetime.fromtimestamp(value, UTC)


def _refused(field: str, found: str | None, expected: str | None) -> Refusal:
    return Refusal(code="LT-AUTH", field=field, found=found, expected=expected)
