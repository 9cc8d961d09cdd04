"""What a check of `lienthong doctor` answers with."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from schemas.problem import Problem


class Verdict(StrEnum):
    """How bad it is."""

    GOOD = "good"
    WARNING = "warning"
    """Works today; somebody should look at it."""
    BAD = "bad"
    """The exchange cannot work, or cannot keep its promises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    check: str
    """A word or two: "python", "migrations"."""
    verdict: Verdict
    found: str
    remedy: str | None = None
    """What to do; None when nothing needs to be done."""

    @classmethod
    def good(cls, check: str, found: str) -> Self:
        """All is well with `check`."""
        return cls(check=check, verdict=Verdict.GOOD, found=found)

    @classmethod
    def warning(cls, check: str, found: str, remedy: str) -> Self:
        """`check` works today; somebody should look at it."""
        return cls(check=check, verdict=Verdict.WARNING, found=found, remedy=remedy)

    @classmethod
    def bad(cls, check: str, found: str, remedy: str) -> Self:
        """`check` fails."""
        return cls(check=check, verdict=Verdict.BAD, found=found, remedy=remedy)

    @classmethod
    def of_problem(cls, check: str, problem: Problem) -> Self:
        """`check` met a problem."""
        return cls.bad(check, problem.found, problem.remedy)
