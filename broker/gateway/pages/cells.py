"""A province's communes as cells: every point of a cell is nearest to its commune and not far from it. Pure.

A Voronoi diagram by clipping, each cell first cut to a disc a little larger than the commune's area, so that the sheet
is filled where communes are and empty where there are none. Islands far from all others stand beside the map.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from broker.gateway.pages.geography import Spot

CORNERS: Final = 24
"""Of the polygon that stands for a disc."""
WIDER: Final = 1.45
"""A cell's disc, beside one of the commune's area."""
SMALLEST: Final = 1.2
"""The least radius of such a disc, in kilometres."""
FAR: Final = 45.0
"""A group of communes so far from the others, in kilometres, stands beside the map."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One commune on the province's sheet."""

    code: str
    name: str
    path: str
    x: float
    y: float
    size: float
    """About the width there is for a label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvinceSheet:
    """A province drawn to fit a given width."""

    width: float
    height: float
    cells: tuple[Cell, ...]
    apart: tuple[Spot, ...]
    """Far from the others; not on the sheet."""


@lru_cache(maxsize=40)
def province_sheet(
    spots: tuple[Spot, ...], *, width: float = 600, tallest: float = 720, margin: float = 8
) -> ProvinceSheet:
    """The communes `spots` on a sheet at most `width` wide and `tallest` high."""
    main, apart = _together(spots)
    polygons = [_cell(spot, main) for spot in main]
    xs = [x for polygon in polygons for x, _ in polygon]
    ys = [y for polygon in polygons for _, y in polygon]
    if not xs:
        return ProvinceSheet(width=width, height=100, cells=(), apart=tuple(apart))
    left, top = min(xs), min(ys)
    scale = min((width - 2 * margin) / max(max(xs) - left, 1), (tallest - 2 * margin) / max(max(ys) - top, 1))

    def at(point: Point) -> Point:
        return margin + (point[0] - left) * scale, margin + (point[1] - top) * scale

    cells = []
    for spot, polygon in zip(main, polygons, strict=True):
        corners = [at(corner) for corner in polygon]
        x, y = at((spot.x, spot.y))
        span = max(cx for cx, _ in corners) - min(cx for cx, _ in corners)
        cells.append(
            Cell(code=spot.code, name=spot.name, path=_path(corners), x=round(x, 1), y=round(y, 1), size=round(span, 1))
        )
    return ProvinceSheet(
        width=round(2 * margin + (max(xs) - left) * scale, 1),
        height=round(2 * margin + (max(ys) - top) * scale, 1),
        cells=tuple(cells),
        apart=tuple(apart),
    )


def _together(spots: Sequence[Spot]) -> tuple[list[Spot], list[Spot]]:
    """The largest group of communes near each other, and the rest."""
    left, groups = set(range(len(spots))), []
    while left:
        group, waiting = set(), [left.pop()]
        while waiting:
            index = waiting.pop()
            group.add(index)
            near = {i for i in left if math.dist((spots[i].x, spots[i].y), (spots[index].x, spots[index].y)) < FAR}
            left -= near
            waiting += near
        groups.append(group)
    largest = max(groups, key=len, default=set())
    return [spots[i] for i in sorted(largest)], [s for i, s in enumerate(spots) if i not in largest]


def _cell(spot: Spot, others: Sequence[Spot]) -> list[Point]:
    radius = max(SMALLEST, spot.radius * WIDER)
    angles = (2 * math.pi * i / CORNERS for i in range(CORNERS))
    polygon = [(spot.x + radius * math.cos(a), spot.y + radius * math.sin(a)) for a in angles]
    for other in others:
        if other is spot:
            continue
        dx, dy = other.x - spot.x, other.y - spot.y
        gap = math.hypot(dx, dy)
        if gap == 0 or gap > 2 * radius:
            continue
        # The half plane nearer to `spot`: points p with (p - middle) · (dx, dy) <= 0.
        middle = spot.x + dx / 2, spot.y + dy / 2
        polygon = _clipped(polygon, middle, (dx, dy))
    return polygon


def _clipped(polygon: list[Point], middle: Point, normal: Point) -> list[Point]:
    kept: list[Point] = []
    sides = [(x - middle[0]) * normal[0] + (y - middle[1]) * normal[1] for x, y in polygon]
    for index, (point, side) in enumerate(zip(polygon, sides, strict=True)):
        following, beyond = polygon[(index + 1) % len(polygon)], sides[(index + 1) % len(polygon)]
        if side <= 0:
            kept.append(point)
        if (side < 0 < beyond) or (beyond < 0 < side):
            part = side / (side - beyond)
            kept.append((point[0] + (following[0] - point[0]) * part, point[1] + (following[1] - point[1]) * part))
    return kept


def _path(corners: list[Point]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in corners) + "Z"
