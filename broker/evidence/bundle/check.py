"""Checks a bundle with nothing but public keys: no broker, no database, no clock, no network. Pure.

The order of the questions is part of the format (docs/evidence-bundle.md), so that every checker names the same first
fault: spelling and order of the lines; checkpoints under the auditor's keys; every event in the tree; certificates; do
signed messages and logged events tell the same story; the three answers about every signature; the seal.
What cannot be trusted is not looked into: a stage with faults is the last one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cryptography import x509

from broker.evidence.bundle.agreement import Agreement
from broker.evidence.bundle.anchors import Anchor, anchors_of, inclusion_faults
from broker.evidence.bundle.bodies import problem_of
from broker.evidence.bundle.facts import Facts
from broker.evidence.bundle.format import read
from broker.evidence.bundle.judging import Certificate, Judge, Judged, parse_certificate
from broker.evidence.bundle.lines import BadBundle, Bundle, Fault
from broker.evidence.bundle.sealing import seal_faults
from broker.evidence.bundle.story import Delivery, Moment, Told, story_of
from broker.evidence.notes import VerifierKey
from schemas.errors import Refusal
from schemas.verdict import Answer

MOST_FAULTS: Final = 50
"""So many faults are listed of one stage; the first is what decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a check found. `faults` is empty if, and only if, everything holds."""

    faults: tuple[Fault, ...]
    scope: Mapping[str, Any]
    made_at: str | None = None
    anchors: tuple[Anchor, ...] = ()
    signatures: tuple[Judged, ...] = ()
    story: tuple[Told, ...] = ()
    """One for every document."""
    entries: int = 0
    withheld: int = 0
    root_given: bool = False

    @property
    def good(self) -> bool:
        """Whether everything holds."""
        return not self.faults


def check(
    data: bytes, *, keys: Sequence[VerifierKey], roots: Sequence[x509.Certificate] = (), since: bytes | None = None
) -> Checked:
    """Check a bundle's bytes.

    `keys` are the log's public keys (and those of witnesses) that the auditor trusts, `roots` the certificate
    authorities, `since` the older checkpoint that he holds. Raises nothing because of what the bytes are.
    """
    try:
        bundle = read(data)
    except BadBundle as bad:
        return Checked(faults=(bad.fault,), scope={})
    anchors, faults = anchors_of(bundle, keys, since)
    if not faults:
        faults = _some(inclusion_faults(bundle, anchors))
    if not faults:
        faults = _some(_body_faults(bundle))
    certificates, bad_certificates = _certificates(bundle)
    faults = faults or bad_certificates
    if faults:
        return _ended(bundle, anchors, faults, roots)
    facts = Facts(bundle.events, bundle.statements)
    judge = Judge(certificates, facts, roots)
    agreement = Agreement(bundle, facts, judge)
    faults = _some(agreement.faults())
    if faults:
        return _ended(bundle, anchors, faults, roots)
    judged = agreement.judged()
    faults = [fault for one in judged for fault in verdict_faults(one)][:MOST_FAULTS]
    if bundle.disorder is not None:
        faults.append(bundle.disorder)
    sealed, seal = seal_faults(bundle, judge)
    faults += seal
    judged += (sealed,) if sealed is not None else ()
    return Checked(
        faults=tuple(faults),
        scope=bundle.scope,
        made_at=bundle.made_at,
        anchors=tuple(anchors),
        signatures=judged,
        story=story_of(bundle, agreement, judged),
        entries=len(bundle.events),
        withheld=len(bundle.withheld),
        root_given=bool(roots),
    )


def verdict_faults(judged: Judged) -> Iterable[Fault]:
    """One fault for the first of the three answers, in the order cryptography, trust, policy, that is not good."""
    verdict = judged.verdict
    for reason, finding in (
        ("signature", verdict.cryptography),
        ("trust", verdict.trust),
        ("policy", verdict.policy),
    ):
        if finding.answer is not Answer.good:
            yield Fault(
                reason=reason,
                line=judged.line,
                what=f"{judged.type} of {judged.speaker}",
                found=f"{finding.why} ({finding.code})" if finding.code else finding.why,
                expected="a good signature of one who may say this",
            )
            return


def _ended(bundle: Bundle, anchors: Sequence[Anchor], faults: Sequence[Fault], roots: Sequence[object]) -> Checked:
    return Checked(
        faults=tuple(faults),
        scope=bundle.scope,
        made_at=bundle.made_at,
        anchors=tuple(anchors),
        entries=len(bundle.events),
        withheld=len(bundle.withheld),
        root_given=bool(roots),
    )


def _some(faults: Iterable[Fault]) -> list[Fault]:
    some: list[Fault] = []
    for fault in faults:
        some.append(fault)
        if len(some) == MOST_FAULTS:
            break
    return some


def _body_faults(bundle: Bundle) -> Iterable[Fault]:
    for event in bundle.events:
        problem = problem_of(event.body)
        if problem is not None:
            found, expected = problem
            yield Fault(reason="shape", line=event.line, what=f"event {event.index}", found=found, expected=expected)


def _certificates(bundle: Bundle) -> tuple[dict[bytes, Certificate], list[Fault]]:
    parsed: dict[bytes, Certificate] = {}
    faults: list[Fault] = []
    for line in bundle.certificates:
        try:
            parsed[line.thumbprint] = parse_certificate(line)
        except Refusal as refusal:
            faults.append(
                Fault(
                    reason="certificate",
                    line=line.line,
                    what="certificate",
                    found=str(refusal.found),
                    expected=str(refusal.expected),
                )
            )
    return parsed, faults


__all__ = ["Checked", "Delivery", "Moment", "Told", "check", "verdict_faults"]

_: Callable[..., Checked] = check
