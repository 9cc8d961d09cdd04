"""Where agencies are: coordinates of the directory's data (deploy/directory), projected to a sheet.

The data has points and areas and no borders, so nothing here claims any: shapes are drawn around points. The two
archipelagos Hoàng Sa and Trường Sa are on the sheet, where they lie.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).resolve()
_PLACES: Final = (_HERE.parents[2] / "directory" / "data", _HERE.parents[3] / "deploy" / "directory")

KM_PER_DEGREE: Final = 111.2
WEST, NORTH, EAST, SOUTH = 101.9, 23.65, 115.2, 7.9
"""The sheet, in degrees: the mainland and both archipelagos."""
_NARROW: Final = math.cos(math.radians(16))
"""A degree of longitude beside one of latitude, in the middle of the country."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """One agency's point, in kilometres east and south of the sheet's corner."""

    code: str
    name: str
    province: str
    x: float
    y: float
    radius: float
    """Of a disc with the commune's area, in kilometres; zero where the area is not known."""


@dataclass(frozen=True, kw_only=True)
class Geography:
    """All points, by code."""

    provinces: Mapping[str, Spot]
    communes: Mapping[str, Spot]

    @cached_property
    def communes_of(self) -> Mapping[str, tuple[Spot, ...]]:
        """Each province's communes."""
        found: dict[str, list[Spot]] = {code: [] for code in self.provinces}
        for spot in self.communes.values():
            found.setdefault(spot.province, []).append(spot)
        return {code: tuple(spots) for code, spots in found.items()}


def project(latitude: float, longitude: float) -> tuple[float, float]:
    """Kilometres east and south of the sheet's north-western corner."""
    return (longitude - WEST) * _NARROW * KM_PER_DEGREE, (NORTH - latitude) * KM_PER_DEGREE


SHEET: Final = project(SOUTH, EAST)
"""Width and height of the sheet in kilometres."""


@lru_cache(maxsize=1)
def geography() -> Geography:
    """The points of the directory's data, read once."""
    folder = next((place for place in _PLACES if (place / "communes.csv").exists()), _PLACES[-1])
    provinces = {row["code"]: _spot(row, row["code"]) for row in _rows(folder / "provinces.csv")}
    communes = {row["code"]: _spot(row, row["parent"]) for row in _rows(folder / "communes.csv")}
    return Geography(provinces=provinces, communes=communes)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return [row for row in csv.DictReader(lines) if row["latitude"] and row["longitude"]]


def _spot(row: Mapping[str, str], province: str) -> Spot:
    x, y = project(float(row["latitude"]), float(row["longitude"]))
    area = float(row.get("area_km2") or 0)
    return Spot(
        code=row["code"], name=short_name(row["name"]), province=province, x=x, y=y, radius=math.sqrt(area / math.pi)
    )


_TITLES: Final = ("UBND ",)
_KINDS: Final = ("thành phố ", "tỉnh ", "phường ", "xã ", "đặc khu ")


def short_name(name: str) -> str:
    """A place's bare name: “UBND tỉnh An Giang” is An Giang."""
    for title in _TITLES:
        name = name.removeprefix(title)
    for kind in _KINDS:
        if name.lower().startswith(kind):
            return name[len(kind) :]
    return name
