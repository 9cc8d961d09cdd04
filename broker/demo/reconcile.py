"""Do both ends agree? Pure: the plan, what the exchange's database says, and what the offices' databases say.

The two ends have nothing in common but the wire. "Lost" is a delivery that the plan promises and that an office does
not hold; "doubled" is one that an office holds or handed out twice, or that nobody asked for.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from broker.demo.plan import EXPECTED_REFUSAL, DemoPlan, PlannedDocument
from broker.demo.simulation import Key, Tally

NAMED = 5
"""So many cases of each disagreement are named."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokerEnd:
    """The exchange's records of the run, as rows."""

    documents: Sequence[Mapping[str, Any]]
    deliveries: Sequence[Mapping[str, Any]]
    rejections: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What was found. Good if nothing is lost or doubled and everything bad was refused for the right reason."""

    documents: int
    deliveries: int
    arrived: int
    """Deliveries of which the exchange holds the recipient's signed 01 and the recipient holds the document."""
    refused: int
    lost: int
    doubled: int
    disagreements: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Whether both ends agree with the plan."""
        return self.lost == 0 and self.doubled == 0 and not self.disagreements

    def line(self) -> str:
        """The line in which both ends agree."""
        return (
            f"documents {self.documents} deliveries {self.deliveries} arrived {self.arrived} refused {self.refused} "
            f"lost {self.lost} doubled {self.doubled}"
        )


def reconcile(plan: DemoPlan, broker: BrokerEnd, offices: Tally) -> Verdict:
    """Compare the plan with both ends."""
    digests: dict[Key, str] = {}
    keys: dict[int, Key] = {}
    for row in broker.documents:
        key = (row["sender"], str(row["id"]))
        keys[row["document_id"]] = key
        digests[key] = row["digest"]
    promised = {(key_of(d), a.code) for d in plan.documents if d.good for a in d.expected}
    recorded = {(keys[row["document_id"]], row["recipient"]) for row in broker.deliveries}
    arrived = {(keys[r["document_id"]], r["recipient"]) for r in broker.deliveries if r["arrived_at"] is not None}
    held: Counter[tuple[Key, str]] = Counter()
    for (key, recipient, digest), copies in offices.inbox.items():
        if digests.get(key) == digest:
            held[key, recipient] += copies
    lost = promised - set(held)
    doubled = {pair for pair, copies in held.items() if copies > 1 or pair not in promised}
    doubled |= {pair for pair, times in offices.stored.items() if times > 1}
    disagreements = [
        *_named("the exchange has no record of the delivery", promised - recorded),
        *_named("the exchange recorded a delivery that nobody asked for", recorded - promised),
        *_named("held by the recipient, but the exchange has no signed 01", set(held) - arrived),
        *_named("the exchange has a 01, but the recipient does not hold it", arrived - set(held)),
        *_named("the sender never read the 01", promised - offices.arrived_known),
        *_bad_submissions(plan, broker, offices, digests),
        *(f"an office reported: {error}" for error in offices.errors[:NAMED]),
    ]
    if offices.unsent:
        disagreements.append(f"{offices.unsent} messages of the offices were never confirmed")
    if offices.aside:
        disagreements.append(f"offices put messages aside: {dict(offices.aside)}")
    return Verdict(
        documents=len(broker.documents),
        deliveries=len(recorded),
        arrived=len(arrived & set(held)),
        refused=sum(1 for d in plan.documents if key_of(d) in offices.rejected),
        lost=len(lost),
        doubled=len(doubled),
        disagreements=tuple(disagreements),
    )


def key_of(document: PlannedDocument) -> Key:
    """(from, id) of a planned document."""
    return document.sender.code, str(document.id)


def _bad_submissions(plan: DemoPlan, broker: BrokerEnd, offices: Tally, digests: Mapping[Key, str]) -> Iterable[str]:
    """Every bad one refused with its code, at both ends; every good one accepted, at both ends."""
    refused: dict[str, str] = {row["id"]: row["code"] for row in broker.rejections}
    for document in plan.documents:
        key = key_of(document)
        what = f"{document.fate} document {key[1]} of {key[0]}"
        expected = EXPECTED_REFUSAL.get(document.fate)
        if expected is None:
            if key not in digests:
                yield f"{what} was not accepted (refused as {refused.get(key[1], 'nothing')})"
            elif key not in offices.accepted:
                yield f"{what} was accepted, but its sender was not told"
            continue
        if key in digests:
            yield f"{what} was ACCEPTED"
        if refused.get(key[1]) != expected:
            yield f"{what} was refused as {refused.get(key[1], 'nothing')}, expected {expected}"
        if offices.rejected.get(key) != expected:
            yield f"the sender of {what} was told {offices.rejected.get(key, 'nothing')}, expected {expected}"


def _named(what: str, pairs: set[tuple[Key, str]]) -> Iterable[str]:
    if pairs:
        cases = ", ".join(f"{key[1]} of {key[0]} for {recipient}" for key, recipient in sorted(pairs)[:NAMED])
        yield f"{what}: {len(pairs)} ({cases}{', …' if len(pairs) > NAMED else ''})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Latency:
    """How long deliveries took, in seconds, over `count` of them."""

    what: str
    count: int
    p50: float
    p99: float


def latencies(plan: DemoPlan, broker: BrokerEnd) -> list[Latency]:
    """From the sender's signature to the mailbox, to the recipient's signed 01, and to the 01's record; by lane.

    The telegram to thousands is counted apart: its deliveries share one moment.
    """
    sent: dict[int, datetime] = {row["document_id"]: row["sent_at"] for row in broker.documents}
    lanes = {str(d.id): "telegram" if d.telegram else "urgent" if d.priority else "normal" for d in plan.documents}
    lane_of = {row["document_id"]: lanes[str(row["id"])] for row in broker.documents}
    milestones = {
        "in the mailbox": "dispatched_at",
        "01 signed by the recipient": "arrived_at",
        "01 recorded by the exchange": "arrival_recorded_at",
    }
    found = []
    for lane in ("normal", "urgent", "telegram"):
        for what, column in milestones.items():
            seconds = sorted(
                (row[column] - sent[row["document_id"]]).total_seconds()
                for row in broker.deliveries
                if row[column] is not None and lane_of[row["document_id"]] == lane
            )
            if seconds:
                found.append(
                    Latency(
                        what=f"{lane}: {what}",
                        count=len(seconds),
                        p50=percentile(seconds, 50),
                        p99=percentile(seconds, 99),
                    )
                )
    return found


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile of a sorted, non-empty sequence."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
