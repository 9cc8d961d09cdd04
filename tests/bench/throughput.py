"""Documents a second, seen from outside and in the same way for everybody: copies that lie in recipients' mailboxes.

The rate is that between 10 % and 95 % of all copies, so neither starting nor running dry counts. Afterwards everything
is counted: each recipient has exactly its copies, nothing is left in the intake, and contenders that keep records have
dispatched every delivery, published everything they decided, and told every sender about every document.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from time import perf_counter

import asyncpg
import orjson

from schemas.jws import parse_message
from schemas.wire import DEAD, INTAKE_NORMAL, mailbox
from tests.bench.contenders import CEILING, Contender, running
from tests.bench.country import COPIES, SignedDocument
from tests.bench.ground import Ground, Registry, fresh_ground

FROM, UNTIL = 0.10, 0.95
"""The part of the work over which the rate is taken."""
SAMPLED_EVERY = 0.25
"""Seconds between two looks at the mailboxes."""
STANDSTILL = 60.0
"""Seconds without a single new copy after which a contender has failed."""
RECORDED_WITHIN = 60.0
"""Seconds after the last copy within which everything must be on record."""

Progress = Callable[[str, int, int], None]
"""Told what is going on, how much is done, and of how much."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One contender's run."""

    contender: str
    rate: float
    """Documents a second."""
    peak_mib: float
    cpu_us: float
    """Processor time of the contender's own process, in microseconds a document, without its start."""
    faults: tuple[str, ...]
    """What was not as it must be; empty if all is well."""


