"""Small directories for tests."""

from __future__ import annotations

from datetime import date
from typing import Any

from broker.directory.snapshot import Agency, AgencyId, Mandate, Succession


def agency(number: int, code: str, **more: Any) -> Agency:
    """An agency with this id and code; a commune unless told otherwise."""
    values: dict[str, Any] = {"name": f"Cơ quan {code}", "level": "commune"} | more
    if values.get("parent_id") is not None:
        values["parent_id"] = AgencyId(values["parent_id"])
    return Agency(id=AgencyId(number), code=code, **values)


def mandate(hub: int, served: int, *, receive: bool = True, sign: bool = True, **more: Any) -> Mandate:
    return Mandate(hub_id=AgencyId(hub), agency_id=AgencyId(served), may_receive=receive, may_sign=sign, **more)


def succession(old: int, new: int, extent: Any = "whole", on: date = date(2025, 7, 1)) -> Succession:
    return Succession(old_id=AgencyId(old), new_id=AgencyId(new), extent=extent, on_date=on)
