"""What ties a bundle to the log: checkpoints under the auditor's keys, inclusion of every event, consistency. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from broker.evidence.bundle.lines import Bundle, CheckpointLine, Fault
from broker.evidence.merkle import EvidenceFault, verify_consistency, verify_inclusion
from broker.evidence.notes import ED25519, Checkpoint, Verified, VerifierKey, parse_note, verify_note


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """A checkpoint that holds under the auditor's keys."""

    origin: str
    size: int
    root: bytes
    signatures: tuple[Verified, ...]
    unknown: int
    """Signatures by keys that were not given; they are sealed, and prove nothing to this auditor."""
    since: int | None
    """Size of the older checkpoint of which this one is proved to be a continuation."""
    note: str
    timestamps: tuple[bytes, ...] = ()


def anchors_of(bundle: Bundle, keys: Sequence[VerifierKey], since: bytes | None) -> tuple[list[Anchor], list[Fault]]:
    """Every checkpoint, verified; `since` is the older checkpoint that the auditor holds, if he holds one."""
    anchors: list[Anchor] = []
    faults: list[Fault] = []
    for line in bundle.checkpoints:
        try:
            checkpoint, signatures, unknown = _verified(line.note, keys)
            if checkpoint.origin != line.origin:
                raise EvidenceFault("origin", found=line.origin, expected=checkpoint.origin)
        except EvidenceFault as fault:
            faults.append(_fault("checkpoint", line, fault))
            continue
        try:
            old = _continued(line, checkpoint, keys)
        except EvidenceFault as fault:
            faults.append(_fault("consistency", line, fault))
            continue
        anchors.append(
            Anchor(
                origin=checkpoint.origin,
                size=checkpoint.size,
                root=checkpoint.root,
                signatures=signatures,
                unknown=unknown,
                since=old,
                note=line.note,
                timestamps=line.timestamps,
            )
        )
    if not bundle.checkpoints:
        faults.append(_missing(0, "checkpoint", "none", "at least one"))
    if since is not None and not any(
        line.since is not None and line.since.encode() == since for line in bundle.checkpoints
    ):
        faults.append(
            Fault(
                reason="consistency",
                line=0,
                what="bundle",
                found="no proof from the older checkpoint that was given",
                expected="a bundle made with --since-checkpoint and that very file",
            )
        )
    used = {event.log for event in bundle.events}
    for number, line in enumerate(bundle.checkpoints):
        if number not in used and line.since is None:
            faults.append(_fault("unused", line, EvidenceFault("", found="no event under it", expected="an event")))
    return anchors, faults


def inclusion_faults(bundle: Bundle, anchors: Sequence[Anchor]) -> Iterator[Fault]:
    """Every event that is not where the bundle says, and every hash that no path needs."""
    used = bytearray(len(bundle.hashes))
    for event in bundle.events:
        what = f"event {event.index}"
        if event.log >= len(anchors):
            found, expected = f"log {event.log}", f"one of {len(anchors)} checkpoints, counted from 0"
            yield Fault(reason="inclusion", line=event.line, what=what, found=found, expected=expected)
            continue
        outside = next((at for at in event.path if at >= len(used)), None)
        if outside is not None:
            found, expected = f"position {outside} in its path", f"one of {len(used)} hashes, counted from 0"
            yield Fault(reason="inclusion", line=event.line, what=what, found=found, expected=expected)
            continue
        anchor = anchors[event.log]
        for at in event.path:
            used[at] = 1
        try:
            path = [bundle.hashes[at] for at in event.path]
            verify_inclusion(event.leaf, event.index, anchor.size, path, anchor.root)
        except EvidenceFault as fault:
            yield Fault(reason="inclusion", line=event.line, what=what, found=fault.found, expected=fault.expected)
    if (idle := used.find(0)) >= 0:
        found, expected = f"hash {idle}, which no path uses", "only hashes that are needed"
        yield Fault(reason="unused", line=bundle.hashes_line, what="hashes", found=found, expected=expected)


def _verified(text: str, keys: Sequence[VerifierKey]) -> tuple[Checkpoint, tuple[Verified, ...], int]:
    """The checkpoint in a note that the log has signed; the signatures that hold, and how many are by unknown keys.

    The log signs under its own name, by which the auditor knows its key, and with the same key under the origin's.
    """
    data = text.encode()
    note = parse_note(data)
    checkpoint = Checkpoint.parse(note.text)
    if note.encode() != data or checkpoint.encode() != note.text:
        raise EvidenceFault("note", found="another spelling", expected="the one spelling of a signed checkpoint")
    logs = [key for key in keys if key.kind == ED25519 and _may_sign(key.name, checkpoint.origin)]
    signatures = verify_note(note, [*keys, *(VerifierKey(checkpoint.origin, ED25519, key.public_key) for key in logs)])
    if not any(one.key.kind == ED25519 and _may_sign(one.key.name, checkpoint.origin) for one in signatures):
        raise EvidenceFault("note", found="only cosignatures", expected="a signature by the log itself")
    return checkpoint, signatures, len(note.signatures) - len(signatures)


def _may_sign(name: str, origin: str) -> bool:
    """Whether a key of this name is the log's for an origin: `lt.exchange/log` signs `lt.exchange/2026` and no other
    exchange's log."""
    return name == origin or (name.endswith("/log") and origin.startswith(name.removesuffix("log")))


def _continued(line: CheckpointLine, checkpoint: Checkpoint, keys: Sequence[VerifierKey]) -> int | None:
    if line.since is None:
        if line.proof:
            raise EvidenceFault("proof", found="a proof alone", expected="an older checkpoint with it")
        return None
    old, _, _ = _verified(line.since, keys)
    if old.origin != checkpoint.origin:
        raise EvidenceFault("older checkpoint", found=f"origin {old.origin}", expected=checkpoint.origin)
    verify_consistency(old.size, old.root, checkpoint.size, checkpoint.root, line.proof)
    return old.size


def _fault(reason: str, line: CheckpointLine, fault: EvidenceFault) -> Fault:
    return Fault(reason=reason, line=line.line, what="checkpoint", found=fault.found, expected=fault.expected)


def _missing(line: int, what: str, found: str, expected: str) -> Fault:
    return Fault(reason="missing", line=line, what=what, found=found, expected=expected)
