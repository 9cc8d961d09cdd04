"""What the runs come to: medians, ratios, and the machine on which they were seen. Decides nothing about good and bad
but whether the goals are reached; prints nothing.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Final

from tests.bench.contenders import CEILING, FASTSTREAM, LIENTHONG
from tests.bench.throughput import Run

CEILING_SHARE: Final = 0.5
"""Goal: documents a second, as a part of the ceiling's."""
FASTSTREAM_TIMES: Final = 3.0
"""Goal: documents a second, as a multiple of FastStream's."""
WORKER_MIB: Final = 200.0
"""Goal: peak resident memory of a worker."""

LIBRARIES: Final = ("aiormq", "aio-pika", "asyncpg", "cryptography", "faststream", "orjson", "pydantic", "uvloop")


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """A median and the smallest and largest value."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Median, lowest and highest of at least one value."""
    return Spread(median=median(values), low=min(values), high=max(values))


@dataclass(frozen=True, kw_only=True, slots=True)
class Ratios:
    """Lienthong against another contender: the ratio of each round, in which both met the same machine."""

    against: str
    spread: Spread
    goal: float

    @property
    def reached(self) -> bool:
        return self.spread.median >= self.goal


def by_contender(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """The runs of each contender, in the order of rounds."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(run.contender, []).append(run)
    return found


def ratios(runs: Sequence[Run]) -> list[Ratios]:
    """Lienthong's ratios to whoever else ran."""
    grouped = by_contender(runs)
    compared: list[Ratios] = []
    for other, goal in ((CEILING, CEILING_SHARE), (FASTSTREAM, FASTSTREAM_TIMES)):
        rounds = zip(grouped.get(LIENTHONG, ()), grouped.get(other, ()), strict=False)
        # A run that came to nothing is a fault of its own, and no rate to compare with.
        found = [ours.rate / theirs.rate for ours, theirs in rounds if theirs.rate]
        if found:
            compared.append(Ratios(against=other, spread=spread(found), goal=goal))
    return compared


def missed_goals(runs: Sequence[Run]) -> list[str]:
    """A sentence for each goal that the medians do not reach."""
    missed = [
        f"{one.spread.median:.2f} times the documents of {one.against}, {one.goal:g} wanted"
        for one in ratios(runs)
        if not one.reached
    ]
    peaks = [run.peak_mib for run in runs if run.contender == LIENTHONG]
    if peaks and max(peaks) > WORKER_MIB:
        missed.append(f"a worker took {max(peaks):.0f} MiB, at most {WORKER_MIB:.0f} wanted")
    return missed


def machine(servers: Mapping[str, str]) -> dict[str, object]:
    """What the figures belong to: versions, processors, memory, and the load before the start."""
    libraries = {name: version(name) for name in LIBRARIES}
    return {
        **servers,
        "Python": platform.python_version(),
        "libraries": libraries,
        "system": platform.platform(),
        "processor": _processor(),
        "processors": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_before": round(os.getloadavg()[0], 2),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
