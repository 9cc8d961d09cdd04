"""Bar charts as numbers: where bars, ticks and labels stand. Pure; the templates draw them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

LEFT, TOP, BOTTOM = 64.0, 10.0, 26.0
LETTER = 7.0
"""The width of a letter under a chart; labels that have no room are left out evenly."""
BARS_APART = 6.0
"""Narrower groups of bars than this are drawn as lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One value of one series."""

    series: int
    label: str
    value: int
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A line across the chart."""

    value: int
    y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A word under the bars."""

    text: str
    x: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BarChart:
    """Groups of bars beside each other, one group for each row of a table; lines where there are too many."""

    series: tuple[str, ...]
    width: float
    height: float
    left: float
    bars: tuple[Bar, ...]
    lines: tuple[str, ...]
    """For each series, its points as SVG writes them; empty where there are bars."""
    ticks: tuple[Tick, ...]
    labels: tuple[Label, ...]


def bar_chart(
    series: Sequence[str], rows: Sequence[tuple[str, Sequence[int]]], *, width: float = 960, height: float = 260
) -> BarChart:
    """`rows` are a label and a value for each of the `series`."""
    greatest = max((value for _, values in rows for value in values), default=0)
    step = nice_step(greatest)
    top = max(step, math.ceil(greatest / step) * step)
    room = height - TOP - BOTTOM
    group = (width - LEFT) / max(len(rows), 1)
    gap = min(group * 0.25, 24)
    each = min((group - gap) / max(len(series), 1), 48)
    bars: list[Bar] = []
    labels: list[Label] = []
    every = math.ceil((max((len(text) for text, _ in rows), default=0) * LETTER + 3) / group)
    points: list[list[str]] = [[] for _ in series]
    for index, (text, values) in enumerate(rows):
        middle = LEFT + group * (index + 0.5)
        begin = middle - each * len(series) / 2
        for number, value in enumerate(values):
            tall = max(value * room / top, 1.0 if value else 0.0)
            points[number].append(f"{middle:.1f},{TOP + room - tall:.1f}")
            bars.append(
                Bar(
                    series=number,
                    label=text,
                    value=value,
                    x=round(begin + number * each, 1),
                    y=round(TOP + room - tall, 1),
                    width=round(max(each - 1, 0.8), 1),
                    height=round(tall, 1),
                )
            )
        if index % every == 0 and middle + len(text) * LETTER / 2 <= width:
            labels.append(Label(text=text, x=round(middle, 1)))
    ticks = tuple(Tick(value=value, y=round(TOP + room - value * room / top, 1)) for value in range(0, top + 1, step))
    return BarChart(
        series=tuple(series),
        width=width,
        height=height,
        left=LEFT,
        bars=tuple(bars) if group >= BARS_APART else (),
        lines=tuple(" ".join(one) for one in points) if group < BARS_APART else (),
        ticks=ticks,
        labels=tuple(labels),
    )


def nice_step(greatest: int) -> int:
    """A distance between ticks that people count in, so that there are two to six of them."""
    if greatest <= 4:
        return 1
    power: int = 10 ** (len(str(greatest)) - 1)
    for part in (5, 2, 1):
        if greatest * part <= power * 5 and power % part == 0:
            return power // part
    return power if greatest <= power * 5 else power * 2
