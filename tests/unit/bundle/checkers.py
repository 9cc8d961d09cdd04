"""Both checkers behind one question: ours, and the program for auditors that shares nothing with it."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509

from broker.evidence.bundle.check import Checked, check
from broker.evidence.notes import VerifierKey
from broker.evidence.standalone import check_bundle as standalone

Answer = tuple[str, int] | None
"""Reason and line of the first fault; None if everything holds."""


def ours(data: bytes, keys: Sequence[VerifierKey], roots: Sequence[x509.Certificate] = (), **more: bytes) -> Answer:
    checked: Checked = check(data, keys=keys, roots=roots, **more)
    return None if checked.good else (checked.faults[0].reason, checked.faults[0].line)


def theirs(data: bytes, keys: Sequence[VerifierKey], roots: Sequence[x509.Certificate] = (), **more: bytes) -> Answer:
    since = more["since"].decode() if "since" in more else None
    checker = standalone.Checker(data, [standalone.read_key(key.encode()) for key in keys], roots, since)
    try:
        checker.check()
    except standalone.Bad as bad:
        return bad.reason, bad.line
    return None
