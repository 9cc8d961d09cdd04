"""The country as a sheet of small hexagons, each given to the province of the nearest commune; outlines as SVG paths.

Pure. Not borders: an even raster around the communes' points, so that a province is as large as its communes together
and lies where they lie. Corners are integers on a lattice, so outlines of neighbours meet exactly.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from broker.gateway.pages.geography import SHEET, Spot, geography

SIDE: Final = 5.2
"""A hexagon's side, in kilometres."""
REACH: Final = 7.0
"""Land reaches so far beyond the disc of a commune's area, in kilometres; keeps gaps between communes closed."""
_STEP_X: Final = SIDE * math.sqrt(3) / 2
_STEP_Y: Final = SIDE / 2
_CORNERS: Final = ((0, -2), (1, -1), (1, 1), (0, 2), (-1, 1), (-1, -1))
_BEYOND: Final = ((1, -3), (2, 0), (1, 3), (-1, 3), (-2, 0), (-1, -3))
"""The neighbour behind the edge that begins at the corner of the same index, in lattice steps of the centre."""
_BUCKET: Final = 30.0

Corner = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A province on the sheet."""

    code: str
    name: str
    path: str
    """The outline as SVG path data, in kilometres rounded to tenths."""
    label_x: float
    label_y: float


@lru_cache(maxsize=1)
def country() -> tuple[Region, ...]:
    """Every province's region; computed once."""
    known = geography()
    owners = _owners(known.communes.values())
    cells: dict[str, set[Corner]] = defaultdict(set)
    for centre, code in owners.items():
        cells[code].add(centre)
    regions = []
    for code, spot in sorted(known.provinces.items()):
        mine = cells.get(code, set())
        x, y = _label(mine, spot)
        regions.append(Region(code=code, name=spot.name, path=_outline(mine), label_x=round(x), label_y=round(y)))
    return tuple(regions)


def _owners(spots: Iterable[Spot]) -> dict[Corner, str]:
    """The centre of every hexagon on land, with the province that it belongs to."""
    buckets: dict[Corner, list[Spot]] = defaultdict(list)
    found: dict[Corner, str] = {}
    for spot in spots:
        buckets[int(spot.x // _BUCKET), int(spot.y // _BUCKET)].append(spot)
        found[_nearest_centre(spot.x, spot.y)] = spot.province
    width, height = SHEET
    for row in range(int(height / (3 * _STEP_Y)) + 1):
        for column in range(row % 2, int(width / _STEP_X) + 1, 2):
            centre = (column, row * 3)
            x, y = column * _STEP_X, row * 3 * _STEP_Y
            nearest = _nearest(buckets, x, y)
            if nearest is not None:
                found[centre] = nearest
    return found


def _nearest_centre(x: float, y: float) -> Corner:
    row = round(y / (3 * _STEP_Y))
    column = round((x / _STEP_X - row % 2) / 2) * 2 + row % 2
    return column, row * 3


def _nearest(buckets: Mapping[Corner, list[Spot]], x: float, y: float) -> str | None:
    """The province of the commune whose disc this point is in or nearest to, or None for the sea."""
    home_x, home_y = int(x // _BUCKET), int(y // _BUCKET)
    best, owner = REACH, None
    for bx in (home_x - 1, home_x, home_x + 1):
        for by in (home_y - 1, home_y, home_y + 1):
            for spot in buckets.get((bx, by), ()):
                gap = math.hypot(spot.x - x, spot.y - y) - spot.radius
                if gap < best:
                    best, owner = gap, spot.province
    return owner


def _outline(cells: set[Corner]) -> str:
    """The edges that no two of the hexagons share, joined into closed loops."""
    after: dict[Corner, list[Corner]] = defaultdict(list)
    for cx, cy in cells:
        for index, (dx, dy) in enumerate(_CORNERS):
            bx, by = _BEYOND[index]
            if (cx + bx, cy + by) in cells:
                continue
            ex, ey = _CORNERS[(index + 1) % 6]
            after[cx + dx, cy + dy].append((cx + ex, cy + ey))
    drawn = []
    while after:
        start = next(iter(after))
        loop = [start]
        while True:
            ends = after[loop[-1]]
            end = ends.pop()
            if not ends:
                del after[loop[-1]]
            if end == start:
                break
            loop.append(end)
        drawn.append(_path(loop))
    return "".join(drawn)


def _path(loop: list[Corner]) -> str:
    points = [(round(x * _STEP_X), round(y * _STEP_Y)) for x, y in loop]
    (px, py), parts = points[0], []
    parts.append(f"M{px} {py}l")
    for x, y in points[1:]:
        parts.append(f"{x - px} {y - py} ")
        px, py = x, y
    return "".join(parts).rstrip() + "z"


def _label(cells: set[Corner], spot: Spot) -> tuple[float, float]:
    """Where a province's label is best put: the cell deepest inside, measured among the mainland ones."""
    if not cells:
        return spot.x, spot.y
    best, place = -1.0, (spot.x, spot.y)
    edge = [c for c in cells if any((c[0] + bx, c[1] + by) not in cells for bx, by in _BEYOND)]
    for cx, cy in cells:
        x, y = cx * _STEP_X, cy * _STEP_Y
        depth = min(math.hypot(x - ex * _STEP_X, (y - ey * _STEP_Y) * 1.6) for ex, ey in edge)
        if depth > best:
            best, place = depth, (x, y)
    return place
