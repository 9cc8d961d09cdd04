"""What is said about a signature: three answers that are never mixed (contract §4).

*Cryptography*: do the bytes verify. *Trust*: was the certificate good at that time. *Policy*: may this signer say this.
Only the judging of times lives here; who is enrolled for whom is the directory's knowledge.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Self


class Answer(StrEnum):
    """One of the three answers; `unknown` when the question could not be asked."""

    good = "good"
    bad = "bad"
    unknown = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One answer, with its reason for a person and, unless good, its code of the error catalogue."""

    answer: Answer
    code: str | None = None
    why: str

    @classmethod
    def good(cls, why: str) -> Self:
        return cls(answer=Answer.good, why=why)

    @classmethod
    def bad(cls, code: str, why: str) -> Self:
        return cls(answer=Answer.bad, code=code, why=why)

    @classmethod
    def unknown(cls, code: str | None, why: str) -> Self:
        return cls(answer=Answer.unknown, code=code, why=why)

    def as_dict(self) -> dict[str, str]:
        """For JSON: `answer`, `why` and, if there is one, `code`."""
        named = {"answer": self.answer.value, "why": self.why}
        return named if self.code is None else named | {"code": self.code}


@dataclass(frozen=True, kw_only=True, slots=True)
class SignatureVerdict:
    """The three answers about one signature."""

    cryptography: Finding
    trust: Finding
    policy: Finding

    @property
    def good(self) -> bool:
        """True only if all three answers are good; `unknown` is not good."""
        return all(finding.answer is Answer.good for finding in self._in_order())

    def first_fault(self) -> Finding | None:
        """The finding that decides a refusal: the first one not good in the order of contract §4, steps 6 to 8."""
        return next((finding for finding in self._in_order() if finding.answer is not Answer.good), None)

    def as_dict(self) -> dict[str, dict[str, str]]:
        """For JSON and for people: the three findings under their names."""
        return {
            "cryptography": self.cryptography.as_dict(),
            "trust": self.trust.as_dict(),
            "policy": self.policy.as_dict(),
        }

    def _in_order(self) -> Iterator[Finding]:
        yield self.policy
        yield self.cryptography
        yield self.trust


def trust_at(
    *, not_before: datetime, not_after: datetime, revoked_at: datetime | None, signed_at: datetime, now: datetime
) -> Finding:
    """Judge a certificate's times (contract §4 step 8): good at `signed_at` and at `now`, and not revoked by `now`.

    All times are aware. `now` is the time of receipt: the clock when a message comes in, the recorded time when an
    auditor asks later. `signed_at` is only the signer's word, so a certificate that was revoked before the message came
    is refused even if the message claims to be older. Both ends of the validity belong to it (RFC 5280 §4.1.2.5).
    """
    if revoked_at is not None and revoked_at <= now:
        return Finding.bad("LT-SIGNER-REVOKED", f"the certificate was revoked on {_text(revoked_at)}")
    for moment, name in ((signed_at, "when the message was signed"), (now, "when it was received")):
        if moment < not_before:
            why = f"{name}, {_text(moment)}, the certificate was not yet valid; it is from {_text(not_before)}"
            return Finding.bad("LT-SIGNER-EXPIRED", why)
        if moment > not_after:
            why = f"{name}, {_text(moment)}, the certificate had expired; it was valid until {_text(not_after)}"
            return Finding.bad("LT-SIGNER-EXPIRED", why)
    return Finding.good(f"valid from {_text(not_before)} to {_text(not_after)}, not revoked")


# Every message of a signer names the same two ends of his certificate's validity.
@lru_cache(maxsize=8192)
def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