@dataclass(frozen=True, slots=True)
class Sample:
    """How many copies lay in the mailboxes, when, and what the contender had worked by then."""

    at: float
    copies: int
    cpu: float
    """Processor time of the contender's process, in seconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Steady:
    """What was seen between `FROM` and `UNTIL` of the work."""

    rate: float
    """Copies a second."""
    cpu: float
    """Seconds of processor time for each copy."""


def steady(samples: Sequence[Sample], total: int) -> Steady | None:
    """What happened between `FROM` and `UNTIL` of `total` copies, interpolated between the samples around both.

    None if so many copies never came.
    """
    start, end = _reaching(samples, FROM * total), _reaching(samples, UNTIL * total)
    if start is None or end is None:
        return None
    copies = (UNTIL - FROM) * total
    return Steady(rate=copies / (end[0] - start[0]), cpu=(end[1] - start[1]) / copies)


def _reaching(samples: Sequence[Sample], copies: float) -> tuple[float, float] | None:
    """(moment, processor time) at which so many copies lay there."""
    for before, after in pairwise(samples):
        if before.copies <= copies < after.copies:
            share = (copies - before.copies) / (after.copies - before.copies)
            return before.at + share * (after.at - before.at), before.cpu + share * (after.cpu - before.cpu)
    return None


async def measure(
    name: str, registry: Registry, documents: Sequence[SignedDocument], folder: Path, progress: Progress
) -> Run:
    """Let one contender work through all documents on a fresh ground."""
    progress(f"{name}: loading", 0, len(documents))
    async with fresh_ground(registry) as ground:
        await ground.load_documents(documents)
        if (loaded := await ground.depth(INTAKE_NORMAL)) != len(documents):
            raise RuntimeError(f"{loaded} of {len(documents)} documents are in the intake")
        async with running(name, ground, folder) as contender:
            samples = await watch(ground, contender, COPIES * len(documents), progress)
            if name != CEILING:
                await wait_until_recorded(ground)
            spent = contender.spent()
        faults = await check(name, ground, documents)
    seen = steady(samples, COPIES * len(documents)) or Steady(rate=0.0, cpu=0.0)
    return Run(
        contender=name,
        rate=seen.rate / COPIES,
        peak_mib=spent.peak_mib,
        cpu_us=seen.cpu * COPIES * 1e6,
        faults=tuple(faults),
    )


async def watch(ground: Ground, contender: Contender, total: int, progress: Progress) -> list[Sample]:
    """Count until all copies are there."""
    codes = [office.code for office in ground.registry.country.recipients]
    samples = [Sample(perf_counter(), 0, 0.0)]
    grown = samples[0].at
    while samples[-1].copies < total:
        await asyncio.sleep(SAMPLED_EVERY)
        before = perf_counter()
        copies = sum((await ground.depths(codes)).values())
        now = perf_counter()
        if copies > samples[-1].copies:
            samples.append(Sample((before + now) / 2, copies, contender.spent().cpu_seconds))
            grown = now
        progress(contender.name, copies // COPIES, total // COPIES)
        contender.check()
        if now - grown > STANDSTILL:
            break
    return samples


async def wait_until_recorded(ground: Ground) -> None:
    """Wait until nothing is left to be published and recorded; `check` says if that was in vain."""
    connection = await asyncpg.connect(ground.settings.database_url)
    try:
        async with asyncio.timeout(RECORDED_WITHIN):
            while await connection.fetchval("SELECT count(*) FROM outgoing WHERE published_at IS NULL"):
                await asyncio.sleep(0.1)
    except TimeoutError:
        return
    finally:
        await connection.close()


async def check(name: str, ground: Ground, documents: Sequence[SignedDocument]) -> list[str]:
    """Everything that must hold when a contender has finished; a sentence for each thing that does not."""
    expected = Counter(code for one in documents for code in one.to)
    depths = await ground.depths(expected)
    faults = [
        f"{depths[code]} copies instead of {count} in the mailbox of {code}"
        for code, count in sorted(expected.items())
        if depths[code] != count
    ]
    for queue in (INTAKE_NORMAL, DEAD):
        if left := await ground.depth(queue):
            faults.append(f"{left} messages in {queue}")
    if name != CEILING:
        faults += await _check_record(ground, documents)
        faults += await _check_notices(ground, documents)
    return faults


RECORD = {
    "documents": "SELECT count(*) FROM document",
    "parts": "SELECT count(*) FROM document_part",
    "deliveries": "SELECT count(*) FROM delivery",
    "dispatched deliveries": "SELECT count(*) FROM delivery WHERE processing = 'dispatched' AND sends = 1",
    "unpublished": "SELECT count(*) FROM outgoing WHERE published_at IS NULL",
    "acceptance events": "SELECT count(*) FROM event WHERE kind = 'accepted'",
    "documents without a dispatch event": """
        SELECT count(*) FROM document d
        WHERE NOT EXISTS (SELECT FROM event e WHERE e.document_id = d.document_id AND e.kind = 'dispatched')""",
}
"""What is counted in the database."""


async def _check_record(ground: Ground, documents: Sequence[SignedDocument]) -> list[str]:
    count = len(documents)
    expected = {
        "documents": count,
        "parts": count,
        "deliveries": COPIES * count,
        "dispatched deliveries": COPIES * count,
        "unpublished": 0,
        "acceptance events": count,
        "documents without a dispatch event": 0,
    }
    connection = await asyncpg.connect(ground.settings.database_url)
    try:
        found = {what: await connection.fetchval(query) for what, query in RECORD.items()}
    finally:
        await connection.close()
    return [f"{found[what]} {what} instead of {expected[what]}" for what in RECORD if found[what] != expected[what]]


async def _check_notices(ground: Ground, documents: Sequence[SignedDocument]) -> list[str]:
    """Every sender has been told about each of its documents, once."""
    told: Counter[tuple[str, str]] = Counter()
    for office in ground.registry.country.senders:
        for body in await ground.drain(mailbox(office.code)):
            items = orjson.loads(parse_message(body, slip_allowed=False).signed.payload)["items"]
            told.update((office.code, item["concerns"]["id"]) for item in items if item["event"] == "accepted")
    expected = Counter((one.sender, one.id) for one in documents)
    if told == expected:
        return []
    missing, too_many = (expected - told).total(), (told - expected).total()
    return [f"acceptance notices: {missing} are missing, {too_many} are too many"]
