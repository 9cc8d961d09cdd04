"""Options that several of the auditors' commands have, and what a person may write into them."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import typer

from broker.audit.period import Period
from broker.audit.words import LEVELS
from schemas.problem import Problem

LevelOption = Annotated[
    str | None, typer.Option("--level", help=f"Only recipients of this level: {', '.join(LEVELS)}.")
]
UnderOption = Annotated[
    str | None, typer.Option("--under", metavar="CODE", help="Only this agency and those below it.")
]
FirstOption = Annotated[
    str | None, typer.Option("--since", metavar="DAY", help="From this day (2026-11-20), included.")
]
LastOption = Annotated[str | None, typer.Option("--until", metavar="DAY", help="Up to this day, included.")]


def day_option(text: str | None, *, option: str) -> date | None:
    """A day that a person wrote. Raises Problem for anything else."""
    if text is None:
        return None
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise Problem(f"{option} is “{text}”.", "a day, such as 2026-11-20.", "Figures count whole days.") from None


def period_of(first: str | None, last: str | None) -> Period:
    """A period of whole days. Raises Problem for anything that is no day."""
    return Period(first=day_option(first, option="--since"), last=day_option(last, option="--until"))


def level_asked(level: str | None) -> str | None:
    """A level of the directory, if one was given. Raises Problem for anything else."""
    if level is not None and level not in LEVELS:
        raise Problem(f"--level is “{level}”.", f"one of {', '.join(LEVELS)}.", "Choose one of them.")
    return level
