"""Whose the processors were while something was measured: ours, or other guests' of the same host. Linux only."""

from __future__ import annotations

from pathlib import Path


def processor_times() -> tuple[int, int]:
    """What other guests of the same host took from all processors so far, and all time that passed, in ticks."""
    times = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return times[7], sum(times)


def taken_since(before: tuple[int, int]) -> float:
    """The share of all processors that other guests took since `before` (what `processor_times` gave then)."""
    taken, passed = (now - then for now, then in zip(processor_times(), before, strict=True))
    return taken / max(1, passed)


def processor_milliseconds(pid: int) -> float:
    """The processor time that a process with one thread has used, without what it waited for or was taken from it."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e6
